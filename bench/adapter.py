"""What the backend's adapter does while the LLM service dies, comes back, fails and is left by its callers.

    python dev.py bench adapter [-- --quick | --rounds N]

A real service with engines that need no weights is killed (-9, with all its processes) under fifty
questions, and started again. Decisions of an open circuit are timed 500 times a round. The other figures come from
scripted services on real sockets. The provider after the service is a stand-in, so that no model is
measured. The last line on standard output is one JSON object. The exit status tells whether the
measuring worked, not whether the targets are reached.
"""

# environment: backend

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backend"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.base import ChatMessage, Completion, Embeddings, SamplingOptions, TechnicalError, TextDelta
from adapters.fallback import FallbackChain, Provider
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.llm_service_config import ServiceConfig
from bench import program
from bench.figures import Figure
from bench.loadgen import percentile
from bench.processes import MeasuringFailed, Service, free_port
from bench.scripted_service import ScriptedService, failure
from devtools.layout import Workspace

ROOT = Path(__file__).resolve().parent.parent
CALLERS, RESET_S, PROBE_S, PLACES = 50, 3.0, 1.0, 8
MESSAGES: list[ChatMessage] = [{"role": "user", "content": "perro"}]
# Each word takes the engine 20 ms, so that the kill finds answers under way.
SLOW: list[ChatMessage] = [{"role": "user", "content": "[[words:40]] [[slow:20]] perro"}]
OPTIONS = SamplingOptions()
FAILURES = {
    "500": failure("500 Internal Server Error", "generation_failed", retryable=False),
    "restarted": failure("503 Service Unavailable", "engine_restarted", "Retry-After: 0", retryable=True),
    "overloaded": failure("503 Service Unavailable", "overloaded", "Retry-After: 0", retryable=True),
    "429": failure("429 Too Many Requests", "rate_limited", "Retry-After: 0", retryable=True),
}


