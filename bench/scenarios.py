"""What is measured of one service: answers one at a time and together, embeddings, health under load."""

import contextlib
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.agreement import Vectors
from bench.loadgen import Prober, Reply, percentile, post_all
from bench.workload import embedding_bodies

GENERATE, EMBED, HEALTH, LIVEZ = "/api/llm/generate", "/api/llm/embed", "/api/llm/health", "/livez"
MORE_BURSTS_LIMIT = 200


@dataclass(frozen=True)
class Generation:
    """Tokens generated in so many seconds, by requests of which ``full_length`` reached their limit."""

    requests: int
    tokens: int
    seconds: float
    full_length: int

    @property
    def rate(self) -> float:
        """Tokens a second, over all requests."""
        return self.tokens / self.seconds


@dataclass
class Subject:
    """A service to be measured, and what its health routes took while it was."""

    name: str
    port: int
    bodies: Iterator[bytes]
    max_new_tokens: int
    probed: Sequence[str] = (HEALTH,)
    latencies_ms: dict[str, list[float]] = field(default_factory=dict)

    def generate(self, requests: int, callers: int) -> Generation:
        """Generate answers, so many at a time."""
        load = post_all(self.port, GENERATE, list(itertools.islice(self.bodies, requests)), callers)
        tokens = [int(json.loads(reply.body)["tokens_generated"]) for reply in load.replies]
        full = sum(count == self.max_new_tokens for count in tokens)
        return Generation(requests, sum(tokens), load.seconds, full)

    def generate_bursts(self, requests: int, bursts: int, probe_every_s: float = 0.05) -> Generation:
        """Generate answers to ``requests`` sent at the same moment, several times, with health probed meanwhile."""
        with self._probing(probe_every_s):
            parts = [self.generate(requests, callers=requests) for _ in range(bursts)]
        return _together(parts)

    def generate_for(self, seconds: float, callers: int, probe_every_s: float) -> Generation:
        """Keep generating for a time, with health probed closely."""
        parts: list[Generation] = []
        ending = time.perf_counter() + seconds
        with self._probing(probe_every_s):
            while time.perf_counter() < ending and len(parts) < MORE_BURSTS_LIMIT:
                parts.append(self.generate(2 * callers, callers))
        return _together(parts)

    def embed(self, texts: Sequence[str], callers: int) -> tuple[float, list[Reply]]:
        """Embed texts in requests of 32; returns texts a second and the replies in order."""
        load = post_all(self.port, EMBED, embedding_bodies(texts), callers)
        return len(texts) / load.seconds, list(load.replies)

    def latency_summary(self) -> dict[str, dict[str, float]]:
        """Milliseconds the probed routes took, over everything that was probed."""
        return {
            path: {
                "samples": len(values),
                "p50_ms": round(percentile(values, 0.5), 2),
                "p99_ms": round(percentile(values, 0.99), 2),
                "max_ms": round(max(values), 2),
            }
            for path, values in self.latencies_ms.items()
        }

    @contextlib.contextmanager
    def _probing(self, interval_s: float) -> Iterator[None]:
        probers = [Prober(self.port, path, interval_s) for path in self.probed]
        with contextlib.ExitStack() as stack:
            for prober in probers:
                stack.enter_context(prober)
            yield
        for prober in probers:
            self.latencies_ms.setdefault(prober.path, []).extend(prober.latencies_ms)


def vectors_of(replies: Sequence[Reply]) -> Vectors:
    """The vectors of embedding replies, shape (texts, dimension)."""
    return np.array([vector for reply in replies for vector in json.loads(reply.body)["embeddings"]], dtype=np.float64)


def _together(parts: Sequence[Generation]) -> Generation:
    return Generation(
        requests=sum(part.requests for part in parts),
        tokens=sum(part.tokens for part in parts),
        seconds=sum(part.seconds for part in parts),
        full_length=sum(part.full_length for part in parts),
    )
