"""Interface of a local model, as its HTTP app uses it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from service_kit.errors import Problem, Refusal

from adapters.ports.models import ChatMessage, SamplingOptions


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a generation; ``finish_reason`` is ``stop`` or ``length``."""

    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def too_long(prompt_tokens: int, context: int) -> Refusal:
    """Return the refusal of a prompt that leaves no room for an answer."""
    counts = f"the prompt has {prompt_tokens} tokens, the context {context}"
    return Refusal(Problem(400, "context_length_exceeded", counts))


class Generator(Protocol):
    """A loaded language model. ``substituted``: in place of the configured one; ``slots``: answers at once."""

    name: str
    substituted: bool
    slots: int

    def generate(self, messages: Sequence[ChatMessage], options: SamplingOptions) -> AsyncIterator[str | Finished]:
        """Yield pieces of text, then ``Finished``; closing the iterator stops the computation.

        ``options`` are complete: no field is ``None``. Raises ``Refusal``.
        """


class Embedder(Protocol):
    """A loaded embedding model; vectors of equal fingerprints compare."""

    name: str
    fingerprint: str

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text. Blocks; called from one thread at a time."""
