"""The transformers engine on a model of a few thousand weights, and ways to watch and bend it."""

from collections.abc import Callable
from typing import Any

import torch

from engines.transformers.generator import TransformersGenerator

LoadTiny = Callable[..., TransformersGenerator]
"""Loads an engine: a folder (default: the tiny model) and the engine's own arguments by name."""


def say(engine: TransformersGenerator, *tokens: int) -> None:
    """Make the model say these tokens, one after another, whatever it is asked."""
    position = iter(tokens)

    def bend(_module: Any, _args: Any, output: Any) -> None:
        output.logits[:] = 0.0
        output.logits[..., next(position)] = 50.0

    engine.loaded.model.register_forward_hook(bend)


def watch_passes(
    engine: TransformersGenerator, on_pass: Callable[[torch.Tensor], None] = lambda _ids: None
) -> list[torch.Tensor]:
    """Return a list that fills with the token ids (rows, tokens) of every pass through the model."""
    passes: list[torch.Tensor] = []

    def note(_module: Any, _args: Any, inputs: dict[str, Any], _output: Any) -> None:
        passes.append(inputs["input_ids"].clone())
        on_pass(passes[-1])

    engine.loaded.model.register_forward_hook(note, with_kwargs=True)
    return passes
