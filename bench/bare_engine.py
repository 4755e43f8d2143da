"""OpenVINO GenAI used directly, in a process of its own: what a service around it is measured against.

The model file, the properties, the scheduler's settings, the chat template and the sampling are the
service's, from the very functions that it uses; there is no HTTP, no queue, no stream, no decoding
before an answer is whole. While it is not asked it waits for its pipe and takes no processor time.
"""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import psutil

from bench.processes import MeasuringFailed

LOAD_TIMEOUT_S = 180.0
NICENESS = 5
"""As the service's workers: who else wants the processor meets both alike."""


@dataclass(frozen=True)
class Job:
    """Prompts to answer, ``concurrent`` at a time."""

    prompts: tuple[str, ...]
    concurrent: int
    max_new_tokens: int
    temperature: float
    top_p: float


@dataclass(frozen=True)
class Outcome:
    """Tokens generated in so many seconds, by answers of which ``full_length`` reached their limit."""

    tokens: int
    seconds: float
    full_length: int
    prompt_tokens: int


class BareEngine:
    """The engine in its process: started on entry, ended on exit."""

    def __init__(self, max_batch: int, step_tokens: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, max_batch, step_tokens), daemon=True)
        self._theirs = theirs

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(5)
        self._process.kill()

    def wait_until_loaded(self) -> None:
        """Wait until the model is loaded."""
        if not self._pipe.poll(LOAD_TIMEOUT_S):
            raise MeasuringFailed(f"the bare engine was not loaded within {LOAD_TIMEOUT_S:.0f} s")
        self._receive()

    def run(self, job: Job) -> Outcome:
        """Have prompts answered."""
        self._pipe.send(job)
        outcome: Outcome = self._receive()
        return outcome

    def processes(self) -> list[psutil.Process]:
        """The one process."""
        return [psutil.Process(self._process.pid)]

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            raise MeasuringFailed("the bare engine's process ended; what it wrote is above") from None


def _serve(pipe: Connection, max_batch: int, step_tokens: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # the parent's last line on standard output is the report
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    engine = _Engine(max_batch, step_tokens)
    pipe.send(None)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(engine.answer(job))


class _Engine:
    """The pipeline. OpenVINO is imported here, in the child alone."""

    def __init__(self, max_batch: int, step_tokens: int) -> None:
        import openvino_genai  # after the engines, which keep its telemetry away

        from engines.hardware import memory_bytes
        from engines.kv_cache import cache_blocks, read_shape
        from engines.models import EMBEDDED, local_artifact
        from engines.openvino_options import properties, scheduler_config

        artifact = local_artifact(EMBEDDED)
        assert artifact is not None
        blocks = cache_blocks(read_shape(artifact), 0.0, memory_bytes())
        scheduler = scheduler_config(blocks=blocks, max_batch=max_batch, step_tokens=step_tokens)
        self._running = openvino_genai.GenerationStatus.RUNNING
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            str(artifact.path), scheduler, "CPU", properties("auto")
        )
        self._tokenizer = self._pipeline.get_tokenizer()
        self._next_id = 0

    def answer(self, job: Job) -> Outcome:
        """Answer prompts; the next one begins when another has ended."""
        waiting = list(reversed(job.prompts))
        handles: list[Any] = []
        texts: list[str] = []
        tokens = full_length = prompt_tokens = 0
        started = time.perf_counter()
        while waiting or handles:
            while waiting and len(handles) < job.concurrent:
                handle, length = self._begin(waiting.pop(), job)
                handles.append(handle)
                prompt_tokens += length
            self._pipeline.step()
            for handle in [handle for handle in handles if handle.get_status() != self._running]:
                handles.remove(handle)
                ids = [token for output in handle.read_all() for token in output.generated_ids]
                texts.append(self._tokenizer.decode(ids, skip_special_tokens=True))
                tokens += len(ids)
                full_length += len(ids) == job.max_new_tokens
        seconds = time.perf_counter() - started
        return Outcome(tokens, seconds, full_length, prompt_tokens)

    def _begin(self, prompt: str, job: Job) -> tuple[Any, int]:
        from engines.base import SamplingParams
        from engines.openvino_options import generation_config

        self._next_id += 1
        history = [{"role": "user", "content": prompt}]
        template = self._tokenizer.apply_chat_template(
            history, add_generation_prompt=True, extra_context={"enable_thinking": False}
        )
        ids = self._tokenizer.encode(template, add_special_tokens=False).input_ids
        sampling = SamplingParams(job.max_new_tokens, job.temperature, job.top_p)
        config = generation_config(self._pipeline.get_config(), sampling, job.max_new_tokens, any_seed=self._next_id)
        return self._pipeline.add_request(self._next_id, ids, config), int(ids.shape[1])
