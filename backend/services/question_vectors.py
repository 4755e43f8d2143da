"""Vectors of questions, made while their words are searched."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.base import Embedder, Embeddings, InputType, LogicalError, TechnicalError
from observability.metrics import Metrics

logger = logging.getLogger(__name__)

EMBED_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Vector:
    """A unit vector; only vectors with equal fingerprints may be compared."""

    values: Sequence[float]
    fingerprint: str


class QuestionEmbedder:
    """Embeds questions, and what is compared with them, within a time limit.

    Args:
        embedder: ``None``: none is configured.
        timeout_s: in seconds.
        metrics: counts questions that no vector could be made for.

    """

    def __init__(
        self, embedder: Embedder | None, *, timeout_s: float = EMBED_TIMEOUT_S, metrics: Metrics | None = None
    ) -> None:
        self._embedder = embedder
        self._timeout_s = timeout_s
        self._metrics = metrics or Metrics()

    def question(self, text: str, request_id: str | None) -> "QuestionVector":
        """Return the vector to be made of a question; nothing is asked yet."""
        return QuestionVector(self, text, request_id)

    async def texts(self, texts: Sequence[str], request_id: str | None) -> list[list[float]]:
        """Return one vector a text. Raises ``TechnicalError`` and ``LogicalError``."""
        return (await self.embed(texts, "document", request_id)).vectors

    async def embed(self, texts: Sequence[str], input_type: InputType, request_id: str | None) -> Embeddings:
        """Return the vectors of the texts. Raises ``TechnicalError`` and ``LogicalError``."""
        if self._embedder is None:
            raise TechnicalError("no embedder is configured", reason="disabled")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._embedder.embed_texts(texts, input_type=input_type, request_id=request_id)
        except TimeoutError as error:
            raise TechnicalError(f"no vector within {self._timeout_s:.1f} s", reason="timeout") from error

    def note_failure(self, error: TechnicalError | LogicalError, request_id: str | None) -> None:
        """Note that a question is searched by words only."""
        # A refusal's message may quote the question.
        logger.warning("searching by words only", extra={"reason": error.reason, "request_id": request_id})
        self._metrics.fell_back(error.reason)

    @property
    def is_configured(self) -> bool:
        """Whether there is an embedder."""
        return self._embedder is not None


class QuestionVector:
    """A question's vector, made in the background once it has been started; closing it hangs up."""

    def __init__(self, embedder: QuestionEmbedder, text: str, request_id: str | None) -> None:
        self._embedder = embedder
        self._text = text
        self._request_id = request_id
        self._task: asyncio.Task[Embeddings] | None = None
        self.waited_s = 0.0
        """Seconds that ``made`` took."""
        self.fault: str | None = None
        """Why there is no vector, although an embedder is configured."""

    def start(self) -> None:
        """Begin to make it, if there is an embedder."""
        if self._task is None and self._embedder.is_configured:
            work = self._embedder.embed([self._text], "query", self._request_id)
            self._task = asyncio.create_task(work)
            self._task.add_done_callback(_retrieve)

    async def made(self) -> Vector | None:
        """Return the vector; ``None`` if there is no embedder or it failed, see ``fault``."""
        self.start()
        if self._task is None:
            return None
        started = time.perf_counter()
        try:
            embeddings = await self._task
        except (TechnicalError, LogicalError) as error:
            self.fault = error.reason
            self._embedder.note_failure(error, self._request_id)
            return None
        finally:
            self.waited_s = time.perf_counter() - started
        return Vector(embeddings.vectors[0], embeddings.fingerprint)

    def close(self) -> None:
        """Give it up, if it is still being made."""
        if self._task is not None:
            self._task.cancel()


def _retrieve(task: "asyncio.Task[Embeddings]") -> None:
    """Take the exception of a vector that nobody waited for, which asyncio would report."""
    if not task.cancelled():
        task.exception()
