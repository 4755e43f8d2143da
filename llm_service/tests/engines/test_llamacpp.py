"""llama.cpp's server as this service runs it: what one request may do, what it leaves, what it refuses."""

import http.client
import json
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines.base import ModelLoadError
from engines.errors import ContextLengthExceeded, ServiceError
from models.artifacts import ModelArtifact
from tests.engines.conftest import settings_with
from tests.engines.driving import Outcome, chat, generate, run, step_until
from tests.engines.tiny_gguf import save_tiny_gguf
from tests.engines.upstream.endpoint_engine import EndpointEngine

pytestmark = pytest.mark.model
LONG_PROMPT = " ".join(f"sol{number}" for number in range(250))
ENDLESS = "Write a very long story about the sea and a fisherman."


@pytest.fixture(scope="module")
def engine(language_model_file: Path) -> Iterator[EndpointEngine]:
    artifact = ModelArtifact(language_model_file, "gguf", "SmolLM2", "embedded")
    made = EndpointEngine(artifact, settings_with(llm_max_batch=4, llm_memory_gb=0.125))  # 4,608 tokens
    made.warm_up()
    yield made
    made.close()


def busy_slots(engine: EndpointEngine) -> int:
    states = json.loads(engine.server._call("GET", "/slots"))
    return sum(state["is_processing"] for state in states)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize(
    ("prompt", "most_steps"), [(LONG_PROMPT, 4), (ENDLESS, 60)], ids=["while its prompt is read", "while it answers"]
)
def test_a_cancelled_request_frees_its_slot_soon(engine: EndpointEngine, prompt: str, most_steps: int) -> None:
    """Within a second on a quiet machine, where a step of a prompt takes 0.25 s and a token 0.02 s."""
    engine.submit(chat("left", prompt, max_new_tokens=500))
    if prompt is ENDLESS:
        outcome = Outcome()
        step_until(engine, lambda: bool(outcome.deltas), {"left": outcome})
    assert within(60, lambda: busy_slots(engine) == 1)
    engine.cancel("left")
    before = metric(engine, "n_decode_total")
    assert within(60, lambda: busy_slots(engine) == 0)
    assert metric(engine, "n_decode_total") - before <= most_steps
    assert within(60, lambda: engine.client.slots.used_tokens == 0)


def test_nothing_but_the_key_opens_the_server(engine: EndpointEngine) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        connection = http.client.HTTPConnection(engine.server._host, timeout=10)
        connection.request("POST", "/v1/chat/completions", "{}", headers)
        assert connection.getresponse().status == 401
        connection.close()


def test_a_prompt_of_megabytes_is_refused_unread(engine: EndpointEngine) -> None:
    before = metric(engine, "prompt_tokens_total")
    with pytest.raises(ServiceError) as refused:
        engine.submit(chat("huge", "hola " * 1_400_000))
    assert metric(engine, "prompt_tokens_total") == before
    assert refused.value.type == ContextLengthExceeded.type
    assert refused.value.details["prompt_tokens"] > refused.value.details["context_length"]


