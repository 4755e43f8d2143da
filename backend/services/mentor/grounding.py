"""Grounding check: keeps a model's answer only if the dictionary supports it.

An answer is kept when it names the entry that answers the question and claims nothing that is not in
the sources. One that makes no statement about the word is completed with the entry; any other is
replaced by the entry. In doubt an answer is replaced, since the entry is always correct.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.ports.documents import SearchHit
from services.mentor import answer_words as words
from services.mentor.answer_words import Token
from services.mentor.basis import Basis
from services.mentor.entries import entries_of, senses
from services.mentor.extractive import extractive_answer
from services.mentor.lexicon.folding import fold, normalise, position
from services.planted import plain

AnswerMode = Literal["generated", "completed", "extractive"]
_MARKUP = re.compile(r"https?:|www\.|\]\(|</?[a-z!|]|\[/?INST", re.IGNORECASE)
"""Markup was not requested, and its effect in a client is unknown."""
_MAX_WORDS = 60
_MAX_WORDS_COMPLETED = 40
_MAX_SENTENCES = 2
_MAX_OWN_WORDS = 16


@dataclass(frozen=True, slots=True)
class Grounded:
    """The answer to show, and how it was derived from the model's answer."""

    text: str
    mode: AnswerMode


def ground(answer: str, basis: Basis, *, cut_short: bool = False) -> Grounded:
    """Return the grounded form of ``answer``; ``cut_short``: the token limit ended the answer."""
    entry_text = extractive_answer(basis)
    replaced = Grounded(entry_text, "extractive")
    text = words.tidy(answer, cut_short=cut_short)
    tokens = words.tokens(text)
    if not basis.wanted or _MARKUP.search(text):
        return replaced
    # Reject questions: small models tend to repeat the learner's.
    if not tokens or len(tokens) > _MAX_WORDS or "?" in text or not words.is_spanish(tokens, _vocabulary(basis)):
        return replaced
    if _claims_unknown(text, tokens, basis) or _rambles(text, tokens, basis):
        return replaced
    names_every_word = all(_finds_any(tokens, senses(entry.target)) for entry in basis.wanted)
    if names_every_word:
        repaired = _repair(text, basis)
        misleads = _overclaims(tokens, basis) or _names_another_first(tokens, basis) or _is_about_else(tokens, basis)
        if misleads or not _spells_every_word(repaired, basis):
            return replaced
        return Grounded(repaired, "generated" if repaired == text else "completed")
    speaks_of_words = words.speaks_of_words(text) or _mentions(tokens, basis.hits)
    if speaks_of_words or len(tokens) > _MAX_WORDS_COMPLETED or not _is_about(tokens, basis):
        return replaced
    return Grounded(f"{text} {entry_text}", "completed")


def _claims_unknown(text: str, tokens: Sequence[Token], basis: Basis) -> bool:
    """Return whether the answer presents as Bora, or as a meaning, a word found in neither question nor sources."""
    known = _vocabulary(basis)
    if any(words.looks_bora(token.text) and token.folded not in known for token in tokens):
        return True
    claimed = (fold(word) for phrase in words.claimed_phrases(text) for word in words.split(phrase))
    return any(word and word not in known and word not in words.SPANISH for word in claimed)


def _rambles(text: str, tokens: Sequence[Token], basis: Basis) -> bool:
    """Return whether the answer exceeds the one short sentence requested, repeats itself, or names the wrong
    language. Additions by small models are seldom correct.
    """
    sentences = [fold(part) for part in re.split(r"[.!?…]+(?:\s|$)", text) if part.strip()]
    if len(sentences) > _MAX_SENTENCES or len(set(sentences)) < len(sentences):
        return True
    entry_words = sum(len(words.split(entry.bora)) + len(words.split(entry.spanish)) for entry in basis.wanted)
    if len(tokens) > _MAX_OWN_WORDS + entry_words:
        return True
    wrong = {"espanol", "castellano"} if basis.direction == "es_bora" else set()
    return any(token.folded in wrong for token in tokens)


