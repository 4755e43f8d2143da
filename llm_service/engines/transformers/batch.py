"""Passes through the model: of one row's next tokens, and of one token for each row of a batch."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from engines.transformers.kv_cache import new_cache, select, stack
from engines.transformers.rows import Row


class Batch:
    """Rows that get a token each in every pass, and their KV cache, padded on the left to the longest row.

    A row is read alone first (``read``), then joins; rows leave between two passes.
    """

    def __init__(self, model: Any, *, batched: bool) -> None:
        self.rows: list[Row] = []
        self._model = model
        self._batched = batched
        self._cache: Any = None
        self._takes = frozenset(inspect.signature(model.forward).parameters)

    @torch.inference_mode()
    def read(self, row: Row, count: int) -> torch.Tensor:
        """Read the row's next ``count`` tokens into its own cache; return the logits after them, shape
        (1, vocabulary).
        """
        if row.cache is None:
            row.cache = new_cache(self._model.config, batched=self._batched)
        begin = row.cached
        ids = [row.unread.popleft() for _ in range(min(count, len(row.unread)))]
        return self._forward(row.cache, [ids], [list(range(begin, row.cached))], mask=None)

    @torch.inference_mode()
    def join(self, row: Row) -> None:
        """Add a row whose last chosen token is all it has to read."""
        self._cache = stack([self._cache, row.cache]) if self.rows else row.cache
        row.cache = None
        self.rows.append(row)

    @torch.inference_mode()
    def leave(self, leaving: Sequence[Row]) -> None:
        """Remove rows and the padding that only they needed."""
        if not leaving:
            return
        keep = [at for at, row in enumerate(self.rows) if row not in leaving]
        self.rows = [self.rows[at] for at in keep]
        self._cache = select(self._cache, keep, max(row.cached for row in self.rows)) if keep else None

    @torch.inference_mode()
    def step(self) -> torch.Tensor:
        """Compute the logits after each row's last token, shape (rows, vocabulary)."""
        width = max(row.cached for row in self.rows) + 1
        mask = None
        if any(row.cached + 1 < width for row in self.rows):
            mask = torch.ones((len(self.rows), width), dtype=torch.long)
            for at, row in enumerate(self.rows):
                mask[at, : width - 1 - row.cached] = 0
        ids, positions = [[row.unread[0]] for row in self.rows], [[row.cached] for row in self.rows]
        return self._forward(self._cache, ids, positions, mask)

    @torch.inference_mode()
    def dissolve(self) -> list[Row]:
        """Take all rows out after a pass that failed, each with a cache of its own as before that pass."""
        width = max(row.cached for row in self.rows)
        for layer in self._cache.layers:
            layer.cut_back(width)
        for at, row in enumerate(self.rows):
            row.cache = select(self._cache, [at], row.cached)
        rows, self.rows, self._cache = self.rows, [], None
        return rows

    def _forward(
        self, cache: Any, ids: list[list[int]], positions: list[list[int]], mask: torch.Tensor | None
    ) -> torch.Tensor:
        device = self._model.device
        inputs = {
            "input_ids": torch.tensor(ids, device=device),
            "position_ids": torch.tensor(positions, device=device),
            "attention_mask": None if mask is None else mask.to(device),
            "past_key_values": cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        output = self._model(**{name: value for name, value in inputs.items() if name in self._takes})
        logits: torch.Tensor = output.logits[:, -1]
        return logits
