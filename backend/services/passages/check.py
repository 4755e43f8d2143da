"""Check of a model's answer against its passages: unsupported sentences are removed.

A sentence is supported by one sentence of a passage that has all its numbers with their units, dates, names and
quotations, nearly all its other words, and the same negation. Where that sentence has several numbers with one unit, it
supports none of them, since a small model takes the wrong one. The rest of the answer is kept only if it has as many
words of the question as the passage sentences that fit the question best, and adds something to the question; otherwise
those sentences are quoted.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.passages.basis import TextBasis
from services.passages.languages import LANGUAGES, Language, content_words, recognised, spelled_number
from services.passages.quotation import Quotation, best_quotation, has_number
from services.passages.relevance import Passage, share
from services.passages.sentences import Sentence, split
from services.passages.words import Word, fold, number, words

MAX_SENTENCES: Final = 4
_MAX_WORDS: Final = 60
_SUPPORTED: Final = 0.85
"""Share of the words of a sentence that must stand in its supporting sentence, or in the question and the passage."""
_THINKING: Final = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_MARKUP: Final = re.compile(r"\*\*|__|`+|^#+\s*|^\s*(?:[-*]|\d{1,2}[.)])\s+", re.MULTILINE)
_REFERENCE: Final = re.compile(r"\s*[\[(](\d{1,2})[\])]")
_LINK: Final = re.compile(r"https?:|www\.|\]\(|</?[a-z!|]|<\|", re.IGNORECASE)
_QUOTED: Final = re.compile(r"[\"“«]([^\"“”«»]{1,200})[\"”»]")
_ABSTAINS: Final = re.compile(
    r"\bno lo s[eé]\b|\bno se (?:menciona|indica|dice|especifica|encuentra)|\bi don'?t know\b|\bn[aã]o sei\b"
    r"|\bnot (?:mentioned|stated|specified|provided|given|in the (?:passages?|texts?))\b"
    r"|\bn[aã]o (?:é|foi) (?:mencionad|indicad|especificad)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """The answer to show, how it came about, and the spans of each passage that support it."""

    text: str
    mode: Literal["generated", "completed", "extractive"]
    spans: tuple[tuple[tuple[int, int], ...], ...]
    """For each passage of the basis, start and end of the sentences used, in characters of its content."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A sentence of the model with the sentence that supports it."""

    text: str
    number: int
    evidence: Sentence


def checked(answer: str, basis: TextBasis, *, cut_short: bool = False) -> TextAnswer:
    """Return the supported part of a model's answer, else a quotation; ``cut_short``: the token limit ended it."""
    quotation = best_quotation(basis)
    text = _MARKUP.sub("", _THINKING.sub("", answer)).strip()
    # Each line is a sentence of its own: small models answer in lists.
    said = split(re.sub(r"\n+", "\n\n", text))
    if cut_short and said and not said[-1].endswith((".", "!", "…", "]")):
        said = said[:-1]
    kept: list[_Kept] = []
    for sentence in _with_references(said)[: 2 * MAX_SENTENCES]:
        one = _supported(sentence, basis)
        if one is not None and all(fold(one.text) != fold(other.text) for other in kept):
            kept.append(one)
    kept = kept[:MAX_SENTENCES]
    if not kept or not _answers(kept, quotation, basis):
        return quoted(basis, quotation)
    return TextAnswer(
        " ".join(f"{one.text} [{one.number}]" for one in kept),
        "generated" if len(kept) == len(said) else "completed",
        _spans(basis, [(one.number, one.evidence) for one in kept]),
    )


def quoted(basis: TextBasis, quotation: Quotation | None = None) -> TextAnswer:
    """Return the answer without a model: a quotation, or that the answer is not known."""
    if not basis.passages:
        return TextAnswer(basis.answer_language.unknown, "extractive", ())
    quotation = quotation or best_quotation(basis)
    return TextAnswer(
        quotation.text, "extractive", _spans(basis, [(quotation.number, one) for one in quotation.sentences])
    )


def _with_references(said: Sequence[str]) -> list[str]:
    """Return the sentences with the references that stand behind the full stop of the one before."""
    joined: list[str] = []
    for sentence in said:
        leading = re.match(r"(?:[\[(]\d{1,2}[\])][\s,]*)+", sentence)
        if leading and joined:
            joined[-1] = f"{joined[-1]} {leading[0].strip()}"
            sentence = sentence[leading.end() :]  # noqa: PLW2901 - the rest is the sentence
        if sentence.strip():
            joined.append(sentence)
    return joined


def _supported(sentence: str, basis: TextBasis) -> _Kept | None:
    """Return the sentence with its passage, if one supports it: one that it names, else any."""
    named = [int(found) for found in _REFERENCE.findall(sentence)]
    text = _REFERENCE.sub("", sentence).strip()
    found = words(text)
    if not found or len(found) > _MAX_WORDS or "?" in text or _LINK.search(text) or _ABSTAINS.search(text):
        return None
    language = recognised(text)
    if language is not None and basis.question.language is not None and language != basis.question.language:
        return None
    numbered = list(enumerate(basis.passages, 1))
    # A model's numbers are often wrong where its words are right.
    for number_, passage in sorted(numbered, key=lambda item: item[0] not in named):
        evidence = _evidence(found, passage, language, basis)
        if evidence is not None and _is_exact(text, found, passage, evidence, language):
            end = "" if text.endswith((".", "!", "…", ":", ")")) else "."
            return _Kept(text + end, number_, evidence)
    return None


