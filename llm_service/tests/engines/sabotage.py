"""Makes a real model fail for one request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from engines.transformers_generator import TransformersGenerator

TRIGGER = "abracadabra sabotage abracadabra"


@contextmanager
def not_a_number_for_rows_with(engine: TransformersGenerator, text: str) -> Iterator[None]:
    """While this lasts, the model computes NaN for every row whose prompt holds ``text``."""
    model, tokenizer = engine._loaded.model, engine._loaded.tokenizer
    guilty: list[int] = []

    def spoil(_module: Any, _args: Any, inputs: dict[str, Any], output: Any) -> None:
        ids = inputs["input_ids"]
        if ids.shape[1] > 1:
            guilty[:] = [row for row, prompt in enumerate(ids) if text in tokenizer.decode(prompt)]
        output.logits[guilty] = torch.nan

    hook = model.register_forward_hook(spoil, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
