"""One static batch: requests that the library's own ``generate()`` carries through together."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from engines.base import RequestEvent
from engines.transformers_loading import LoadedModel
from engines.transformers_rows import UNUSABLE, Row
from engines.transformers_sampling import choose_tokens, unusable_rows

Emit = Callable[[Row, RequestEvent], None]


class _Abandoned(Exception):
    """Nobody waits for any row of the batch any more."""


class StaticBatch:
    """Generates for ``rows`` together until the last one ends.

    ``generate()`` decides by ``argmax`` which token comes next and asks after each whether a row is
    done; both questions are answered here, row by row: the first by leaving nothing but the token
    that was sampled, the second by reading that token. Prompts are read ``prefill_tokens`` at a time
    (all rows together), since a pass cannot be interrupted and a cancel waits for its end.
    """

    def __init__(self, loaded: LoadedModel, rows: Sequence[Row], *, emit: Emit) -> None:
        self._loaded = loaded
        self._rows = rows
        self._emit = emit
        self._all_greedy = all(row.sampler.greedy for row in rows)

    def run(self) -> None:
        """Generate; what comes of each row goes to ``emit``. Raises what the library raises."""
        ids, mask = self._left_padded()
        model = self._loaded.model
        config = deepcopy(model.generation_config)
        config.max_new_tokens = max(row.max_new_tokens for row in self._rows)
        config.prefill_chunk_size = self._tokens_a_pass(ids.shape[1])
        watch = model.register_forward_pre_hook(self._stop_when_abandoned)
        try:
            with torch.inference_mode():
                model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    generation_config=config,
                    logits_processor=LogitsProcessorList([_Chooser(self)]),
                    stopping_criteria=StoppingCriteriaList([_Collector(self)]),
                )
        except _Abandoned:
            return
        finally:
            watch.remove()

    def fail(self, message: str) -> None:
        """End the rows that have not ended."""
        for row in self._rows:
            if not row.ended:
                self._emit(row, row.fail(message))

    def choose(self, scores: torch.Tensor) -> torch.Tensor:
        """Turn ``scores`` (rows, vocabulary) into ones whose largest is the chosen token's."""
        for row, unusable in zip(self._rows, unusable_rows(scores), strict=True):
            if unusable and not row.ended:
                self._emit(row, row.fail(UNUSABLE))
        if self._all_greedy:
            return scores
        samplers = [None if row.ended else row.sampler for row in self._rows]
        chosen = choose_tokens(scores, samplers, top_k=self._loaded.top_k)
        return scores.scatter_(1, chosen.unsqueeze(1), torch.inf)

    def collect(self, ids: torch.Tensor) -> torch.Tensor:
        """Read the newest token of each row of ``ids`` (rows, tokens); return which rows are done."""
        for row, token in zip(self._rows, ids[:, -1].tolist(), strict=True):
            if row.cancelled:
                row.ended = True
            if not row.ended:
                for event in row.take(token, self._loaded.stop_ids):
                    self._emit(row, event)
        return torch.tensor([row.ended for row in self._rows], device=ids.device)

    def _tokens_a_pass(self, longest: int) -> int:
        """Return how many tokens of each prompt one pass reads: equal parts, since a small last one costs
        nearly as much as a large one.
        """
        most = max(1, self._loaded.prefill_tokens // len(self._rows))
        passes = -(-longest // most)
        return -(-longest // passes)

    def _stop_when_abandoned(self, _module: Any, _args: Any) -> None:
        if all(row.cancelled or row.ended for row in self._rows):
            raise _Abandoned

    def _left_padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(row.prompt_ids) for row in self._rows)
        ids = torch.full((len(self._rows), longest), self._loaded.pad_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for at, row in enumerate(self._rows):
            ids[at, longest - len(row.prompt_ids) :] = torch.tensor(row.prompt_ids)
            mask[at, longest - len(row.prompt_ids) :] = 1
        device = self._loaded.model.device
        return ids.to(device), mask.to(device)


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
