"""Answers and their parts, built from search results with or without a model."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from adapters.ports.documents import SearchHit
from adapters.ports.models import Completion, ServedBy, TextDelta
from services.mentor.basis import Basis
from services.mentor.extractive import extractive_answer
from services.mentor.grounding import AnswerMode, ground
from services.passages.basis import TextBasis
from services.passages.check import TextAnswer, checked, quoted
from services.routing import is_also_a_word


@dataclass(frozen=True, slots=True)
class Sources:
    """First part of an answer: the documents found."""

    hits: tuple[SearchHit, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """The final text of the answer, or a model's explanation of it."""

    kind: Literal["answer", "explanation"]
    text: str


@dataclass(frozen=True, slots=True)
class RagAnswer:
    """An answer with its sources and provider; timings in milliseconds."""

    answer: str
    answer_mode: AnswerMode
    sources: tuple[SearchHit, ...]
    served_by: ServedBy
    degraded: bool
    model: str = "none"
    timings: Mapping[str, float] = field(default_factory=dict)
    tokens: int | None = None
    """Tokens generated; ``None``: no model was used."""
    cached: bool | None = None
    """Whether the model's answer came from a cache; ``None``: unknown."""
    reason: str | None = None
    """Why no model worded the answer, or no vector was searched with; a reason of ``TechnicalError`` or
    ``LogicalError``.
    """
    explanation: str | None = None
    missing: tuple[str, ...] = ()
    """Words of the question that are not in the dictionary."""
    says_more: bool = False
    """Whether an extractive answer says more than its entries: a verdict on a claim, small talk."""


AnswerPart = Sources | TextDelta | Checked | RagAnswer


@dataclass(frozen=True, slots=True)
class Found:
    """The resolved question and the entries, texts, or both, that answer it."""

    question: str
    basis: Basis
    """Entries of the dictionary."""
    texts: TextBasis | None = None
    """``None``: the question is not asked of texts."""
    fault: str | None = None
    """Why it was not searched by meaning, if it was not."""

    @property
    def has_entries(self) -> bool:
        """Whether the dictionary answers."""
        return self.texts is None or (bool(self.texts.passages) and is_also_a_word(self.basis))

    @property
    def hits(self) -> tuple[SearchHit, ...]:
        """The sources; those of texts first, in the order of their numbers."""
        texts = () if self.texts is None else self.texts.hits
        return (*texts, *(self.basis.hits if self.has_entries else ()))

    def without_model(self) -> RagAnswer:
        """Return the answer in the documents' own words."""
        if self.texts is None:
            served_by: ServedBy = "dictionary" if self.basis.wanted else "none"
            said = extractive_answer(self.basis)
            answer = RagAnswer(said, "extractive", self.basis.hits, served_by, degraded=False)
        else:
            answer = self._from_texts(quoted(self.texts))
        return replace(answer, degraded=self.fault is not None, reason=self.fault)

    def checked(self, completion: Completion) -> RagAnswer:
        """Return the supported part of a model's answer."""
        cut_short = completion.finish_reason == "length"
        if self.texts is None:
            grounded = ground(completion.answer, self.basis, cut_short=cut_short)
            answer = RagAnswer(grounded.text, grounded.mode, self.basis.hits, "none", degraded=False)
        else:
            answer = self._from_texts(checked(completion.answer, self.texts, cut_short=cut_short))
        return replace(
            answer,
            served_by=completion.served_by,
            degraded=completion.degraded or self.fault is not None,
            model=completion.model,
            timings=completion.timings,
            tokens=completion.tokens_generated,
            cached=completion.cached,
            reason=self.fault,
        )

    def _from_texts(self, answer: TextAnswer) -> RagAnswer:
        said = answer.text
        if self.has_entries:
            said = f"En el diccionario: {extractive_answer(self.basis)}\n\nEn los textos: {said}"
        spans = iter(answer.spans)
        hits = tuple(replace(hit, spans=own, role="answer") if (own := next(spans, ())) else hit for hit in self.hits)
        return RagAnswer(said, answer.mode, hits, "none", degraded=False)


async def whole_answer(parts: AsyncGenerator[AnswerPart, None]) -> RagAnswer:
    """Return the last part of an answer."""
    *_, answer = [part async for part in parts]
    assert isinstance(answer, RagAnswer)
    return answer
