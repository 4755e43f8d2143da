"""From a learner's turn to what is looked up, and from what was found to the basis of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.base import ChatMessage, ParsedQuery, SearchHit
from services.mentor.basis import Basis, basis_of, basis_with, example_basis, with_limit
from services.mentor.cover import cover
from services.mentor.entries import Entry, entry_of, senses
from services.mentor.extractive import extractive_answer, quoted_pairs, sentences
from services.mentor.lexicon.folding import fold, normalise
from services.mentor.pronunciation import reading_hints
from services.mentor.questions.follow_ups import FollowUp, resolve
from services.mentor.questions.languages import Foreign, foreign
from services.mentor.questions.parser import query_for_all
from services.mentor.questions.small_talk import small_talk
from services.mentor.questions.statements import claimed, compared


@dataclass(frozen=True, slots=True)
class Understood:
    """A turn: ``query`` is the lookup, and at most one other field says what else is asked.

    ``reply`` answers small talk, which is not looked up; ``claim`` is a word with a meaning to confirm.
    """

    query: ParsedQuery
    reply: str = ""
    foreign: Foreign | None = None
    claim: tuple[str, str] | None = None
    comparison: tuple[str, str] | None = None
    follow_up: FollowUp | None = None

    @property
    def by_words_only(self) -> bool:
        """Whether only entries of the very words can answer."""
        return bool(self.foreign or self.claim or self.comparison)


def understand(text: str, history: Sequence[ChatMessage]) -> Understood:
    """Return what a turn asks for, given the turns before it."""
    reply = small_talk(text)
    if reply:
        return Understood(ParsedQuery(text, "", ()), reply=reply)
    stranger = foreign(text)
    if stranger is not None:
        return Understood(query_for_all(stranger.words, text), foreign=stranger)
    asked = fold(text)
    comparison = compared(asked)
    if comparison is not None:
        return Understood(query_for_all(comparison, text), comparison=comparison)
    claim = claimed(asked)
    if claim is not None:
        return Understood(query_for_all(claim, text), claim=claim)
    follow_up = resolve(text, history)
    return Understood(follow_up.query, follow_up=follow_up)


def basis_for(asked: Understood, hits: Sequence[SearchHit], limit: int, history: Sequence[ChatMessage]) -> Basis:
    """Return the basis of the answer, with ``limit`` documents, or as many as are named."""
    question = asked.query
    if asked.reply:
        return Basis(question, (), (), "es_bora", exact=False, fixed=asked.reply)
    if asked.foreign is not None:
        return _told(asked.foreign, question, hits)
    if asked.claim is not None:
        return with_limit(_confirmed(asked.claim, question, hits), limit)
    if asked.comparison is not None:
        return with_limit(_compared(asked.comparison, basis_of(question, hits)), limit)
    return with_limit(_followed(asked.follow_up or FollowUp(question), hits, history), limit)


def _followed(asked: FollowUp, hits: Sequence[SearchHit], history: Sequence[ChatMessage]) -> Basis:
    """Return the basis; a requested form or example that entries do not contain is named as missing."""
    if asked.example_of:
        seen = " ".join(message["content"] for message in history)
        example = example_basis(asked.query, hits, asked.example_of, seen)
        if example is not None:
            return example
    basis = basis_of(asked.query, hits)
    if asked.missing and basis.wanted:
        return replace(basis, exact=False, missing=(asked.missing,))
    if asked.pronounced and basis.wanted:
        hints = reading_hints([entry.bora for entry in basis.wanted])
        return replace(basis, fixed=f"{extractive_answer(basis)} {hints}")
    return basis


def _told(stranger: Foreign, question: ParsedQuery, hits: Sequence[SearchHit]) -> Basis:
    """Return what can be asked, in the question's language, with the entries of its words."""
    entries = tuple(entry for entry in cover(question, _entries(hits)).entries if not entry.form)
    basis = with_limit(Basis(question, tuple(hits), entries, "es_bora", exact=True), len(entries))
    said = [stranger.reply, *([f"{stranger.entries}: {quoted_pairs(entries)}."] if entries else [])]
    if stranger.asks_for_a_word:
        basis, said = replace(basis, question=replace(question, direction="es_bora")), said[::-1]
    return replace(basis, hits=basis.hits[: len(entries)], fixed=" ".join(said))


def _confirmed(claim: tuple[str, str], question: ParsedQuery, hits: Sequence[SearchHit]) -> Basis:
    word, meaning = claim
    basis = basis_of(question, hits)
    entries = [entry.answering(word, to) for entry in _entries(hits) for to in ("es_bora", "bora_es")]
    of_word = [entry for entry in entries if not entry.is_example() and _is_named(entry, word)]
    right = [entry for entry in of_word if meaning in (fold(sense) for sense in senses(entry.target))]
    if right:
        others = [entry for entry in of_word if entry.to == right[0].to]
        basis = basis_with(question, basis.hits, [*right, *others], exact=True)
        return replace(basis, fixed=f"Sí: {'; '.join(sentences(basis))}.")
    if of_word and basis.wanted:
        return replace(basis, fixed=f"No, según el diccionario: {'; '.join(sentences(basis))}.")
    return basis


def _is_named(entry: Entry, word: str) -> bool:
    return any(fold(name) == fold(entry.word) for name in entry.names()) and fold(entry.word) in (word, _bare(word))


def _bare(phrase: str) -> str:
    article, _, rest = phrase.partition(" ")
    return rest if article in ("el", "la", "los", "las", "un", "una") else phrase


def _compared(pair: tuple[str, str], basis: Basis) -> Basis:
    """Return the basis with a word on whether the two have the same answer, where both have one."""
    one, other = (
        {(entry.to, normalise(entry.target)) for entry in basis.wanted if fold(entry.form or entry.word) == _bare(word)}
        for word in pair
    )
    if not one or not other:
        return basis
    if basis.direction == "es_bora":
        verdict = "En bora es la misma palabra." if one & other else "En bora son palabras distintas."
    else:
        verdict = "Significan lo mismo." if one & other else "No significan lo mismo."
    return replace(basis, fixed=f"{extractive_answer(basis)} {verdict}")


def _entries(hits: Sequence[SearchHit]) -> list[Entry]:
    return [entry for hit in hits if (entry := entry_of(hit)) is not None]
