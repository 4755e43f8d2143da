"""The service on an OpenVINO model over HTTP against OpenVINO GenAI used directly: tokens/s and processor time.

    python dev.py bench overhead -- FOLDER [--quick] [--concurrent 1 8 32]

The bare pipeline runs in a process of its own on the same folder; while one works the other is idle. The same greedy
questions, each side's answers all computed. For GGUF files `dev.py bench peers` compares with the bare library.
"""

# needs: FOLDER

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from bench.data.stories import stories
from bench.harness import study
from bench.harness.http import MeasuringFailed, call_all
from bench.harness.services import Server, cpu_seconds, llm_service
from bench.harness.study import Figure, Report, Study
from bench.service.asking import Target

ROUNDS, TARGET, TOKENS, LOAD_TIMEOUT_S = 3, 0.95, 64, 300.0
Rates = dict[str, float]


class BarePipeline:
    """A continuous batching pipeline in its process."""

    def __init__(self, folder: Path, most: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, str(folder), most), daemon=True)
        self._theirs = theirs

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        if not self._pipe.poll(LOAD_TIMEOUT_S):
            raise MeasuringFailed(f"the bare pipeline was not loaded within {LOAD_TIMEOUT_S:.0f} s")
        self._pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(5)
        self._process.kill()

    def processes(self) -> list[psutil.Process]:
        """The one process."""
        return [psutil.Process(self._process.pid)]

    def rates(self, prompts: Sequence[str], concurrent: int) -> Rates:
        """Answer prompts; tokens a second and processor seconds for 1,000 tokens."""
        before = cpu_seconds(self.processes()[0])
        self._pipe.send((list(prompts), concurrent))
        tokens, seconds = self._pipe.recv()
        spent = cpu_seconds(self.processes()[0]) - before
        return {"tok_s": tokens / seconds, "cpu_s_per_1000": 1000 * spent / tokens}


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


def _serve(pipe: Connection, folder: str, most: int) -> None:
    import openvino_genai as genai

    os.dup2(2, 1)  # the parent's last line on standard output is the report
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching, scheduler.max_num_seqs = True, most
    # As the service by default: where OpenVINO would take bfloat16, this compared precisions, not servers.
    pipeline = genai.ContinuousBatchingPipeline(folder, scheduler, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    tokenizer = pipeline.get_tokenizer()
    config = genai.GenerationConfig()
    config.max_new_tokens, config.do_sample = TOKENS, False
    config.eos_token_id = tokenizer.get_eos_token_id()
    pipe.send(None)
    numbers = iter(range(10**9))
    while True:
        try:
            prompts, concurrent = pipe.recv()
        except EOFError:
            return
        started = time.perf_counter()
        waiting, handles, tokens = list(prompts), list[Any](), 0
        while waiting or handles:
            while waiting and len(handles) < concurrent:
                text = tokenizer.apply_chat_template(
                    [{"role": "user", "content": waiting.pop()}],
                    add_generation_prompt=True,
                    extra_context={"enable_thinking": False},
                )
                ids = tokenizer.encode(text, add_special_tokens=False).input_ids
                handles.append(pipeline.add_request(next(numbers), ids, config))
            pipeline.step()
            for handle in [one for one in handles if one.get_status() != genai.GenerationStatus.RUNNING]:
                handles.remove(handle)
                tokens += sum(len(output.generated_ids) for output in handle.read_all())
        pipe.send((tokens, time.perf_counter() - started))


def measure(options: argparse.Namespace) -> Report:
    """Let the three sides take turns."""
    folder, most = Path(options.folder).resolve(), max(options.concurrent)
    settings = {
        "LLM_BACKEND": "openvino", "LLM_MODEL": str(folder), "LLM_MAX_BATCH": str(most), "EMBEDDING_BACKEND": "fake",
        **study.settings_of(options),
    }  # fmt: skip
    prompts = stories()
    with ExitStack() as stack:
        server = stack.enter_context(llm_service(settings))
        bare = stack.enter_context(BarePipeline(folder, most))
        server.wait_until_ready()
        target = Target(server.port)
        sides: dict[str, BarePipeline | OverHttp] = {
            "bare": bare,
            "plain": OverHttp(server, target, stream=False),
            "streamed": OverHttp(server, target, stream=True),
        }
        found: Study[BarePipeline | OverHttp] = Study(sides, (server, bare))

        def case(concurrent: int) -> study.Case[BarePipeline | OverHttp]:
            count = concurrent if options.quick else 2 * concurrent
            return lambda side: side.rates([next(prompts) for _ in range(count)], concurrent)

        for side in sides.values():
            side.rates([next(prompts) for _ in range(most)], most)
        found.run({f"{concurrent} at once": case(concurrent) for concurrent in options.concurrent},
                  study.rounds_of(options))  # fmt: skip
    found.print_tables()
    figures = [
        Figure(f"{name}, {side} / bare", found.ratio(name, side, "bare", "tok_s"), "x", ">=", TARGET)
        for name in found.cases()
        for side in ("plain", "streamed")
    ]
    return Report(figures, {**found.details(), "model": folder.name})


def main() -> int:
    """Measure and report."""
    parser = study.parser(__doc__ or "", ROUNDS)
    parser.add_argument("folder", help="an OpenVINO model folder")
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 32], metavar="N", help="(default: 1 8 32)")
    options = parser.parse_args()
    return study.main("overhead", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
