"""The service on an OpenVINO model over HTTP against OpenVINO GenAI used directly: tokens/s and processor time.

    python dev.py bench overhead [-- --quick --concurrent 1 8 32] [FOLDER]

The bare pipeline runs in this process on the same folder; while one works the other is idle. Greedy questions, each
side's answers all computed. For GGUF files `dev.py bench peers` compares with the bare library.
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.data.stories import stories
from bench.harness import study
from bench.harness.http import call_all
from bench.harness.services import Server, llm_service
from bench.harness.study import Figure, Report, Study
from bench.service.asking import Target
from bench.service.embedded import embedded_openvino

ROUNDS, TARGET, TOKENS = 3, 0.95, 64
Rates = dict[str, float]


class BarePipeline:
    """A continuous batching pipeline in this process."""

    def __init__(self, folder: Path, most: int) -> None:
        import openvino_genai as genai

        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching, scheduler.max_num_seqs = True, most
        # As the service by default: where OpenVINO would take bfloat16, this compared precisions, not servers.
        precision = {"INFERENCE_PRECISION_HINT": "f32"}
        self._pipeline = genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU", precision)
        self._tokenizer = self._pipeline.get_tokenizer()
        self._config = genai.GenerationConfig()
        self._config.max_new_tokens, self._config.do_sample = TOKENS, False
        self._config.eos_token_id = self._tokenizer.get_eos_token_id()
        self._running = genai.GenerationStatus.RUNNING
        self._numbers = itertools.count()

    def rates(self, prompts: Sequence[str], concurrent: int) -> Rates:
        """Answer prompts; tokens a second and processor seconds for 1,000 tokens."""
        before, started = time.process_time(), time.perf_counter()
        waiting, handles, tokens = list(prompts), list[Any](), 0
        while waiting or handles:
            while waiting and len(handles) < concurrent:
                handles.append(self._pipeline.add_request(next(self._numbers), self._ids(waiting.pop()), self._config))
            self._pipeline.step()
            for handle in [one for one in handles if one.get_status() != self._running]:
                handles.remove(handle)
                tokens += sum(len(output.generated_ids) for output in handle.read_all())
        seconds, spent = time.perf_counter() - started, time.process_time() - before
        return {"tok_s": tokens / seconds, "cpu_s_per_1000": 1000 * spent / tokens}

    def _ids(self, prompt: str) -> Any:
        text = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, extra_context={"enable_thinking": False}
        )
        return self._tokenizer.encode(text, add_special_tokens=False).input_ids


class OverHttp:
    """The service, plain or streamed."""

    def __init__(self, server: Server, target: Target, *, stream: bool) -> None:
        self._server, self._target, self._stream = server, target, stream

    def rates(self, prompts: Sequence[str], concurrent: int) -> Rates:
        """As the bare pipeline's."""
        calls = [
            self._target.chat([{"role": "user", "content": prompt}], TOKENS, stream=self._stream) for prompt in prompts
        ]
        before = sum(self._server.cpu_seconds().values())
        answers, seconds = call_all(self._server.port, calls, concurrent)
        spent = sum(self._server.cpu_seconds().values()) - before
        tokens = sum(answer.tokens() for answer in answers)
        return {"tok_s": tokens / seconds, "cpu_s_per_1000": 1000 * spent / tokens}


def measure(options: argparse.Namespace) -> Report:
    """Let the three sides take turns."""
    folder, most = (options.folder or embedded_openvino()).resolve(), max(options.concurrent)
    settings = {
        "LLM_BACKEND": "openvino", "LLM_MODEL": str(folder), "LLM_MAX_BATCH": str(most), "EMBEDDING_BACKEND": "fake",
        **options.settings,
    }  # fmt: skip
    prompts = stories()
    with llm_service(settings) as server:
        target = Target(server.port)
        sides: dict[str, BarePipeline | OverHttp] = {
            "bare": BarePipeline(folder, most),
            "plain": OverHttp(server, target, stream=False),
            "streamed": OverHttp(server, target, stream=True),
        }
        found: Study[BarePipeline | OverHttp] = Study(sides)

        def case(concurrent: int) -> study.Case[BarePipeline | OverHttp]:
            count = concurrent if options.quick else 2 * concurrent
            return lambda side: side.rates([next(prompts) for _ in range(count)], concurrent)

        for side in sides.values():
            side.rates([next(prompts) for _ in range(most)], most)
        found.run({f"{concurrent} at once": case(concurrent) for concurrent in options.concurrent},
                  options.rounds)  # fmt: skip
    found.print_tables()
    figures = [
        Figure(f"{name}, {side} / bare", found.ratio(name, side, "bare", "tok_s"), "x", ">=", TARGET)
        for name in found.cases()
        for side in ("plain", "streamed")
    ]
    return Report(figures, {**found.details(), "model": folder.name})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("folder", type=Path, nargs="?", help="an OpenVINO model folder (default: the embedded model's)")
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 32], metavar="N", help="(default: 1 8 32)")
