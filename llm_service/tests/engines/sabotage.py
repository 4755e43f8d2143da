"""Makes a real model fail for one request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from engines.transformers.generator import TransformersGenerator

TRIGGER = "abracadabra sabotage abracadabra"


@contextmanager
def not_a_number_for_rows_with(engine: TransformersGenerator, text: str) -> Iterator[None]:
    """While this lasts, the model computes NaN for every part of a prompt that holds a token of ``text``."""
    model = engine.loaded.model
    # The last in a vocabulary is the rarest: other prompts have none of it.
    rare = max(engine.loaded.tokenizer.encode(text))

    def spoil(_module: Any, _args: Any, inputs: dict[str, Any], output: Any) -> None:
        if len(inputs["input_ids"]) == 1 and rare in inputs["input_ids"]:
            output.logits[:] = torch.nan

    hook = model.register_forward_hook(spoil, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
