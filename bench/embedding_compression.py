"""Size, speed and recall@10 of compressed embeddings against float32, on a real corpus.

    python dev.py bench embedding_compression [-- --quick | --corpus FILE | --save FILE.npz]

Without ``--corpus`` the texts are sentences of the documentation strings of Python and of packages
that set-up installs. Vectors come from the service over HTTP, once in each type; queries are
sentences that are no documents. The last line on standard output is one JSON object. The exit
status tells whether the measuring worked, not whether the targets are reached.
"""

import argparse
import itertools
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import vector_search as vs
from bench.embedding_wire_cost import DTYPES, EMBED, ENCODINGS, Matrix, WireCost, decoded, embed_bodies, wire_costs
from bench.figures import Figure, print_figures, print_summary
from bench.loadgen import post_all
from bench.processes import MeasuringFailed, Service, llm_service, machine
from bench.sentences import documentation_sentences, held_out, sentences_of

TOP = 10
FACTORS = (1, 4, 10, 20)
TARGET_FACTOR = 10
PER_REQUEST = 256
PER_TIMED_REQUEST = 32
SEED = 7


@dataclass(frozen=True)
class Size:
    """How much is measured; ``timed`` requests for each type and encoding."""

    documents: int
    queries: int
    timed: int
    wire_vectors: int
    wire_rounds: int


FULL = Size(documents=20_000, queries=1_000, timed=10, wire_vectors=8_192, wire_rounds=5)
QUICK = Size(documents=10_000, queries=300, timed=3, wire_vectors=2_048, wire_rounds=1)


@dataclass(frozen=True)
class Compressed:
    """The same texts in each type, as the service gave them."""

    floats: vs.Floats
    codes: vs.Int8s
    scales: vs.Floats
    bits: vs.Bytes


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half the documents, fewer queries and rounds")
    parser.add_argument("--corpus", type=Path, metavar="FILE", help="JSON (every string in it), or a text a line")
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help="keep the vectors, for pgvector_compression")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    # `dev.py bench` ends its benchmarks so; the services must not outlive them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    where = machine()
    print(f"machine: {where}")
    try:
        sentences = sentences_of(options.corpus) if options.corpus else documentation_sentences()
        documents, queries = held_out(sentences, size.documents, size.queries, SEED)
        if len(documents) <= TOP * max(FACTORS):
            raise MeasuringFailed(f"{len(sentences)} texts are too few")
        print(f"{len(sentences)} distinct texts; {len(documents)} documents, {len(queries)} queries", flush=True)
        with llm_service({"LLM_BACKEND": "fake"}) as service:
            service.wait_for("/readyz")
            found = fetch(service, documents, "documents"), fetch(service, queries, "queries")
            request_ms = time_requests(service, documents, size.timed)
        with llm_service({"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake"}) as service:
            service.wait_for("/readyz")
            costs = wire_costs(service, size.wire_vectors, PER_REQUEST, size.wire_rounds)
    except (MeasuringFailed, OSError, psutil.Error) as error:
        print(f"The measuring failed: {error}", file=sys.stderr)
        return 1
    if options.save:
        np.savez(options.save, documents=found[0].floats, queries=found[1].floats)
    searches = search(*found)
    _print_costs(costs, request_ms)
    _print_searches(searches)
    figures = figures_of(searches)
    print_figures(figures)
    details: dict[str, object] = {
        "quick": options.quick,
        "corpus": options.corpus.name if options.corpus else "documentation strings",
        "documents": len(documents),
        "queries": len(queries),
        "machine": where,
        "wire": [asdict(cost) for cost in costs],
        "request_p50_ms": request_ms,
        "search": {
            name: {"recall": round(value.recall, 4), "p50_ms": round(value.p50_ms, 3)}
            for name, value in searches.items()
        },
    }
    print_summary("embedding_compression", figures, details)
    return 0