class StandIn:
    """The provider after the service."""

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Answer at once."""
        return Completion("oohiibye", "stand-in", "local")

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncIterator[TextDelta | Completion]:
        """Answer at once, in one piece."""
        yield await self.complete(messages, options)

    async def embed_texts(self, texts: Sequence[str], *, request_id: str | None = None) -> Embeddings:
        """Be no embedder."""
        raise TechnicalError("no vectors here", reason="disabled")


@asynccontextmanager
async def adapter_to(*urls: str, **options: float) -> AsyncIterator[LLMServiceAdapter]:
    """An adapter that is closed in the end."""
    settings: dict[str, float] = {"reset_s": RESET_S, "probe_timeout_s": PROBE_S, **options}
    adapter = LLMServiceAdapter(ServiceConfig(urls=urls, **settings))  # type: ignore[arg-type]
    try:
        yield adapter
    finally:
        await adapter.close()


def real_service(port: int) -> Service:
    """The LLM service in its own environment."""
    variables = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake", "LLM_SERVICE_PORT": str(port), "LLM_CACHE_MB": "0"}
    app = Workspace(ROOT).llm_service
    return Service("llm_service", (app.python, "main.py"), app.folder, {**variables, "LOG_LEVEL": "WARNING"}, port)


def kill(service: Service) -> None:
    """End all its processes at once, as a machine that loses its power does."""
    for process in service.processes():
        process.kill()


async def reason_of(adapter: LLMServiceAdapter) -> str:
    """Make a call; return why it failed, or ``answered``."""
    try:
        await adapter.generate(MESSAGES)
    except TechnicalError as fault:
        return fault.reason
    return "answered"


async def killed_and_back() -> list[Figure]:
    """Kill the service under load, then start it again."""
    port = free_port()
    async with adapter_to(f"http://127.0.0.1:{port}") as adapter:
        stand_in = StandIn()
        chain = FallbackChain([Provider("llm_service", adapter, adapter), Provider("local", stand_in, stand_in)])
        with real_service(port) as service:
            await asyncio.to_thread(service.wait_for, "/readyz")
            asking = [asyncio.create_task(chain.complete(SLOW, OPTIONS)) for _ in range(CALLERS)]
            await asyncio.sleep(0.6)
            kill(service)
            outcomes = await asyncio.gather(*asking, return_exceptions=True)
        failed = sum(isinstance(outcome, BaseException) for outcome in outcomes)
        interrupted = sum(isinstance(outcome, Completion) and outcome.served_by == "local" for outcome in outcomes)
        program.note(f"killed under {CALLERS} questions: {interrupted} answered by the next provider, {failed} failed")
        if not interrupted:
            raise MeasuringFailed("the kill came after the last answer")
        while await reason_of(adapter) != "circuit_open":
            pass
        back_s = await _until_used_again(adapter, port)
    return [
        Figure("failed of 50 when killed", failed, "", "<=", 0),
        Figure("used again after it was ready", back_s, "s", "<=", RESET_S + PROBE_S),
    ]


async def circuit_is_open(calls: int) -> list[Figure]:
    """Time callers that are turned away, and count the connections meanwhile."""
    port = free_port()
    took: list[float] = []
    async with adapter_to(f"http://127.0.0.1:{port}", reset_s=3600) as adapter:
        while await reason_of(adapter) != "circuit_open":
            pass
        async with ScriptedService(port=port) as listener:
            for _ in range(calls):
                began = time.perf_counter()
                if await reason_of(adapter) != "circuit_open":
                    raise MeasuringFailed("the circuit did not stay open")
                took.append(time.perf_counter() - began)
            accepted = listener.accepted
    return [
        Figure("open circuit: decision p99", percentile(took, 0.99) * 1000, "ms", "<", 5),
        Figure("open circuit: sockets opened", accepted, "", "<=", 0),
    ]


async def _until_used_again(adapter: LLMServiceAdapter, port: int) -> float:
    """Return the seconds between the service being ready and its first answer."""
    with real_service(port) as service:
        await asyncio.to_thread(service.wait_for, "/readyz")
        began = time.perf_counter()
        while await reason_of(adapter) != "answered":  # noqa: ASYNC110 - the other end is a process
            await asyncio.sleep(0.02)
        return time.perf_counter() - began


async def everything_fails(calls: int) -> tuple[Figure, dict[str, float]]:
    """Count what reaches two addresses that both fail, for every kind of failing."""
    sent: dict[str, float] = {}
    for kind, answer in FAILURES.items():
        async with (
            ScriptedService(answer) as one,
            ScriptedService(answer) as two,
            adapter_to(one.url, two.url, reset_s=0.01) as adapter,
        ):
            for _ in range(calls):
                await reason_of(adapter)
            sent[kind] = (one.posts + two.posts) / calls
    return Figure("calls a request when all fail (worst)", max(sent.values()), "", "<=", 1.2), sent


async def one_of_two_is_bad(calls: int) -> Figure:
    """Count the answers when one of two addresses always fails."""
    async with (
        ScriptedService(FAILURES["500"]) as bad,
        ScriptedService() as good,
        adapter_to(bad.url, good.url) as adapter,
    ):
        answered = sum([await reason_of(adapter) == "answered" for _ in range(calls)])
    program.note(f"one bad address of two: it was asked {bad.posts} times in {calls} calls")
    return Figure("not answered when one of two is bad", calls - answered, "", "<=", 0)


async def _lost_places(adapter: LLMServiceAdapter, service: ScriptedService) -> int:
    """Return how many connections can no longer be used; a changed breaker counts as one more."""
    service.hangs, service.delay_s, service.most_at_once = False, 0.3, 0
    answered = [await call for call in [asyncio.create_task(reason_of(adapter)) for _ in range(PLACES)]]
    (endpoint,) = adapter.endpoints
    changed = (endpoint.circuit.state, endpoint.circuit.failures, endpoint.under_way) != ("closed", 0, 0)
    return PLACES - service.most_at_once + answered.count("overloaded") + changed


async def callers_leave(cancelled: int, while_connecting: int) -> list[Figure]:
    """Count what cancelled calls leave behind."""
    async with ScriptedService() as service, adapter_to(service.url, max_connections=PLACES) as adapter:
        service.hangs = True
        for _ in range(cancelled):
            wanted, call = service.posts + 1, asyncio.create_task(reason_of(adapter))
            while service.posts < wanted:  # noqa: ASYNC110 - the other end is a socket
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        lost_waiting = await _lost_places(adapter, service)
        service.delay_s = 0.0
        for number in range(while_connecting):
            calls = [asyncio.create_task(reason_of(adapter)) for _ in range(2 * PLACES if number % 5 == 0 else 1)]
            for _ in range(number % 10):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        lost_connecting = await _lost_places(adapter, service)
    return [
        Figure(f"changed by {cancelled} cancelled calls", lost_waiting, "", "<=", 0),
        Figure(f"changed by {while_connecting} connect cancels", lost_connecting, "", "<=", 0),
    ]


async def measure(rounds: int) -> program.Report:
    """Measure everything."""
    logging.getLogger("adapters").setLevel(logging.ERROR)
    figures = [*await killed_and_back(), *await circuit_is_open(500 * rounds)]
    failing, sent = await everything_fails(200)
    leaving = await callers_leave(100, 500)
    figures += [failing, await one_of_two_is_bad(60), *leaving]
    return figures, {"calls_per_request": sent, "reset_s": RESET_S, "probe_s": PROBE_S}


if __name__ == "__main__":
    options = program.parser(__doc__ or "", rounds=4).parse_args()
    sys.exit(program.main("adapter", options, lambda: asyncio.run(measure(program.rounds_of(options)))))