def _evidence(found: Sequence[Word], passage: Passage, language: Language | None, basis: TextBasis) -> Sentence | None:
    """Return the sentence of the passage that says it, if one has nearly all of its words."""
    # Numbers are compared by value, in _has_its_numbers.
    content = [word for word in content_words(found, language) if not word.is_number and spelled_number(word) is None]
    if not content:
        return None
    best = max(passage.sentences, key=lambda one: _common(content, one, passage) / (2 + len(one.words)) ** 0.25)
    # The question's words may stand elsewhere in the passage. Where it lacks them, it says nothing about them.
    have = passage.stems(best.words) | (passage.stems(basis.question.terms) & passage.vocabulary)
    inside = sum(bool(passage.stems([word]) & have) for word in content)
    if inside < _SUPPORTED * len(content) or not _common(content, best, passage):
        return None
    denied = any(_denies(found, one) for one in LANGUAGES), any(_denies(best.words, one) for one in LANGUAGES)
    return best if denied[0] == denied[1] else None


def _common(content: Iterable[Word], sentence: Sentence, passage: Passage) -> int:
    have = passage.stems(sentence.words)
    return sum(bool(passage.stems([word]) & have) for word in content)


def _denies(found: Iterable[Word], language: Language) -> bool:
    return any(word.folded in language.negations for word in found)


def _is_exact(
    text: str, found: Sequence[Word], passage: Passage, evidence: Sentence, language: Language | None
) -> bool:
    """Return whether numbers, dates, names and quotations of a sentence stand in the sentence that supports it."""
    folded = {word.folded for word in (*words(passage.heading), *evidence.words)}
    if not _has_its_numbers(found, evidence.words):
        return False
    if any(_is_name(place, word, found, language) and word.folded not in folded for place, word in enumerate(found)):
        return False
    content = fold(evidence.text)
    return all(" ".join(fold(quote).split()).strip(" .,;:") in content for quote in _QUOTED.findall(text))


def _has_its_numbers(found: Sequence[Word], evidence: Sequence[Word]) -> bool:
    """Return whether each number has the unit that it has in the evidence, which has no other number of that unit."""
    have = _with_units(evidence)
    for value, unit in _with_units(found):
        units = {other for number_, other in have if number_ == value}
        if unit not in units:
            return False
        if unit and any(other == unit and number_ != value for number_, other in have):
            return False
    return True


def _with_units(found: Sequence[Word]) -> list[tuple[str, str]]:
    """Return each number with the beginning of the word behind it, empty if that is a function word."""
    pairs: list[tuple[str, str]] = []
    for word, behind in zip(found, [*found[1:], None], strict=True):
        value = number(word.folded) if word.is_number else spelled_number(word)
        if value is not None:
            unit = behind.folded[:3] if behind is not None and content_words([behind], None) else ""
            pairs.append((value, unit))
    return pairs


def _is_name(place: int, word: Word, found: Sequence[Word], language: Language | None) -> bool:
    """Return whether a word must stand in the passage as it is: a name, a code, a month or a weekday."""
    if any(word.folded in one.dates and word.folded not in one.function_words for one in LANGUAGES):
        return True
    if not word.text[:1].isupper() or word.is_number:
        return word.is_number and any(char.isalpha() for char in word.text)
    if place == 0 or len(word.text) == 1:
        # The first word is a name only if it is not one of the language's own.
        return place == 0 and bool(content_words([word], language)) and len(found) > 1 and found[1].text[:1].isupper()
    return bool(content_words([word], language))


def _answers(kept: Sequence[_Kept], quotation: Quotation, basis: TextBasis) -> bool:
    """Return whether the answer is about the question and says something.

    With what it rests on it has as many of the question's words as the quotation, adds a word to them, and holds a
    number if one is asked for.
    """
    found = [word for one in kept for word in words(one.text)]
    passage = basis.passages[quotation.number - 1]
    terms = [passage.stems([term]) for term in basis.question.terms]
    quoted_words = [word for sentence in quotation.sentences for word in sentence.words]
    rests_on = [word for one in kept for word in one.evidence.words]
    if share(basis.weights, terms, passage.stems([*found, *rests_on])) < share(
        basis.weights, terms, passage.stems(quoted_words)
    ):
        return False
    asked = passage.stems(basis.question.terms)
    if all(passage.stems([word]) & asked for word in content_words(found, basis.question.language)):
        return False
    said = any(word.is_number or spelled_number(word) for word in found)
    return said or not (basis.question.asks_number and has_number(quotation.sentences))


def _spans(basis: TextBasis, used: Iterable[tuple[int, Sentence]]) -> tuple[tuple[tuple[int, int], ...], ...]:
    found: list[list[tuple[int, int]]] = [[] for _ in basis.passages]
    for number_, sentence in used:
        span = (sentence.start, sentence.end)
        if span not in found[number_ - 1]:
            found[number_ - 1].append(span)
    return tuple(tuple(sorted(spans)) for spans in found)