def test_more_than_the_cache_holds_waits_its_turn(engine: EndpointEngine) -> None:
    context = engine.info.context_length
    requests = [chat(f"{n}", f"{n} {ENDLESS}", max_new_tokens=context // 2, stop=(".",)) for n in range(6)]
    outcomes = run(engine, *requests)
    assert all(outcome.finished.text for outcome in outcomes.values())
    assert within(60, lambda: engine.client.slots.used_tokens == 0)


def test_a_short_question_is_answered_before_a_long_prompt_is_read(engine: EndpointEngine) -> None:
    outcomes = {"long": Outcome(), "short": Outcome()}
    engine.submit(chat("long", LONG_PROMPT, max_new_tokens=2))
    engine.submit(chat("short", "Hi", max_new_tokens=2))
    step_until(engine, lambda: outcomes["short"].end is not None, outcomes)
    assert outcomes["long"].first_tokens == 0
    step_until(engine, lambda: outcomes["long"].end is not None, outcomes)


def test_a_repeated_conversation_is_not_read_again(engine: EndpointEngine) -> None:
    def tokens_read() -> int:
        before = metric(engine, "prompt_tokens_total")
        generate(engine, chat("again", f"{LONG_PROMPT[:1000]} and?", max_new_tokens=1))
        return metric(engine, "prompt_tokens_total") - before

    first, second = tokens_read(), tokens_read()
    assert second < first / 3


def test_a_finished_conversation_leaves_the_cache_for_a_bounded_copy(engine: EndpointEngine) -> None:
    outcomes = run(engine, *(chat(f"{n}", f"{n} {LONG_PROMPT[:400]}", max_new_tokens=1) for n in range(8)))
    tokens = outcomes["0"].finished.prompt_tokens
    assert within(60, lambda: engine.client.slots.used_tokens == 0)
    assert not any(state.get("n_prompt_tokens") for state in json.loads(engine.server._call("GET", "/slots")))
    endpoint, copies = engine.server.endpoint, engine.client._prefixes._copies
    room = endpoint.copies_tokens
    assert {copy.name for copy in copies} == {file.name for file in Path(endpoint.folder).iterdir()}
    assert room - tokens - 10 < sum(copy.tokens for copy in copies) <= room < 8 * tokens


def test_a_prefix_that_others_begin_with_is_read_once(engine: EndpointEngine) -> None:
    rules = " ".join(f"Rule {number} says sol{number * 7919 % 1000}." for number in range(40))
    before = metric(engine, "prompt_tokens_total")
    outcomes = run(engine, *(chat(f"{n}", f"{rules} Question {n}?", max_new_tokens=2) for n in range(4)))
    prompt = outcomes["0"].finished.prompt_tokens
    assert prompt > 300, "too short to be copied"
    assert metric(engine, "prompt_tokens_total") - before < prompt * 1.5


def metric(engine: EndpointEngine, name: str) -> int:
    metrics = engine.server._call("GET", "/metrics")
    return int(re.search(rf"^llamacpp:{name} (\d+)", metrics, re.MULTILINE)[1])  # type: ignore[index]


def test_enums_beyond_ascii_keep_their_letters(engine: EndpointEngine) -> None:
    schema = json.dumps({"enum": ["mañana", "ñandú", "日本"]})
    finished = generate(engine, chat("enum", "Say one of them.", max_new_tokens=32, json_schema=schema))
    assert json.loads(finished.text) in ("mañana", "ñandú", "日本")
    assert finished.finish_reason == "stop"


def test_sampling_is_the_models_own_distribution(engine: EndpointEngine) -> None:
    """No penalty, no top-k, no min-p: at a high temperature unlikely tokens come too."""
    texts = [
        generate(engine, chat("hot", ENDLESS, max_new_tokens=1, temperature=2.0, seed=seed)).text for seed in range(16)
    ]
    assert len(set(texts)) > 8
    defaults = json.loads(engine.server._call("GET", "/props"))["default_generation_settings"]["params"]
    assert defaults["samplers"] == ["temperature", "top_p"]


def damaged(file: Path, folder: Path, damage: str) -> Path:
    copy = folder / "damaged.gguf"
    if damage == "empty":
        copy.write_bytes(b"")
    elif damage == "no GGUF":
        copy.write_bytes(b"GIF89a" * 100)
    elif damage == "cut in its header":
        copy.write_bytes(file.read_bytes()[:4000])
    elif damage == "cut in its weights":
        copy.write_bytes(file.read_bytes()[:-20_000_000])
    else:
        shutil.copyfile(file, copy)
        with copy.open("r+b") as opened:
            opened.seek(8)
            opened.write(struct.pack("<Q", 2**40))
    return copy


@pytest.mark.parametrize(
    "damage", ["empty", "no GGUF", "cut in its header", "cut in its weights", "an absurd number of tensors"]
)
def test_a_damaged_file_is_refused_with_its_name(language_model_file: Path, tmp_path: Path, damage: str) -> None:
    from engines.llamacpp.server import LlamaCppServer

    artifact = ModelArtifact(damaged(language_model_file, tmp_path, damage), "gguf", "damaged", "damaged")
    with pytest.raises(ModelLoadError, match=r"damaged\.gguf"):
        LlamaCppServer(artifact, settings_with(llm_max_batch=1))


def test_a_file_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    from engines.llamacpp.server import LlamaCppServer

    path = save_tiny_gguf(tmp_path / "tiny.gguf", "F16", template="")
    with pytest.raises(ModelLoadError, match="chat template"):
        LlamaCppServer(ModelArtifact(path, "gguf", "tiny", "tiny"), settings_with())


def test_a_cache_larger_than_the_memory_is_refused(language_model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engines.llamacpp import server

    monkeypatch.setattr(server, "available_memory_bytes", lambda: 50_000_000)
    artifact = ModelArtifact(language_model_file, "gguf", "SmolLM2", "embedded")
    with pytest.raises(ModelLoadError, match="LLM_MEMORY_GB") as refused:
        server.LlamaCppServer(artifact, settings_with())
    assert not refused.value.fatal
