"""Stand-ins that implement the protocols of ``adapters.ports``."""

import math
import zlib
from collections.abc import Sequence

from adapters.ports.models import Embeddings, InputType, LogicalError, TechnicalError
from services.mentor.lexicon.folding import words

DIMENSION = 384


class FakeEmbedder:
    """Hashed bags of words as unit vectors: texts that share words are similar.

    ``synonyms`` maps a word to the one it counts as, for similarity without a common word.
    ``failing`` makes every call fail, ``fail_after`` those after so many good ones, and
    ``refused`` texts are answered as a client error.
    """

    def __init__(self, fingerprint: str = "fake-1", synonyms: dict[str, str] | None = None) -> None:
        self.fingerprint = fingerprint
        self.synonyms = synonyms or {}
        self.failing = False
        self.fail_after: int | None = None
        self.refused: set[str] = set()
        self.calls: list[list[str]] = []

    async def embed_texts(
        self, texts: Sequence[str], *, input_type: InputType = "document", request_id: str | None = None
    ) -> Embeddings:
        await self.asked(texts)
        if self.failing or (self.fail_after is not None and len(self.calls) >= self.fail_after):
            raise TechnicalError("nobody answers", reason="connect")
        if self.refused.intersection(texts):
            raise LogicalError("refused", status=400, error_type="invalid_request")
        self.calls.append(list(texts))
        return Embeddings([self.vector(text) for text in texts], self.fingerprint)

    async def asked(self, texts: Sequence[str]) -> None:
        """Called before every answer, for subclasses."""

    def vector(self, text: str) -> list[float]:
        values = [0.0] * DIMENSION
        for word in words(text) or ["?"]:
            values[zlib.crc32(self.synonyms.get(word, word).encode()) % DIMENSION] += 1.0
        norm = math.sqrt(sum(value * value for value in values))
        return [value / norm for value in values]
