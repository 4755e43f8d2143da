"""Vectors of questions and of the texts compared with them, within a time limit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from adapters.ports.models import Embedder, Embeddings, InputType, LogicalError, TechnicalError
from observability.metrics import Metrics

logger = logging.getLogger(__name__)

EMBED_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class QuestionVector:
    """A unit vector, to be compared only with vectors of the same fingerprint; or why there is none."""

    values: Sequence[float] = ()
    fingerprint: str = ""
    fault: str | None = None
    """A ``reason`` of the embedder's error; ``None`` too where no embedder is configured."""


Made = Awaitable[QuestionVector]


class QuestionEmbedder:
    """Embeds questions and the texts that are compared with them; ``embedder`` is ``None``: none is configured."""

    def __init__(
        self, embedder: Embedder | None, *, timeout_s: float = EMBED_TIMEOUT_S, metrics: Metrics | None = None
    ) -> None:
        self._embedder = embedder
        self._timeout_s = timeout_s
        self._metrics = metrics or Metrics()

    @contextmanager
    def question(self, text: str, request_id: str | None, *, early: bool) -> Iterator[Callable[[], Made]]:
        """Give a function that makes a question's vector; with ``early`` it is being made, and given up at the end."""
        task = asyncio.create_task(self.embed_question(text, request_id)) if early else None
        try:
            yield lambda: task or self.embed_question(text, request_id)
        finally:
            if task is not None:
                task.cancel()

    async def embed_question(self, text: str, request_id: str | None) -> QuestionVector:
        """Return the vector of a question, without ``values`` if there is no embedder or it failed; raise nothing."""
        if self._embedder is None:
            return QuestionVector()
        try:
            made = await self._embed(self._embedder, [text], "query", request_id)
        except (TechnicalError, LogicalError) as error:
            # A refusal's message may quote the question.
            logger.warning("searching by words only", extra={"reason": error.reason, "request_id": request_id})
            self._metrics.fell_back(error.reason)
            return QuestionVector(fault=error.reason)
        return QuestionVector(made.vectors[0], made.fingerprint)

    async def embed_texts(self, texts: Sequence[str], request_id: str | None) -> list[list[float]]:
        """Return one vector a text; none at all if the embedder failed."""
        if self._embedder is None or not texts:
            return []
        try:
            return (await self._embed(self._embedder, texts, "document", request_id)).vectors
        except (TechnicalError, LogicalError) as error:
            self._metrics.fell_back(error.reason)
            return []

    async def _embed(
        self, embedder: Embedder, texts: Sequence[str], input_type: InputType, request_id: str | None
    ) -> Embeddings:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await embedder.embed_texts(texts, input_type=input_type, request_id=request_id)
        except TimeoutError as error:
            raise TechnicalError(f"no vector within {self._timeout_s:.1f} s", reason="timeout") from error
