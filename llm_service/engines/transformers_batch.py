"""One static batch: requests that the library's own ``generate()`` carries through together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from engines.base import (
    Failed,
    Failure,
    Finished,
    FinishReason,
    FirstToken,
    GenerationRequest,
    RequestEvent,
    TextDelta,
)
from engines.text_assembly import TextAssembler
from engines.transformers_sampling import RowSampler, choose_tokens, unusable_rows


@dataclass(slots=True, eq=False)
class Row:
    """A request and how far it has come. ``cancelled`` is set by the engine's thread and read by the
    batch's; everything else belongs to the batch's thread once the batch has begun.
    """

    request: GenerationRequest
    prompt_ids: list[int]
    max_new_tokens: int
    text: TextAssembler
    sampler: RowSampler
    cancelled: bool = field(default=False)
    ended: bool = field(default=False)


Emit = Callable[[Row, RequestEvent], None]


class StaticBatch:
    """Generates for ``rows`` together until the last one ends.

    ``generate()`` decides by ``argmax`` which token comes next and asks after each whether a row is
    done; both questions are answered here, row by row: the first by leaving nothing but the token
    that was sampled, the second by reading that token.
    """

    def __init__(self, model: Any, rows: Sequence[Row], *, stop_ids: frozenset[int], pad_id: int, emit: Emit) -> None:
        self._model = model
        self._rows = rows
        self._stop_ids = stop_ids
        self._pad_id = pad_id
        self._emit = emit

    def run(self) -> None:
        """Generate; what comes of each row goes to ``emit``. Raises what the library raises."""
        ids, mask = self._left_padded()
        with torch.inference_mode():
            self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(row.max_new_tokens for row in self._rows),
                logits_processor=LogitsProcessorList([_Chooser(self)]),
                stopping_criteria=StoppingCriteriaList([_Collector(self)]),
            )

    def fail(self, message: str) -> None:
        """End the rows that have not ended."""
        for row in self._rows:
            if not row.ended:
                self._fail_row(row, message)

    def choose(self, scores: torch.Tensor) -> torch.Tensor:
        """Turn ``scores`` (rows, vocabulary) into ones whose only candidate is the chosen token."""
        for row, unusable in zip(self._rows, unusable_rows(scores), strict=True):
            if unusable and not row.ended:
                self._fail_row(row, "the model computed no usable probabilities for this request")
        chosen = choose_tokens(scores, [None if row.ended else row.sampler for row in self._rows])
        ended = torch.tensor([row.ended for row in self._rows], device=scores.device)
        chosen = chosen.masked_fill(ended, self._pad_id)
        return scores.fill_(-torch.inf).scatter_(1, chosen.unsqueeze(1), 0.0)

    def collect(self, ids: torch.Tensor) -> torch.Tensor:
        """Read the newest token of each row of ``ids`` (rows, tokens); return which rows are done."""
        for row, token in zip(self._rows, ids[:, -1].tolist(), strict=True):
            if row.cancelled:
                row.ended = True
            if not row.ended:
                self._take(row, token)
        return torch.tensor([row.ended for row in self._rows], device=ids.device)

    def _take(self, row: Row, token: int) -> None:
        request, text = row.request, row.text
        if text.token_count == 0:
            self._emit(row, FirstToken(request.id))
        delta = text.push([token])
        reason = self._reason(row, token)
        if reason is not None:
            delta += text.finish()
        if delta and request.stream:
            self._emit(row, TextDelta(request.id, delta))
        if reason is not None:
            row.ended = True
            reason = "stop" if text.stopped else reason
            self._emit(row, Finished(request.id, text.text, reason, len(row.prompt_ids), text.token_count))

    def _reason(self, row: Row, token: int) -> FinishReason | None:
        if row.text.stopped or token in self._stop_ids:
            return "stop"
        return "length" if row.text.token_count >= row.max_new_tokens else None

    def _fail_row(self, row: Row, message: str) -> None:
        row.ended = True
        self._emit(row, Failed(row.request.id, Failure.GENERATION_FAILED, message))

    def _left_padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(row.prompt_ids) for row in self._rows)
        ids = torch.full((len(self._rows), longest), self._pad_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for at, row in enumerate(self._rows):
            ids[at, longest - len(row.prompt_ids) :] = torch.tensor(row.prompt_ids)
            mask[at, longest - len(row.prompt_ids) :] = 1
        return ids.to(self._model.device), mask.to(self._model.device)


class _Chooser(LogitsProcessor):
    def __init__(self, batch: StaticBatch) -> None:
        self._batch = batch

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return self._batch.choose(scores)


class _Collector(StoppingCriteria):
    def __init__(self, batch: StaticBatch) -> None:
        self._batch = batch

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ARG002
        return self._batch.collect(input_ids)
