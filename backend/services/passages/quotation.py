"""Answers quoted from a passage, without a model: the one to three sentences that fit the question best."""

import math
from dataclasses import dataclass
from typing import Final

from services.passages.basis import TextBasis
from services.passages.languages import spelled_number
from services.passages.relevance import Passage, share, similarity_of
from services.passages.sentences import Sentence
from services.passages.words import words

MAX_SENTENCES: Final = 3
_MAX_CHARS: Final = 600
_COST: Final = 0.05
"""Cost of each further sentence; less than the gain of a sentence with another term of the question."""
_NUMBER: Final = 0.3
"""Gain of a number, where the question asks for one."""
_HEADING: Final = 0.4
"""Weight of a term that only the heading contains."""
_PASSAGE: Final = 0.5
"""Weight of the passage's own relevance."""
_BIAS, _OF_WORDS, _OF_MEANING = -5.45, 6.31, 4.24
"""Coefficients of a logistic regression on one half of the questions in ``bench/data/passages``."""


@dataclass(frozen=True, slots=True)
class Quotation:
    """Sentences of one passage, in a row."""

    number: int
    """The passage's, from 1."""
    sentences: tuple[Sentence, ...]
    score: float
    """For the choice among quotations."""
    relevance: float
    """How likely it answers the question, 0 to 1: by the question's words in it, and its similarity."""

    @property
    def text(self) -> str:
        """The sentences in quotation marks with the passage's number."""
        said = " ".join(sentence.text for sentence in self.sentences)
        if len(said) > _MAX_CHARS:
            said = said[: _MAX_CHARS - 1].rstrip() + "…"
        return f"«{said}» [{self.number}]"


def best_quotation(basis: TextBasis) -> Quotation:
    """Return the best quotation of all passages; there must be one."""
    every = [
        quotation
        for number, passage in enumerate(basis.passages, 1)
        for quotation in _quotations(basis, number, passage)
    ]
    return max(every, key=lambda quotation: quotation.score)


def _quotations(basis: TextBasis, number: int, passage: Passage) -> list[Quotation]:
    terms = [passage.stems([term]) for term in basis.question.terms]
    head = passage.stems(words(passage.heading))
    each = [passage.stems(sentence.words) for sentence in passage.sentences]
    # Without vectors of its sentences each is taken to be as similar as the passage.
    near = passage.similarities or (similarity_of(passage),) * len(each)
    found = []
    for start in range(len(each)):
        for size in range(1, min(MAX_SENTENCES, len(each) - start) + 1):
            chosen = passage.sentences[start : start + size]
            have = frozenset[str]().union(*each[start : start + size])
            said, meant = share(basis.weights, terms, have), max(near[start : start + size])
            score = said + meant + _HEADING * share(basis.weights, terms, head - have)
            score += _PASSAGE * passage.hit.score - _COST * (size - 1)
            if basis.question.asks_number and has_number(chosen):
                score += _NUMBER
            relevance = 1 / (1 + math.exp(-(_BIAS + _OF_WORDS * said + _OF_MEANING * meant)))
            found.append(Quotation(number, tuple(chosen), score, round(relevance, 4)))
    return found


def has_number(said: tuple[Sentence, ...]) -> bool:
    """Return whether sentences hold a number, in digits or in words."""
    return any(word.is_number or spelled_number(word) for sentence in said for word in sentence.words)
