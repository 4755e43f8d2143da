"""What the model is told. In English, which small models follow better, to answer in Spanish (see docs)."""

from collections.abc import Sequence

from adapters.base import ChatMessage, SearchHit
from services.entries import Basis, entry_of
from services.extractive import extractive_answer

MAX_HISTORY_MESSAGES = 6
MAX_HISTORY_CHARS = 2_000
_ENTRY_CHARS = 300
_SYSTEM = (
    "You teach Bora, a language of the Peruvian Amazon, to Spanish speakers. "
    "Answer in Spanish with one short sentence. "
    "Use only the dictionary entries of the question. "
    "Copy the Bora word exactly, letter by letter, with its accents. "
    "Never invent a Bora word."
)


def build_messages(query: str, basis: Basis, history: Sequence[ChatMessage] = ()) -> list[ChatMessage]:
    """Return the conversation to send: rules, the last turns, and the question with its entries."""
    entries = "\n".join(_line(hit) for hit in basis.hits)
    question = f"Dictionary entries:\n{entries}\n\nQuestion: {query}"
    if basis.wanted:
        # A small model copies a sentence far more often than it builds one (docs/experiments.md).
        question += f"\nSay this in one short Spanish sentence: {extractive_answer(basis)}"
    return [
        {"role": "system", "content": _SYSTEM},
        *_recent(history),
        {"role": "user", "content": question},
    ]


def _line(hit: SearchHit) -> str:
    entry = entry_of(hit)
    if entry is None:
        return f"- {' '.join(hit.content.split())[:_ENTRY_CHARS]}"
    return f'- Spanish "{entry.spanish[:_ENTRY_CHARS]}" = Bora "{entry.bora[:_ENTRY_CHARS]}"'


def _recent(history: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the last turns that fit, oldest first."""
    kept: list[ChatMessage] = []
    room = MAX_HISTORY_CHARS
    for message in reversed(history[-MAX_HISTORY_MESSAGES:]):
        room -= len(message["content"])
        if room < 0:
            break
        kept.append(message)
    return kept[::-1]
