"""From a learner's turn to search terms, and from results to the basis of the answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adapters.ports.documents import SearchHit
from adapters.ports.models import ChatMessage
from adapters.ports.search import ParsedQuery
from services.mentor.basis import Basis, basis_of, basis_with, cover, example_basis
from services.mentor.entries import Entry, entries_of, senses
from services.mentor.extractive import extractive_answer, quoted_pairs, reading_hints, sentences
from services.mentor.lexicon.folding import fold, normalise
from services.mentor.questions.follow_ups import FollowUp, resolve
from services.mentor.questions.languages import Foreign, foreign
from services.mentor.questions.parser import query_for_all
from services.mentor.questions.small_talk import small_talk
from services.mentor.questions.statements import claimed, compared


@dataclass(frozen=True, slots=True)
class Understood:
    """A turn: its search terms, and the function that makes the basis of the answer from the entries found."""

    query: ParsedQuery
    basis: Callable[[Sequence[SearchHit]], Basis]
    by_words_only: bool = False
    """Whether only entries of the very words can answer."""


def understand(text: str, history: Sequence[ChatMessage]) -> Understood:
    """Return the meaning of a turn, given the turns before it."""
    reply = small_talk(text)
    if reply:
        # Fixed words, without a lookup.
        query = ParsedQuery(text, "", ())
        return Understood(query, lambda _: Basis(query, (), (), "es_bora", exact=False, fixed=reply))
    stranger = foreign(text)
    if stranger is not None:
        asked = query_for_all(stranger.words, text)
        return Understood(asked, lambda hits: _explained(stranger, asked, hits), by_words_only=True)
    pair = compared(fold(text))
    if pair is not None:
        asked = query_for_all(pair, text)
        return Understood(asked, lambda hits: _compared(pair, basis_of(asked, hits)), by_words_only=True)
    claim = claimed(fold(text))
    if claim is not None:
        asked = query_for_all(claim, text)
        return Understood(asked, lambda hits: _confirmed(claim, asked, hits), by_words_only=True)
    follow_up = resolve(text, history)
    return Understood(follow_up.query, lambda hits: _followed(follow_up, hits, history))


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


def _explained(stranger: Foreign, question: ParsedQuery, hits: Sequence[SearchHit]) -> Basis:
    """Return a reply in the question's language that says what can be asked, with the entries of its words."""
    entries = tuple(entry for entry in cover(question, entries_of(hits)).entries if not entry.form)
    said = [stranger.reply, *([f"{stranger.entries}: {quoted_pairs(entries)}."] if entries else [])]
    if stranger.asks_for_a_word:
        question, said = replace(question, direction="es_bora"), said[::-1]
    sources = {entry.hit.id: entry.hit for entry in entries}
    return Basis(question, tuple(sources.values()), entries, "es_bora", exact=True, fixed=" ".join(said))


def _confirmed(claim: tuple[str, str], question: ParsedQuery, hits: Sequence[SearchHit]) -> Basis:
    word, meaning = claim
    basis = basis_of(question, hits)
    entries = [entry.answering(word, to) for entry in entries_of(hits) for to in ("es_bora", "bora_es")]
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
