"""Text generation with transformers, for models and devices that OpenVINO does not serve."""

import logging
import queue
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import torch
from jinja2 import TemplateError

from engines.base import (
    ChatMessage,
    EmbeddingRequest,
    EngineBroken,
    EngineInfo,
    Failed,
    Failure,
    Finished,
    FirstToken,
    GenerationRequest,
    RequestEvent,
    RequestRejected,
    SamplingParams,
)
from engines.model_fingerprint import model_fingerprint
from engines.text_assembly import TextAssembler
from engines.thinking import begins_inside_thought
from engines.transformers_batch import Row, StaticBatch
from engines.transformers_loading import load
from engines.transformers_sampling import RowSampler

STEP_WAIT_S = 0.05
GATHER_S = 0.01
"""How long the first request of a batch waits for others that were sent at the same moment."""

logger = logging.getLogger(__name__)


class TransformersGenerator:
    """An ``Engine`` for generation requests.

    Requests run as static batches through ``generate()`` in one thread: those that wait when a batch
    begins are its rows, up to ``max_batch`` and to the memory for their KV cache. One that comes
    later waits until the batch has ended, so a long answer delays it; the OpenVINO engine has no
    such wait. ``step`` hands over what the thread has produced.
    """

    def __init__(
        self,
        *,
        model_path: Path,
        requested_model: str,
        model_name: str,
        degraded: bool,
        device_map: str,
        dtype: str,
        max_batch: int,
    ) -> None:
        self._loaded = load(model_path, name=model_name, device_map=device_map, dtype=dtype)
        self._max_batch = max_batch
        self._rows: dict[str, Row] = {}
        self._waiting: deque[Row] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._outbox: queue.SimpleQueue[tuple[Row, RequestEvent] | EngineBroken] = queue.SimpleQueue()
        self._broken: EngineBroken | None = None
        self.info = EngineInfo(
            backend="transformers",
            model=model_name,
            requested_model=requested_model,
            artifact="gguf" if model_path.suffix.lower() == ".gguf" else "safetensors",
            device=str(self._loaded.model.device),
            context_length=self._loaded.context_length,
            degraded=degraded,
            fingerprint=model_fingerprint(model_path),
        )
        self._thread = threading.Thread(target=self._serve, name="transformers-generate", daemon=True)
        self._thread.start()

    def warm_up(self) -> None:
        """Generate a few tokens."""
        sampling = SamplingParams(max_new_tokens=4, temperature=0.0, top_p=1.0)
        self.submit(GenerationRequest("warm-up", (ChatMessage("user", "1 2 3"),), sampling))
        while self.running:
            self.step()

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Tokenize the conversation and queue it for the next batch."""
        assert isinstance(request, GenerationRequest)
        if request.sampling.json_schema is not None:
            raise RequestRejected(Failure.UNSUPPORTED, "this engine cannot make answers follow a JSON schema")
        prompt_ids = self._tokenize(request)
        room = self.info.context_length - len(prompt_ids)
        if room < 1:
            raise RequestRejected(
                Failure.CONTEXT_LENGTH_EXCEEDED,
                f"the conversation has {len(prompt_ids)} tokens; this model reads {self.info.context_length - 1}",
                prompt_tokens=len(prompt_ids),
                context_length=self.info.context_length,
            )
        row = Row(
            request=request,
            prompt_ids=prompt_ids,
            max_new_tokens=min(request.sampling.max_new_tokens, room),
            text=TextAssembler(self._decode, request.sampling.stop),
            sampler=RowSampler(request.sampling, top_k=self._loaded.top_k, device=self._loaded.model.device),
        )
        self._rows[request.id] = row
        with self._changed:
            self._waiting.append(row)
            self._changed.notify()

    def cancel(self, request_id: str) -> None:
        """Drop a request; its row of a batch under way ends after the next token."""
        row = self._rows.pop(request_id, None)
        if row is None:
            return
        row.cancelled = True
        with self._changed:
            if row in self._waiting:
                self._waiting.remove(row)

    def step(self) -> Sequence[RequestEvent]:
        """Return what the thread has produced, waiting ``STEP_WAIT_S`` seconds when that is nothing."""
        if self._broken is not None:
            raise self._broken
        events: list[RequestEvent] = []
        try:
            item = self._outbox.get(timeout=STEP_WAIT_S)
            while True:
                if isinstance(item, EngineBroken):
                    self._broken = item
                    raise item
                self._deliver(*item, events)
                item = self._outbox.get_nowait()
        except queue.Empty:
            return events

    @property
    def running(self) -> int:
        """Requests waiting or in a batch."""
        return len(self._rows)

    def close(self) -> None:
        """Cancel everything and end the thread, which may finish the token it computes."""
        for request_id in list(self._rows):
            self.cancel(request_id)
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=30)

    def _deliver(self, row: Row, event: RequestEvent, events: list[RequestEvent]) -> None:
        # By identity: what a cancelled request still had on the way must not reach one with its id.
        if self._rows.get(event.request_id) is not row:
            return
        if isinstance(event, FirstToken):
            event = FirstToken(event.request_id, begins_inside_thought(row.prompt_ids, self._decode))
        events.append(event)
        if isinstance(event, Finished | Failed):
            del self._rows[event.request_id]

    def _tokenize(self, request: GenerationRequest) -> list[int]:
        history = [{"role": message.role, "content": message.content} for message in request.messages]
        try:
            encoded = self._loaded.tokenizer.apply_chat_template(
                history,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                enable_thinking=request.enable_thinking,
            )
        except TemplateError as error:
            raise RequestRejected(
                Failure.UNSUPPORTED, "the model's chat template does not accept this sequence of messages"
            ) from error
        ids: list[int] = encoded["input_ids"]
        return ids

    def _decode(self, ids: list[int]) -> str:
        return str(self._loaded.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _serve(self) -> None:
        while rows := self._next_rows():
            batch = StaticBatch(
                self._loaded.model,
                rows,
                stop_ids=self._loaded.stop_ids,
                pad_id=self._loaded.pad_id,
                emit=lambda row, event: self._outbox.put((row, event)),
            )
            try:
                batch.run()
            except (torch.OutOfMemoryError, torch.AcceleratorError) as error:
                # After these the GPU's context is full or lost: only a new process helps.
                logger.exception("the accelerator failed")
                self._outbox.put(EngineBroken(f"the accelerator failed ({type(error).__name__})"))
                return
            except Exception as error:
                # The edge of this thread: the next batch may well work.
                logger.exception("a batch of %d requests failed", len(rows))
                batch.fail(f"generation failed ({type(error).__name__})")

    def _next_rows(self) -> list[Row]:
        """Wait for requests and take the next batch; an empty list when the engine is closed."""
        with self._changed:
            while not self._closed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._changed.wait_for(lambda: len(self._waiting) >= self._max_batch or self._closed, GATHER_S)
                rows = self._take_waiting()
                if rows and not self._closed:
                    return rows
        return []

    def _take_waiting(self) -> list[Row]:
        rows: list[Row] = []
        longest_prompt = longest_answer = 0
        while self._waiting and len(rows) < self._max_batch:
            longest_prompt = max(longest_prompt, len(self._waiting[0].prompt_ids))
            longest_answer = max(longest_answer, self._waiting[0].max_new_tokens)
            # Every row takes as much of the KV cache as the longest one.
            if rows and (len(rows) + 1) * (longest_prompt + longest_answer) > self._loaded.batch_tokens:
                break
            rows.append(self._waiting.popleft())
        return rows