def fetch(service: Service, texts: Sequence[str], what: str) -> Compressed:
    """Have texts embedded in every type; uint8 is checked to be int8 with another zero, then dropped."""
    matrices: dict[str, list[Matrix]] = {dtype: [] for dtype in DTYPES}
    scales: list[Matrix] = []
    started = time.perf_counter()
    batches = {dtype: embed_bodies(texts, PER_REQUEST, dtype, "base64") for dtype in DTYPES}
    for number, bodies in enumerate(zip(*batches.values(), strict=True)):
        for dtype, body in zip(DTYPES, bodies, strict=True):
            matrix, steps = decoded(post_all(service.port, EMBED, [body], 1).replies[0].body)
            matrices[dtype].append(matrix)
            if dtype == "int8" and steps is not None:
                scales.append(steps)
        done = min(len(texts), (number + 1) * PER_REQUEST)
        if done == len(texts) or not (number + 1) % 10:
            print(f"  {what}: {done}/{len(texts)} in every type, {time.perf_counter() - started:.0f} s", flush=True)
    floats, codes, shifted, bits = (np.concatenate(matrices[dtype]) for dtype in DTYPES)
    if not np.array_equal(shifted.astype(int) - 128, codes):
        raise MeasuringFailed("uint8 answers are not int8 answers plus 128")
    return Compressed(floats, codes, np.concatenate(scales), bits)


def time_requests(service: Service, texts: Sequence[str], rounds: int) -> dict[str, float]:
    """Median milliseconds of a request of 32 texts with the real model, in turns; no text comes twice."""
    fresh = (f"{text} Once more: {number}." for number, text in enumerate(itertools.cycle(texts)))
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for dtype in DTYPES:
            for encoding in ENCODINGS:
                part = [next(fresh) for _ in range(PER_TIMED_REQUEST)]
                load = post_all(service.port, EMBED, embed_bodies(part, PER_TIMED_REQUEST, dtype, encoding), 1)
                times.setdefault(f"{dtype} {encoding}", []).append(1000 * load.replies[0].seconds)
    return {name: round(statistics.median(values), 1) for name, values in times.items()}


def search(documents: Compressed, queries: Compressed) -> dict[str, vs.Found]:
    """Search in every way; the exact float32 search says what is right."""
    exact = vs.float_search(queries.floats, documents.floats, TOP)
    expected = [exact(number) for number in range(len(queries.floats))]
    ways = {
        "float32": exact,
        "int8, float32 query": vs.int8_search(queries.floats, documents.codes, documents.scales, TOP),
        "int8 on both sides, cosine of the codes": vs.code_search(queries.codes, documents.codes, TOP),
        "binary, Hamming": vs.bit_search(queries.bits, documents.bits, TOP),
    }
    for factor in FACTORS[1:]:
        coarse = vs.bit_search(queries.bits, documents.bits, TOP * factor)
        ways[f"binary, {factor * TOP} rescored in float32"] = vs.rescored_search(
            coarse, queries.floats, documents.floats, TOP
        )
    coarse = vs.bit_search(queries.bits, documents.bits, TOP * TARGET_FACTOR)
    ways[f"binary, {TOP * TARGET_FACTOR} rescored in int8"] = vs.rescored_with_codes(
        coarse, queries.floats, documents.codes, documents.scales, TOP
    )
    measured = {}
    for name, way in ways.items():
        measured[name] = vs.measure(way, expected)
        print(f"  searched: {name}", flush=True)
    return measured


def figures_of(searches: dict[str, vs.Found]) -> list[Figure]:
    """The figures that have targets."""
    rescored = f"binary, {TARGET_FACTOR * TOP} rescored in float32"
    return [
        Figure("recall@10, int8 with its scales", searches["int8, float32 query"].recall, "", ">=", 0.97),
        Figure(
            "recall@10, cosine of int8 codes",
            searches["int8 on both sides, cosine of the codes"].recall,
            "",
            ">=",
            0.97,
        ),
        Figure(f"recall@10, {rescored}", searches[rescored].recall, "", ">=", 0.95),
    ]


def _print_costs(costs: Sequence[WireCost], request_ms: dict[str, float]) -> None:
    print(f"\n{'type':<9}{'encoding':<9}{'raw B':>7}{'wire B':>8}{'request ms':>12}{'server':>9}{'client':>9}")
    for cost in costs:
        print(
            f"{cost.dtype:<9}{cost.encoding:<9}{cost.raw_bytes:>7}{cost.wire_bytes:>8.0f}"
            f"{request_ms[f'{cost.dtype} {cost.encoding}']:>12.1f}{cost.server_cpu_ms:>9.1f}{cost.client_cpu_ms:>9.1f}"
        )
    print("bytes a vector; requests of 32 texts; server, client: ms of processor time for 1,000 vectors")


def _print_searches(searches: dict[str, vs.Found]) -> None:
    print(f"\n{'search':<44}{'recall@10':>10}{'ms a query':>12}")
    for name, found in searches.items():
        print(f"{name:<44}{found.recall:>10.4f}{found.p50_ms:>12.3f}")


if __name__ == "__main__":
    sys.exit(main())
