"""What an answer of ``/api/llm/embed`` costs in each type and encoding: bytes, and processor time at both ends."""

import base64
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.loadgen import Reply, post_all
from bench.processes import Service

EMBED = "/api/llm/embed"
DTYPES = ("float32", "int8", "uint8", "binary")
ENCODINGS = ("float", "base64")
NUMPY_TYPES = {"float32": "<f4", "int8": "i1", "uint8": "u1", "binary": "u1"}
Matrix = npt.NDArray[Any]


@dataclass(frozen=True)
class WireCost:
    """One type in one encoding. Bytes are for one vector; processor time in ms for 1,000 vectors."""

    dtype: str
    encoding: str
    raw_bytes: int
    wire_bytes: float
    server_cpu_ms: float
    client_cpu_ms: float


def embed_bodies(texts: Sequence[str], per_request: int, dtype: str, encoding: str) -> list[bytes]:
    """Return request bodies that together hold ``texts``, in order."""
    fields = {"output_dtype": dtype, "encoding_format": encoding}
    parts = (list(texts[at : at + per_request]) for at in range(0, len(texts), per_request))
    return [json.dumps({"texts": part, **fields}).encode() for part in parts]


def decoded(reply: bytes) -> tuple[Matrix, Matrix | None]:
    """Return the matrix of an answer, shape (texts, numbers or bytes), and its scales."""
    body = json.loads(reply)
    numpy_type = NUMPY_TYPES[body["dtype"]]
    if isinstance(body["embeddings"][0], str):
        rows = b"".join(base64.b64decode(text) for text in body["embeddings"])
        matrix = np.frombuffer(rows, numpy_type).reshape(body["count"], -1)
    else:
        matrix = np.array(body["embeddings"], dtype=numpy_type)
    scales = body.get("scales")
    return matrix, None if scales is None else np.array(scales, dtype=np.float32)


def wire_costs(service: Service, vectors: int, per_request: int, rounds: int) -> list[WireCost]:
    """Measure every type and encoding in turns; means over the rounds, since the system counts
    processor time in steps of some milliseconds. No text comes twice.
    """
    texts = (f"text number {number}" for number in itertools.count())
    spent: dict[tuple[str, str], list[WireCost]] = {}
    for round_number in range(rounds + 1):
        for dtype, encoding in itertools.product(DTYPES, ENCODINGS):
            cost = _measure(service, texts, vectors, per_request, dtype, encoding)
            if round_number:  # the first one warms up
                spent.setdefault((dtype, encoding), []).append(cost)
    return [_mean(costs) for costs in spent.values()]


def _measure(
    service: Service, texts: Iterator[str], vectors: int, per_request: int, dtype: str, encoding: str
) -> WireCost:
    bodies = embed_bodies(list(itertools.islice(texts, vectors)), per_request, dtype, encoding)
    replies, server_s = _with_cpu_of_http_process(service, lambda: post_all(service.port, EMBED, bodies, 1).replies)
    started = time.process_time()
    matrices = [decoded(reply.body)[0] for reply in replies]
    client_s = time.process_time() - started
    return WireCost(
        dtype=dtype,
        encoding=encoding,
        raw_bytes=matrices[0].shape[1] * matrices[0].itemsize,
        wire_bytes=sum(len(reply.body) for reply in replies) / vectors,
        server_cpu_ms=1e6 * server_s / vectors,
        client_cpu_ms=1e6 * client_s / vectors,
    )


def _with_cpu_of_http_process(service: Service, work: Callable[[], Sequence[Reply]]) -> tuple[Sequence[Reply], float]:
    """Return what ``work`` returns and the seconds of processor time the HTTP process took meanwhile."""
    process = service.processes()[0]
    before = process.cpu_times()
    result = work()
    after = process.cpu_times()
    return result, (after.user + after.system) - (before.user + before.system)


def _mean(costs: Sequence[WireCost]) -> WireCost:
    return WireCost(
        dtype=costs[0].dtype,
        encoding=costs[0].encoding,
        raw_bytes=costs[0].raw_bytes,
        wire_bytes=round(statistics.fmean(cost.wire_bytes for cost in costs), 1),
        server_cpu_ms=round(statistics.fmean(cost.server_cpu_ms for cost in costs), 1),
        client_cpu_ms=round(statistics.fmean(cost.client_cpu_ms for cost in costs), 1),
    )
