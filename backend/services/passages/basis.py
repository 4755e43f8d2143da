"""Basis of an answer: the relevant passages, in the order of their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.ports.documents import SearchHit
from adapters.ports.search import FoundTexts, TextCandidate
from services.passages.languages import SPANISH, Language
from services.passages.question import TextQuestion, read_question
from services.passages.relevance import Passage, rank, term_weights


@dataclass(frozen=True, slots=True)
class TextBasis:
    """Basis of an answer from texts. ``passages`` are numbered from 1; without any, the answer is not known."""

    question: TextQuestion
    passages: tuple[Passage, ...]
    weights: tuple[float, ...] = ()
    """Weights of the question's terms by their rarity."""

    @property
    def hits(self) -> tuple[SearchHit, ...]:
        """The passages as sources, in the order of their numbers."""
        return tuple(passage.hit for passage in self.passages)

    @property
    def answer_language(self) -> Language:
        """The question's language, else the best passage's, else Spanish."""
        found = self.passages[0].language if self.passages else None
        return self.question.language or found or SPANISH


def text_basis(question: TextQuestion, ranked: Sequence[Passage], weights: Sequence[float]) -> TextBasis:
    """Return the basis of passages, best first, all taken to be relevant."""
    return TextBasis(question, tuple(_neighbours_together(ranked)), tuple(weights))


def given_basis(query: str, hits: Sequence[SearchHit]) -> TextBasis:
    """Return the basis of texts that were found elsewhere, all taken to be relevant."""
    question = read_question(query)
    given = FoundTexts(
        [TextCandidate(hit.id, hit.content, hit.metadata, None) for hit in hits], [0] * len(question.terms), len(hits)
    )
    ranked = rank(question, given, len(hits))
    return text_basis(question, ranked, term_weights(question, given))


def _neighbours_together(ranked: Sequence[Passage]) -> list[Passage]:
    """Return the passages, best first, with neighbours in one section brought together in their own order."""
    left = list(ranked)
    ordered: list[Passage] = []
    while left:
        run = [left.pop(0)]
        while True:
            near = next((one for one in left if _follows(run[-1], one) or _follows(one, run[0])), None)
            if near is None:
                break
            left.remove(near)
            run = [*run, near] if _follows(run[-1], near) else [near, *run]
        ordered += run
    return ordered


def _follows(first: Passage, second: Passage) -> bool:
    one, two = first.hit.metadata, second.hit.metadata
    before, after = one.get("place"), two.get("place")
    if not isinstance(before, int) or not isinstance(after, int):
        return False
    same = (one.get("source"), one.get("heading")) == (two.get("source"), two.get("heading"))
    return same and before + 1 == after