def _is_about(tokens: Sequence[Token], basis: Basis) -> bool:
    """Return whether the answer is about the word asked for."""
    return any(_finds_any(tokens, senses(entry.source)) for entry in basis.wanted)


def _is_about_else(tokens: Sequence[Token], basis: Basis) -> bool:
    """Return whether the right word is given for a different question ("El camino es …")."""
    if _is_about(tokens, basis):
        return False
    said = _side_words(entry.target for entry in basis.wanted)
    named = [token.folded for token in tokens if token.folded in said - words.SPANISH]
    if basis.direction == "bora_es" and len(tokens) > len(named):
        return True  # '"uno" significa "uno"' contains the meaning, but not the word asked about.
    return any(token.folded not in said | words.SPANISH for token in tokens)


def _overclaims(tokens: Sequence[Token], basis: Basis) -> bool:
    """Return whether a near match is presented as an exact answer."""
    if basis.exact:
        return False
    return not _is_about(tokens, basis) or _find(tokens, basis.question.phrase) is not None


def _names_another_first(tokens: Sequence[Token], basis: Basis) -> bool:
    """Return whether the first Bora word from the sources belongs to an entry not asked for."""
    if basis.direction != "es_bora":
        return False
    wanted = _side_words(entry.bora for entry in basis.wanted)
    others = _side_words(entry.bora for entry in entries_of(basis.hits))
    plain = words.SPANISH | _side_words([basis.question.original, *(entry.spanish for entry in basis.wanted)])
    first = next((token.folded for token in tokens if token.folded in (wanted | others) - plain), None)
    return first is not None and first not in wanted


def _mentions(tokens: Sequence[Token], hits: Iterable[SearchHit]) -> bool:
    bora = _side_words(entry.bora for entry in entries_of(hits)) - words.SPANISH
    return any(token.folded in bora for token in tokens)


def _repair(text: str, basis: Basis) -> str:
    """Return the text with all wanted words and all Bora words spelt as in their entries."""
    sides = [side for entry in basis.wanted for side in (entry.bora, entry.target)]
    spellings = {sense for side in sides for sense in senses(side)}
    for spelling in sorted(spellings, key=lambda sense: (-len(sense), sense)):
        found = words.tokens(text)
        span = _find(found, spelling)
        if span is None or _is_spelt(spelling, text):
            continue
        start, end = found[span[0]].start, found[span[1]].end
        text = text[:start] + words.composed(spelling) + text[end:]
    return text


def _spells_every_word(text: str, basis: Basis) -> bool:
    """Return whether every wanted word occurs with its exact spelling: "tu" is not "tú"."""
    return all(any(_is_spelt(sense, text) for sense in senses(entry.target)) for entry in basis.wanted)


def _is_spelt(phrase: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(normalise(phrase))}(?!\w)", normalise(text)) is not None


def _finds_any(tokens: Sequence[Token], phrases: Iterable[str]) -> bool:
    """Return whether the tokens spell one of the phrases, ignoring accents."""
    return any(_find(tokens, phrase) is not None for phrase in phrases)


def _find(tokens: Sequence[Token], phrase: str) -> tuple[int, int] | None:
    """Return the first and last index of the tokens that spell ``phrase``."""
    wanted = [word for word in (fold(part) for part in words.split(phrase)) if word]
    start = position([token.folded for token in tokens], wanted) if wanted else None
    return None if start is None else (start, start + len(wanted) - 1)


def _vocabulary(basis: Basis) -> frozenset[str]:
    texts = [basis.question.original, "bora"]
    for hit in basis.hits:
        fields = (str(hit.metadata.get(key) or "") for key in ("lemma", "gloss", "parent_lemma"))
        texts += [plain(hit.content), *(plain(field) for field in fields)]
    return _side_words(texts)


def _side_words(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(fold(word) for text in texts for word in words.split(text))
