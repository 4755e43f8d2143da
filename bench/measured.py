"""What a run of ``bench/llm_service.py`` brings to light, and the ratios in it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from bench.loadgen import Reply, percentile
from bench.processes import ProcessMemory
from bench.scenarios import Generation


@dataclass
class Series:
    """One service's values, one a round."""

    alone: list[float] = field(default_factory=list)
    concurrent: list[float] = field(default_factory=list)
    embed_sequential: list[float] = field(default_factory=list)
    embed_concurrent: list[float] = field(default_factory=list)
    requests: int = 0
    full_length: int = 0

    def count(self, generation: Generation) -> float:
        """Note how many answers were cut at their limit; returns the rate."""
        self.requests += generation.requests
        self.full_length += generation.full_length
        return generation.rate

    def summary(self) -> dict[str, object]:
        """Medians, all values, and the share of answers that used all their tokens."""
        named = {
            "alone_tok_s": self.alone,
            "concurrent_8_tok_s": self.concurrent,
            "embed_sequential_texts_s": self.embed_sequential,
            "embed_4_callers_texts_s": self.embed_concurrent,
        }
        values = {
            name: {"median": round(statistics.median(series), 1), "rounds": [round(value, 1) for value in series]}
            for name, series in named.items()
        }
        return {**values, "full_length_share": round(self.full_length / self.requests, 3)}


@dataclass
class Measured:
    """Everything a run brings to light."""

    baseline: Series = field(default_factory=Series)
    ours: Series = field(default_factory=Series)
    baseline_latency: dict[str, dict[str, float]] = field(default_factory=dict)
    ours_latency: dict[str, dict[str, float]] = field(default_factory=dict)
    baseline_memory: list[ProcessMemory] = field(default_factory=list)
    ours_memory: list[ProcessMemory] = field(default_factory=list)
    scaling: dict[str, float] = field(default_factory=dict)
    others_busy: list[float] = field(default_factory=list)
    """Share of the processors that other programs took, each round."""
    embedded: list[tuple[list[str], list[Reply]]] = field(default_factory=list)
    """The texts our service embedded in the first round, and its replies."""


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: the two halves of a round met the same machine."""
    return statistics.median(mine / their for mine, their in zip(ours, theirs, strict=True))


def details_of(measured: Measured) -> dict[str, object]:
    """Everything that was measured, for the line of JSON."""
    ours, theirs = measured.ours, measured.baseline
    return {
        "others_busy": measured.others_busy,
        "embed_4_callers_ratio": round(ratio(ours.embed_concurrent, theirs.embed_concurrent), 2),
        # Best against best: what a disturbance during some rounds leaves standing.
        "best_ratios": {
            "alone": round(max(ours.alone) / max(theirs.alone), 2),
            "concurrent_8": round(max(ours.concurrent) / max(theirs.concurrent), 2),
            "embed_sequential": round(max(ours.embed_sequential) / max(theirs.embed_sequential), 2),
            "embed_4_callers": round(max(ours.embed_concurrent) / max(theirs.embed_concurrent), 2),
        },
        "baseline": {
            **theirs.summary(),
            "latency": measured.baseline_latency,
            "memory_mb": [asdict(process) for process in measured.baseline_memory],
        },
        "ours": {
            **ours.summary(),
            "latency": measured.ours_latency,
            "memory_mb": [asdict(process) for process in measured.ours_memory],
            "scaling_tok_s": measured.scaling,
            "embed_request_p50_ms": round(
                percentile([reply.seconds * 1000 for reply in measured.embedded[0][1]], 0.5), 1
            ),
        },
    }
