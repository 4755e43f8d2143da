"""Upstreams that answer well, badly or not at all: requests end in answers or typed failures."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from engines.errors import (
    Draining,
    EngineRestarted,
    GenerationFailed,
    ModelUnavailable,
    Overloaded,
    ServiceError,
    Unsupported,
)
from engines.events import Accepted, Finished, FirstToken, RequestEvent, TextDelta
from engines.requests import ChatMessage, GenerationRequest, OutputFormat, SamplingParams
from tests.engines.conftest import settings_with
from tests.engines.upstream.scripted_upstream import (
    DONE,
    ENDLESS,
    HANG,
    HELLO,
    USAGE,
    ScriptedUpstream,
    as_json,
    delta,
    event,
    http,
    scripted_upstream,
    stream,
)
from workers.upstream import UpstreamClient

pytestmark = pytest.mark.anyio
KEY = "sk-very-secret"


def request(output: OutputFormat | None = None, **sampling: Any) -> GenerationRequest:
    fields = {"max_new_tokens": 16, "temperature": 0.5, "top_p": 0.9} | sampling
    return GenerationRequest("r1", (ChatMessage("user", "hola"),), SamplingParams(**fields), output=output, stream=True)


NAMES = {"max_connections": "llm_max_batch", "stall_timeout_s": "llm_stall_timeout_s"}


def upstream_at(url: str, **fields: Any) -> Settings:
    """Return settings with this upstream."""
    named = {NAMES.get(name, f"llm_upstream_{name}"): value for name, value in fields.items()}
    return settings_with(llm_backend="openai", llm_model="qwen", llm_upstream_url=url, **named)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - nobody at the other end can set an event
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def client_of(upstream: ScriptedUpstream, **fields: Any) -> AsyncIterator[UpstreamClient]:
    """A client that has found the upstream."""
    async with started(upstream_at(upstream.url, **fields)) as client:
        await until(lambda: client.state == "ready")
        yield client


@contextlib.asynccontextmanager
async def started(settings: Settings, on_fatal: Callable[[str], None] | None = None) -> AsyncIterator[UpstreamClient]:
    client = UpstreamClient(settings, on_fatal=on_fatal)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def events_of(client: UpstreamClient, asked: GenerationRequest | None = None) -> list[RequestEvent]:
    async with asyncio.timeout(120), client.open(asked or request()) as events:
        return [each async for each in events]


async def failure_of(answer: list[bytes], **fields: Any) -> ServiceError:
    async with scripted_upstream(answer=answer) as upstream, client_of(upstream, **fields) as client:
        with pytest.raises(ServiceError) as caught:
            await events_of(client)
        last = caught.value
        upstream.answer = list(HELLO)
        *_, next_one = await events_of(client)
        assert isinstance(next_one, Finished)
        return last


async def test_an_answer_comes_piece_by_piece_with_its_counts() -> None:
    async with scripted_upstream() as upstream, client_of(upstream) as client:
        assert await events_of(client) == [
            Accepted("r1"),
            FirstToken("r1"),
            TextDelta("r1", "hola "),
            TextDelta("r1", "sí"),
            Finished("r1", "hola sí", "stop", 7, 3),
        ]
        assert client.info is not None
        assert (client.info.model, client.info.context_length, client.info.backend) == ("qwen", 4096, "openai")


async def test_what_was_asked_is_sent_to_the_letter() -> None:
    async with scripted_upstream() as upstream, client_of(upstream, api_key=KEY) as client:
        schema = '{"type": "object", "properties": {"n": {"type": "integer"}}}'
        await events_of(client, request(stop=("x", "y"), seed=5, output=OutputFormat("json", schema)))
        assert upstream.bodies == [
            {
                "model": "qwen",
                "messages": [{"role": "user", "content": "hola"}],
                "max_tokens": 16,
                "temperature": 0.5,
                "top_p": 0.9,
                "stream": True,
                "stream_options": {"include_usage": True},
                "stop": ["x", "y"],
                "seed": 5,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "answer",
                        "schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
                        "strict": True,
                    },
                },
                "chat_template_kwargs": {"enable_thinking": False},
            }
        ]
        assert f"authorization: bearer {KEY}" in upstream.headers[-1].lower()
        assert upstream.headers[-1].startswith("POST /v1/chat/completions ")


async def test_an_api_that_knows_no_template_arguments_gets_none() -> None:
    async with scripted_upstream() as upstream, client_of(upstream, template_arguments=False) as client:
        await events_of(client, request(top_p=0.0, output=OutputFormat("json", '{"type": "object"}')))
        (body,) = upstream.bodies
        assert "chat_template_kwargs" not in body
        assert (body["temperature"], body["top_p"]) == (0, 1)
        assert body["response_format"] == {"type": "json_object"}
        thinking = GenerationRequest("r2", request().messages, request().sampling, enable_thinking=True)
        with pytest.raises(Unsupported):
            await events_of(client, thinking)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_a_thought_is_kept_apart_from_the_answer(name: str) -> None:
    pieces = [
        delta(**{name: "hm, </think> "}),
        delta(**{name: "so"}),
        delta(content="sí"),
        delta("length"),
        USAGE,
        DONE,
    ]
    async with scripted_upstream(answer=stream(*pieces)) as upstream, client_of(upstream) as client:
        assert await events_of(client) == [
            Accepted("r1"),
            FirstToken("r1"),
            TextDelta("r1", "hm, </think> ", thought=True),
            TextDelta("r1", "so", thought=True),
            TextDelta("r1", "sí"),
            Finished("r1", "sí", "length", 7, 3, "hm, </think> so"),
        ]


async def test_events_are_read_however_they_are_cut() -> None:
    wire = b": ping\r\n\r\n" + b"".join([delta(content="ñandú"), delta("stop"), USAGE, DONE])
    async with (
        scripted_upstream(answer=stream(*(bytes([byte]) for byte in wire))) as upstream,
        client_of(upstream) as client,
    ):
        *_, last = await events_of(client)
        assert last == Finished("r1", "ñandú", "stop", 7, 3)


async def test_connections_are_used_again_and_bounded() -> None:
    async with scripted_upstream() as upstream, client_of(upstream, max_connections=2) as client:
        for _ in range(5):
            await events_of(client)
        assert upstream.connections == 1
        await asyncio.gather(*(events_of(client, replace(request(), id=f"{number}")) for number in range(8)))
        assert upstream.connections <= 3


async def test_usage_that_is_not_sent_is_counted_by_pieces() -> None:
    answer = stream(delta(content="a"), delta(content="b"), delta("stop"), DONE)
    async with scripted_upstream(answer=answer) as upstream, client_of(upstream) as client:
        *_, last = await events_of(client)
        assert last == Finished("r1", "ab", "stop", 0, 2)


async def test_leaving_before_the_first_byte_closes_the_connection() -> None:
    async with scripted_upstream(answer=[HANG]) as upstream, client_of(upstream) as client:
        asking = asyncio.create_task(events_of(client))
        await until(lambda: bool(upstream.bodies))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: upstream.open_connections == 0)
        upstream.answer = list(HELLO)
        assert isinstance((await events_of(client))[-1], Finished)


async def test_stopping_ends_what_is_under_way() -> None:
    async with scripted_upstream(answer=stream(delta(content="a"), HANG)) as upstream, client_of(upstream) as client:
        async with client.open(request()) as events:
            for _ in range(3):
                await anext(events)
            await client.stop()
            with pytest.raises(EngineRestarted):
                await anext(events)
        await until(lambda: upstream.open_connections == 0)
        with pytest.raises(Draining):
            await events_of(client)


GOOD = delta(content="a")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (http("200 OK", b"<html>Welcome</html>", "Content-Type: text/html"), ModelUnavailable),
        (as_json({"choices": [{"message": {"content": "whole"}}]}), GenerationFailed),
        (http("301 Moved", b"", "Location: http://example.org/"), ModelUnavailable),
        (http("404 Not Found", b"404 page not found"), ModelUnavailable),
        (as_json({"error": {"message": "oh"}}, "500 Internal Server Error"), GenerationFailed),
        (http("502 Bad Gateway", b"<html>nginx</html>"), EngineRestarted),
        (stream(GOOD, b"data: {not json\n\n", DONE), GenerationFailed),
        (stream(GOOD, event([1, 2]), DONE), GenerationFailed),
        (stream(event({"choices": [{"delta": {"content": 5}}]}), DONE), GenerationFailed),
        (stream(event({"choices": "none"}), DONE), GenerationFailed),
        (stream(event({"choices": [], "usage": {"prompt_tokens": -1}}), DONE), GenerationFailed),
        (stream(b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n', DONE), GenerationFailed),
        (stream(b"data: " + b"[" * 100_000 + b"\n\n", DONE), GenerationFailed),
        (stream(GOOD, DONE), EngineRestarted),
        (stream(GOOD), EngineRestarted),
        (stream(GOOD, whole=False), EngineRestarted),
        (stream(GOOD, delta("content_filter"), DONE), GenerationFailed),
        (stream(GOOD, ENDLESS), GenerationFailed),
        (stream(b"data: " + b"x" * 60_000, ENDLESS), GenerationFailed),
        (stream(GOOD, event({"error": {"message": "x", "code": "engine_restarted"}})), EngineRestarted),
        (stream(GOOD, event({"error": {"message": "x", "code": 503}})), Overloaded),
        (stream(GOOD, event({"error": "gone"})), GenerationFailed),
        ([b"HTTP/1.1 200 OK\r\nContent-"], EngineRestarted),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], EngineRestarted),
        ([], EngineRestarted),
    ],
)
async def test_nonsense_ends_in_a_typed_failure_and_the_next_request_is_served(
    answer: list[bytes], failure: type[ServiceError]
) -> None:
    assert type(await failure_of(answer)) is failure


async def test_silence_has_a_limit() -> None:
    for answer in ([HANG], stream(delta(content="a"), HANG)):
        failed = await failure_of(answer, stall_timeout_s=2)
        assert (type(failed), failed.message) == (
            EngineRestarted,
            "the upstream has gone silent; try again",
        )


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_busy_upstream_says_when_to_come_back(status: str) -> None:
    failed = await failure_of(as_json({"error": {"message": "slow down"}}, status, "Retry-After: 17"))
    assert (type(failed), failed.retry_after_s) == (Overloaded, 17.0)


async def test_an_answer_that_ends_but_whose_connection_does_not_is_complete() -> None:
    answer = stream(delta(content="a"), delta("stop"), USAGE, DONE, HANG)
    async with scripted_upstream(answer=answer) as upstream, client_of(upstream) as client:
        *_, last = await events_of(client)
        assert last == Finished("r1", "a", "stop", 7, 3)
        await until(lambda: upstream.open_connections == 0)


async def test_a_key_refused_later_fails_requests_and_is_not_quoted() -> None:
    failed = await failure_of(as_json({"error": {"message": f"bad key {KEY}"}}, "403 Forbidden"), api_key=KEY)
    assert isinstance(failed, ModelUnavailable)
    assert "LLM_UPSTREAM_API_KEY" in failed.message
    assert KEY not in failed.message


async def test_an_upstream_may_come_later() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    async with started(upstream_at(f"http://127.0.0.1:{port}")) as client:
        await until(lambda: client.last_error is not None)
        assert client.state == "loading"
        async with scripted_upstream(port=port):
            await until(lambda: client.state == "ready")


@pytest.mark.parametrize(
    ("models", "asked", "found"),
    [
        (["qwen", "other"], None, "qwen"),
        (["only-one"], None, "only-one"),
        (["qwen", "other"], "other", "other"),
        (["a", "b"], None, None),
        (["a"], "b", None),
        ([], None, None),
    ],
)
async def test_the_model_is_one_that_the_upstream_has(models: list[str], asked: str | None, found: str | None) -> None:
    listed = as_json({"data": [{"id": name} for name in models]})
    async with (
        scripted_upstream(models=listed) as upstream,
        started(upstream_at(upstream.url, model=asked)) as client,
    ):
        await until(lambda: client.state == "ready" or client.last_error is not None)
        assert (client.info.model if client.info else None) == found
        if found is None:
            assert client.last_error is not None
            assert "LLM_UPSTREAM_MODEL" in client.last_error


@pytest.mark.parametrize(
    "models",
    [
        http("200 OK", b"<html>", "Content-Type: text/html"),
        as_json({"models": []}),
        as_json([1]),
        http("200 OK", b"{", "Content-Type: application/json"),
        [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b"[" * 65536, ENDLESS],
        http("503 Service Unavailable", b""),
    ],
)
async def test_an_invalid_list_of_models_leaves_the_service_waiting(models: list[bytes]) -> None:
    async with scripted_upstream(models=models) as upstream, started(upstream_at(upstream.url)) as client:
        await until(lambda: client.last_error is not None)
        assert client.state == "loading"
        upstream.models = as_json({"data": [{"id": "qwen"}]})
        await until(lambda: client.state == "ready")


async def test_another_path_may_say_whether_it_is_ready() -> None:
    async with scripted_upstream(models=http("200 OK", b"fine")) as upstream, client_of(upstream, ready_path="/health"):
        assert set(upstream.gets) == {"/health"}


async def test_an_upstream_that_limits_the_asking_stays_ready() -> None:
    async with scripted_upstream() as upstream, client_of(upstream) as client:
        upstream.models = http("429 Too Many Requests", b"")
        upstream.answer = []
        before = len(upstream.gets)
        with pytest.raises(EngineRestarted):
            await events_of(client)  # a failure makes it look again
        await until(lambda: len(upstream.gets) > before)
        upstream.answer = list(HELLO)
        assert isinstance((await events_of(client))[-1], Finished)
        assert client.state == "ready"


async def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    try:
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)  # noqa: ASYNC221
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = await asyncio.start_server(lambda *_: None, "localhost", 0, ssl=context)
    try:
        port = server.sockets[0].getsockname()[1]
        async with started(upstream_at(f"https://localhost:{port}", api_key=KEY)) as client:
            await until(lambda: client.last_error is not None)
            assert client.last_error == "the upstream's certificate cannot be verified"
            assert client.state == "loading"
    finally:
        server.close()
