"""Wordings of the prompt, side by side. The first is the one in use; the others are what lost (docs/experiments.md)."""

# environment: backend

from collections.abc import Sequence
from functools import partial

from adapters.base import ChatMessage, SearchHit
from services.entries import Basis, entry_of
from services.extractive import extractive_answer
from services.planted import as_data
from services.prompts import (
    DEFAULT_PERSONA,
    RULES,
    PromptBuilder,
    build_messages,
    entry_line,
    last_turns,
    sentence_to_say,
)

SPANISH_PERSONA = (
    "Eres el mentor de MIAPPBORA: enseñas bora, una lengua de la Amazonía peruana, a quien habla español. "
    "Eres paciente, claro y breve."
)
SPANISH_RULES = (
    "Responde en español con una sola oración corta. Usa solo las entradas del diccionario. "
    "Copia la palabra bora letra por letra, con sus acentos. Nunca inventes palabras en bora."
)


def english_rules(query: str, basis: Basis, history: Sequence[ChatMessage] = ()) -> list[ChatMessage]:
    """The rules and the entries, and no sentence to say."""
    question = f"Dictionary entries:\n{_lines(basis)}\n\nQuestion: {as_data(query, 500)}"
    return _conversation(f"{DEFAULT_PERSONA} {RULES}", question, last_turns(history))


def spanish_rules(query: str, basis: Basis, history: Sequence[ChatMessage] = ()) -> list[ChatMessage]:
    """The same in Spanish."""
    question = f"Entradas del diccionario:\n{_lines(basis)}\n\nPregunta: {as_data(query, 500)}"
    return _conversation(f"{SPANISH_PERSONA} {SPANISH_RULES}", question, last_turns(history))


def spanish_sentence(query: str, basis: Basis, history: Sequence[ChatMessage] = ()) -> list[ChatMessage]:
    """In Spanish, with the sentence to say."""
    question = f"Entradas del diccionario:\n{_lines(basis)}\n\nPregunta: {as_data(query, 500)}"
    question += f"\nDilo en una oración corta: {sentence_to_say(basis)}"
    return _conversation(f"{SPANISH_PERSONA} {SPANISH_RULES}", question, last_turns(history))


def solved_example(query: str, basis: Basis, history: Sequence[ChatMessage] = ()) -> list[ChatMessage]:
    """Rules, one question answered beforehand (with made-up words), then the question in the same form."""
    shown: list[ChatMessage] = [
        {"role": "user", "content": 'Entry: "xuma" = "xolibe"\nQuestion: ¿Cómo se dice xuma en bora?'},
        {"role": "assistant", "content": 'En bora, "xuma" se dice "xolibe".'},
    ]
    entries = "\n".join(f"Entry: {_sides(hit, basis)}" for hit in basis.hits[:2])
    return _conversation(
        f"{DEFAULT_PERSONA} {RULES}", f"{entries}\nQuestion: {as_data(query, 500)}", [*shown, *last_turns(history)]
    )


def repeat_it(query: str, basis: Basis, _history: Sequence[ChatMessage] = ()) -> list[ChatMessage]:
    """Nothing but the sentence, to be repeated; earlier turns are left out."""
    said = sentence_to_say(basis)
    question = f"Question: {as_data(query, 500)}\nThe answer is: {said}\nRepeat the answer word for word, in Spanish."
    return _conversation(DEFAULT_PERSONA, question, [])


def unprotected(query: str, basis: Basis, history: Sequence[ChatMessage] = ()) -> list[ChatMessage]:
    """The one in use as it was before documents were treated as data: only to see what that does."""
    lines = "\n".join(f"- {hit.content}" for hit in basis.hits)
    question = f"Dictionary entries:\n{lines}\n\nQuestion: {query}"
    if basis.wanted:
        wanted = basis.wanted[0].hit.metadata
        question += f"\nSay this in one short Spanish sentence: {wanted['lemma']}: {wanted['gloss']}"
    return _conversation(f"{DEFAULT_PERSONA} {RULES}", question, list(history))


VARIANTS: dict[str, PromptBuilder] = {
    "in use": build_messages,
    "in use, Spanish persona": partial(build_messages, persona=SPANISH_PERSONA),
    "english rules": english_rules,
    "spanish rules": spanish_rules,
    "spanish sentence": spanish_sentence,
    "solved example": solved_example,
    "repeat it": repeat_it,
}


def _conversation(system: str, question: str, turns: Sequence[ChatMessage]) -> list[ChatMessage]:
    return [{"role": "system", "content": system}, *turns, {"role": "user", "content": question}]


def _lines(basis: Basis) -> str:
    return "\n".join(entry_line(hit) for hit in basis.hits)


def _sides(hit: SearchHit, basis: Basis) -> str:
    entry = entry_of(hit)
    if entry is None:
        return f'"{as_data(extractive_answer(basis), 300)}"'
    asked, answer = entry.other_side(basis.direction), entry.side(basis.direction)
    return f'"{as_data(asked, 300)}" = "{as_data(answer, 300)}"'
