"""KV caches of rows that join and leave a batch between two passes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

SPARE_TOKENS = 64
"""Room a layer allocates ahead: the library's own layer copies all it holds for each token."""


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values, shape (rows, heads, tokens, head size), with room for more tokens.

    Sliding-window layers keep all their tokens too: the mask applies the window.
    """

    def __init__(self, keys: torch.Tensor | None = None, values: torch.Tensor | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rooms: tuple[torch.Tensor, torch.Tensor] | None = None
        if keys is not None and values is not None:
            self.lazy_initialization(keys, values)
            self.keys, self.values = keys, values

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of new tokens; return those of all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held = self.get_seq_length()
        end = held + key_states.shape[-2]
        if self._rooms is None or self._rooms[0].shape[-2] < end:
            self._rooms = (_room(self.keys, key_states, held, end), _room(self.values, value_states, held, end))
        for room, fresh in zip(self._rooms, (key_states, value_states), strict=True):
            room[..., held:end, :] = fresh
        self.keys, self.values = (room[..., :end, :] for room in self._rooms)
        return self.keys, self.values

    def cut_back(self, length: int) -> None:
        """Drop the tokens after the first ``length``."""
        if self.get_seq_length() > length:
            assert self.keys is not None and self.values is not None  # noqa: PT018
            self.keys, self.values = self.keys[..., :length, :], self.values[..., :length, :]


def _room(held: Any, fresh: torch.Tensor, length: int, end: int) -> torch.Tensor:
    room = fresh.new_empty((*fresh.shape[:-2], end + SPARE_TOKENS, fresh.shape[-1]))
    if length:
        room[..., :length, :] = held
    return room


def can_be_batched(config: Any) -> bool:
    """Whether every layer of a model keeps plain keys and values; recurrent states cannot be padded."""
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers)


def new_cache(config: Any, *, batched: bool) -> Cache:
    """Return an empty cache for one row; one that is not ``batched`` is the library's own for the model."""
    return Cache(layer_class_to_replicate=GrowingLayer) if batched else DynamicCache(config=config)


def stack(caches: Sequence[Cache]) -> Cache:
    """Return one cache with the rows of all, padded on the left to the longest."""
    width = max(cache.get_seq_length() for cache in caches)

    def joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat([pad(part, (0, 0, width - part.shape[-2], 0)) for part in parts])

    layers: list[Any] = [
        GrowingLayer(joined([layer.keys for layer in same]), joined([layer.values for layer in same]))
        for same in zip(*(cache.layers for cache in caches), strict=True)
    ]
    return Cache(layers=layers)


def select(cache: Cache, rows: Sequence[int], width: int) -> Cache:
    """Return a cache of some rows, by their last ``width`` tokens."""

    def chosen(states: torch.Tensor) -> torch.Tensor:
        return states[list(rows)][..., states.shape[-2] - width :, :]

    held: Sequence[Any] = cache.layers
    return Cache(layers=[GrowingLayer(chosen(layer.keys), chosen(layer.values)) for layer in held])
