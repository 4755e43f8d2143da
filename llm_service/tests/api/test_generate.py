import concurrent.futures

import pytest

from tests.api.service_process import ServiceProcess, events_of


def test_an_answer_says_how_it_came_about(service: ServiceProcess) -> None:
    response = service.generate("uno dos tres, de ningún otro", temperature=0)
    body = response.json()
    assert response.status_code == 200
    assert body["answer"] == "uno dos tres, de ningún otro"
    assert body["finish_reason"] == "stop"
    assert body["tokens_generated"] == body["usage"]["completion_tokens"]
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["cached"] is False
    assert 0 <= body["timings"]["queue_ms"] <= body["timings"]["ttft_ms"] <= body["timings"]["total_ms"]


def test_temperature_zero_is_greedy_and_not_the_default(service: ServiceProcess) -> None:
    text = " ".join(f"palabra{number}" for number in range(12))
    greedy = {service.generate(text, temperature=0, seed=seed).json()["answer"] for seed in range(3)}
    sampled = {service.generate(text, seed=seed).json()["answer"] for seed in range(3)}
    assert greedy == {text}
    assert len(sampled) > 1


def test_the_token_budget_ends_an_answer(service: ServiceProcess) -> None:
    body = service.generate("uno dos [[words:50]]", max_new_tokens=7).json()
    assert (body["finish_reason"], body["tokens_generated"]) == ("length", 7)


def test_the_default_budget_comes_from_the_settings(service: ServiceProcess) -> None:
    assert service.generate("uno dos [[words:900]]").json()["tokens_generated"] == 256


@pytest.mark.parametrize("stop", ["tres", ["nada", "tres"]])
def test_an_answer_ends_before_a_stop_string(service: ServiceProcess, stop: str | list[str]) -> None:
    body = service.generate("uno dos tres cuatro", temperature=0, stop=stop).json()
    assert (body["answer"], body["finish_reason"]) == ("uno dos", "stop")


def test_a_stream_is_deltas_then_the_whole_answer_then_done(service: ServiceProcess) -> None:
    response = service.generate("¿cómo se dice ñandú en bora, pieza por pieza? ɨ́ɨ́", temperature=0, stream=True)
    *deltas, whole, done = events_of(response)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert done == "[DONE]"
    assert len(deltas) > 3
    assert "".join(delta["delta"] for delta in deltas).strip() == whole["answer"]
    assert whole["usage"]["completion_tokens"] == whole["tokens_generated"]
    assert whole["request_id"] == response.headers["X-Request-ID"]


def test_a_fault_after_streaming_began_is_an_error_event_and_no_done(service: ServiceProcess) -> None:
    response = service.generate("[[fail]] uno dos tres", stream=True)
    events = events_of(response)
    assert response.status_code == 200
    assert "event: error" in response.text
    assert events[-1]["error"]["type"] == "generation_failed"
    assert "[DONE]" not in events


def test_requests_side_by_side_keep_their_own_answers(service: ServiceProcess) -> None:
    def ask(number: int) -> str:
        return str(service.generate(f"pregunta {number} [[words:20]] [[slow:2]]", temperature=0).json()["answer"])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(24)))
    assert answers == [" ".join(["pregunta", str(number)] * 10) for number in range(24)]
