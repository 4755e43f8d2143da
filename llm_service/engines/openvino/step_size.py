"""Tokens that the OpenVINO engine reads in one step: of one long prompt, and of several short ones.

A step cannot be interrupted, so a new request, a cancel or a heartbeat may wait for one step. It depends on the
model, the processor and the number format, and is measured at each warm-up. The result is kept beside the converted
models as the next start's first guess; a wrong guess costs one more build of the pipeline.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from models.artifacts import read_json
from models.files import replacing

FILE_NAME = "step-sizes.json"
LONGEST_STEP_S = 0.25
AIM_S = 0.2
SHORTEST_STEP_S = 0.15
"""A size that takes between this and the longest is kept: machines are never quite the same twice. At 0.1 a size found
on a busy machine (160 tokens instead of 224) stayed for good, and prompts were read a quarter slower."""
SMALLEST, LARGEST, GRAIN = 32, 2048, 32
BURST_STEPS, BURST_TOKENS = 4, 256
"""Short prompts share a step of up to this many times the size, and of up to this many tokens: the weights are
fetched once a step. With AVX2, 32 short questions at once: 14 instead of 22 s of processor time for 1,000 tokens."""
GUESSED_BYTES_PER_S = 1.2e11
"""Weights times tokens read in a second, of a two-core server; only the very first start uses it."""
MEASUREMENTS = 3
"""The quickest counts: on a busy machine every one of them is too long."""

logger = logging.getLogger(__name__)


def guess(weight_bytes: int) -> int:
    """Return a size for a model that has not been measured on this machine."""
    return rounded(AIM_S * GUESSED_BYTES_PER_S / weight_bytes)


def rounded(tokens: float) -> int:
    """Return a size that the engine can use."""
    return max(SMALLEST, min(LARGEST, int(tokens) // GRAIN * GRAIN))


def burst(tokens: int) -> int:
    """Return the tokens of several short prompts that one step reads, where a long prompt's part has ``tokens``."""
    if tokens == SMALLEST:  # perhaps far too long already
        return tokens
    return max(tokens, min(BURST_STEPS * tokens, BURST_TOKENS))


def measure(read: Callable[[Sequence[int]], None], tokens: int, vocabulary_size: int) -> float:
    """Return the seconds that reading ``tokens`` tokens in one step takes.

    ``read`` is called with tokens that no cache can know; the first call compiles kernels.
    """
    quickest = float("inf")
    for attempt in range(1 + MEASUREMENTS):
        prompt = [random.randrange(vocabulary_size) for _ in range(tokens)]  # noqa: S311 - no secret
        started = time.perf_counter()
        read(prompt)
        if attempt:
            quickest = min(quickest, time.perf_counter() - started)
            if better(tokens, quickest) is None:
                break
    return quickest


def better(tokens: int, seconds: float) -> int | None:
    """Return the size to use instead of ``tokens``, which took ``seconds``; None when it will do."""
    if SHORTEST_STEP_S <= seconds <= LONGEST_STEP_S:
        return None
    size = rounded(tokens * AIM_S / max(seconds, 1e-6))
    return size if size != tokens else None


def load(folder: Path, key: str) -> int | None:
    """Return the size that was found before for a model and its options."""
    size = read_json(folder / FILE_NAME).get(key)
    return rounded(size) if isinstance(size, int) else None


def save(folder: Path, key: str, tokens: int) -> None:
    """Keep a size for the next start; a folder that cannot be written to is logged and no error."""
    try:
        with replacing(folder / FILE_NAME) as draft:
            draft.write_text(json.dumps(read_json(folder / FILE_NAME) | {key: tokens}, indent=1), encoding="utf-8")
    except OSError as error:
        logger.warning("the step size cannot be kept: %s", error)
