"""The models and whole answers of /v1, as OpenAI's client sees them."""

import time
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.api.openai.openai_clients import MODEL, ask, texts, user
from tests.api.service_process import ServiceProcess, eventually, idle

WORDS = " ".join(f"palabra{number}" for number in range(12))


def test_the_models_are_listed(client: OpenAI) -> None:
    listed = client.models.list().data
    assert [model.id for model in listed] == ["fake"]
    assert listed[0].owned_by == "local"
    assert 0 < listed[0].created <= time.time()


@pytest.mark.parametrize("name", ["fake", "default", "Qwen/Qwen3-1.7B", "sentence-transformers/all-MiniLM-L6-v2"])
def test_a_model_is_found_by_its_names(client: OpenAI, name: str) -> None:
    assert client.models.retrieve(name).id == "fake"


@pytest.mark.parametrize("name", ["nobody/nothing", "gpt-4o", "Qwen"])
def test_others_are_not_found(client: OpenAI, name: str) -> None:
    with pytest.raises(NotFoundError, match=name):
        client.models.retrieve(name)


def test_an_answer_is_whole(client: OpenAI) -> None:
    answer = ask(client, "uno dos tres", temperature=0)
    assert texts(answer) == ["uno dos tres"]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.role == "assistant"
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "fake"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 3, 6)
    assert answer._request_id


def test_two_answers_have_two_ids(client: OpenAI) -> None:
    assert ask(client, "hola", temperature=0).id != ask(client, "hola", temperature=0).id


def test_a_conversation_may_hold_earlier_answers_as_they_came(client: OpenAI) -> None:
    first = ask(client, "uno dos", temperature=0)
    messages: list[Any] = [*user("uno dos"), first.choices[0].message, *user("tres cuatro")]
    second = client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
    assert texts(second) == ["tres cuatro"]
    assert second.usage is not None
    assert second.usage.prompt_tokens == 6


def test_content_may_come_in_parts_and_instructions_from_a_developer(client: OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "uno dos"}, {"type": "text", "text": "tres"}]},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
    assert texts(answer) == ["uno dos tres"]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 5


@pytest.mark.parametrize("name", ["default", "fake", "Qwen/Qwen3-1.7B"])
def test_the_model_answers_to_its_own_name_the_configured_one_and_default(client: OpenAI, name: str) -> None:
    assert client.chat.completions.create(model=name, messages=user("hola")).model == "fake"


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_token_budget_has_two_names(client: OpenAI, field: str) -> None:
    assert ask(client, "uno [[words:50]]", **{field: 7}).choices[0].finish_reason == "length"


def test_several_choices_use_seeds_in_a_row(client: OpenAI) -> None:
    together = ask(client, WORDS, seed=40, n=3)
    alone = [ask(client, WORDS, seed=seed) for seed in (40, 41, 42)]
    assert texts(together) == [texts(answer)[0] for answer in alone]
    assert [choice.index for choice in together.choices] == [0, 1, 2]
    assert together.usage is not None
    assert (together.usage.prompt_tokens, together.usage.completion_tokens) == (12, 36)


def test_the_largest_seed_has_a_next_one(client: OpenAI) -> None:
    answer = ask(client, WORDS, seed=2**63 - 1, n=2)
    assert texts(answer)[1] == texts(ask(client, WORDS, seed=0))[0]


def test_without_a_seed_choices_differ(client: OpenAI) -> None:
    assert len(set(texts(ask(client, WORDS, n=4)))) > 1


def test_one_choice_that_breaks_fails_the_request_and_ends_the_others(service: ServiceProcess, client: OpenAI) -> None:
    response = service.client.post(
        "/v1/chat/completions", json={"model": MODEL, "messages": user("[[fail]] [[slow:20]] uno"), "n": 4}
    )
    assert (response.status_code, response.json()["error"]["code"]) == (500, "generation_failed")
    eventually(lambda: idle(service), "all places are free")


def test_more_choices_than_places_are_refused_before_any_is_begun(narrow: ServiceProcess) -> None:
    body = {"model": MODEL, "messages": user("[[crash]]"), "n": 2}
    response = narrow.client.post("/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "n")
    one = {**body, "messages": user("a"), "n": 1}
    assert narrow.client.post("/v1/chat/completions", json=one).status_code == 200
    assert narrow.health()["restarts"] == 0


HARMLESS: dict[str, Any] = {
    "logprobs": False,
    "top_logprobs": 0,
    "presence_penalty": 0,
    "frequency_penalty": 0.0,
    "tools": [],
    "tool_choice": "none",
    "logit_bias": {},
    "user": "someone",
    "store": False,
    "metadata": {"a": "b"},
    "service_tier": "auto",
    "parallel_tool_calls": False,
    "modalities": ["text"],
    "verbosity": "medium",
    "stop": None,
    "seed": None,
    "n": 1,
    "response_format": {"type": "text"},
    "safety_identifier": "someone",
    "prediction": {"type": "content", "content": "a"},
    "top_k": 20,
    "reasoning_effort": "none",
    "keep_alive": "5m",
    "prompt_cache_key": "page",
    "stream": False,
    "max_tokens": 16,
    "max_completion_tokens": 16,
}


def test_fields_that_change_nothing_are_accepted(service: ServiceProcess) -> None:
    body = {"model": MODEL, "messages": user("uno dos"), "temperature": 0, **HARMLESS}
    response = service.client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == "uno dos"


REFUSED: dict[str, Any] = {
    "functions": [{"name": "f"}],
    "logit_bias": {"5": 1},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "verbosity": "low",
    "web_search_options": {},
    "moderation": {"model": "omni-moderation-latest"},
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(service: ServiceProcess, field: str) -> None:
    body = {"model": MODEL, "messages": user("hola"), field: REFUSED[field]}
    response = service.client.post("/v1/chat/completions", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, field, "unsupported_parameter")


def test_a_thought_is_told_from_the_answer(client: OpenAI) -> None:
    message = ask(client, "<think> quizá uno </think> dos tres", temperature=0).choices[0].message
    assert message.content == "dos tres"
    assert message.model_extra == {"reasoning_content": "quizá uno"}
    sent_back: list[Any] = [*user("a"), message, *user("cuatro")]
    assert texts(client.chat.completions.create(model=MODEL, messages=sent_back, temperature=0)) == ["cuatro"]


@pytest.mark.parametrize("how", [{"enable_thinking": True}, {"chat_template_kwargs": {"enable_thinking": True}}])
def test_thinking_greedily_is_refused(client: OpenAI, how: dict[str, Any]) -> None:
    assert texts(ask(client, "hola", extra_body=how)) == ["hola"]
    with pytest.raises(BadRequestError) as caught:
        ask(client, "hola", temperature=0, extra_body=how)
    assert caught.value.param == "temperature"


def test_an_answer_that_can_be_kept_says_whether_it_was(client: OpenAI) -> None:
    def cache(**fields: Any) -> str | None:
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=user("guardar esto"), **fields)
        return raw.headers.get("X-Cache")

    seeded = {"seed": 1234}
    assert [cache(**seeded), cache(**seeded), cache(**seeded, stream=True)] == ["miss", "hit", "hit"]
    assert cache(**seeded, extra_headers={"Cache-Control": "no-store"}) is None
    assert cache() is None
    assert cache(**seeded, n=2) is None
