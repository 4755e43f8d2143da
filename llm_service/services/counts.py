"""Numbers of the service for its metrics."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

CacheName = Literal["response", "embedding"]


def _of_each_cache() -> dict[CacheName, int]:
    return {"response": 0, "embedding": 0}


@dataclass(slots=True)
class Counts:
    """What the service has done since its start.

    Attributes:
        prompt_tokens: of answers that the engine has finished.
        generated_tokens: of the same answers.
        embedded_texts: texts whose vectors were computed.
        ranked_documents: documents whose scores were computed.
        rejected_answers: answers that ended by themselves and do not follow their format.
        hits: answers, or vectors of texts, found in a cache.
        misses: answers or vectors not found in it.
        on_wait: called with the queue time of each generation request, in seconds.

    """

    prompt_tokens: int = 0
    generated_tokens: int = 0
    embedded_texts: int = 0
    ranked_documents: int = 0
    rejected_answers: int = 0
    hits: dict[CacheName, int] = field(default_factory=_of_each_cache)
    misses: dict[CacheName, int] = field(default_factory=_of_each_cache)
    on_wait: Callable[[float], None] = lambda _seconds: None
