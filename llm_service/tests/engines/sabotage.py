"""Makes a real model fail for one request."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch

from engines.transformers_generator import TransformersGenerator

TRIGGER = "abracadabra sabotage abracadabra"


@contextmanager
def not_a_number_for_rows_with(engine: TransformersGenerator, text: str) -> Iterator[None]:
    """While this lasts, the model computes NaN for every row whose prompt holds ``text``."""
    model, tokenizer = engine.loaded.model, engine.loaded.tokenizer
    guilty: list[int] = []

    def spoil_batch(ids: torch.Tensor, output: Any) -> None:
        if ids.shape[1] > 1:
            guilty[:] = [row for row, prompt in enumerate(ids) if text in tokenizer.decode(prompt)]
        output.logits[guilty] = torch.nan

    def spoil_packed(ids: torch.Tensor, inputs: dict[str, Any], output: Any) -> None:
        # One row after another in one sequence; the logits are of those whose prompt has been read.
        last_tokens = inputs["logits_indices"].tolist()
        for begin, end in pairwise(inputs["cu_seq_lens_q"].tolist()):
            if end - 1 in last_tokens and text in tokenizer.decode(ids[0, begin:end]):
                output.logits[0, last_tokens.index(end - 1)] = torch.nan

    def spoil(_module: Any, _args: Any, inputs: dict[str, Any], output: Any) -> None:
        if "cu_seq_lens_q" in inputs:
            spoil_packed(inputs["input_ids"], inputs, output)
        else:
            spoil_batch(inputs["input_ids"], output)

    hook = model.register_forward_hook(spoil, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
