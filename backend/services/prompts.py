"""What the model is told. Which wording works was measured (``dev.py bench answers``, docs/experiments.md)."""

from collections.abc import Callable, Sequence

from adapters.base import ChatMessage, SearchHit
from services.entries import Basis, entry_of
from services.extractive import extractive_answer
from services.follow_ups import recent
from services.planted import as_data, defused, plain

PromptBuilder = Callable[[str, Basis, Sequence[ChatMessage]], list[ChatMessage]]
"""Question, what may be answered, earlier turns; returns the conversation to send."""

MAX_HISTORY_CHARS = 2_000
MAX_QUESTION_CHARS = 500
_ENTRY_CHARS = 300
DEFAULT_PERSONA = "You teach Bora, a language of the Peruvian Amazon, to Spanish speakers."
RULES = (
    "Answer in Spanish with one short sentence. "
    "Use only the dictionary entries of the question. "
    "Copy the Bora word exactly, letter by letter, with its accents. "
    "Never invent a Bora word."
)


def build_messages(
    query: str, basis: Basis, history: Sequence[ChatMessage] = (), *, persona: str = DEFAULT_PERSONA
) -> list[ChatMessage]:
    """Return the conversation to send: who the mentor is, rules, the last turns, the question with its entries.

    ``persona`` is the operator's own text; everything else that is filled in is data (see ``as_data``).
    """
    entries = "\n".join(entry_line(hit) for hit in basis.hits)
    question = f"Dictionary entries:\n{entries}\n\nQuestion: {as_data(query, MAX_QUESTION_CHARS)}"
    if basis.wanted:
        # A small model copies a sentence far more often than it builds one (docs/experiments.md).
        question += f"\nSay this in one short Spanish sentence: {sentence_to_say(basis)}"
    return [
        {"role": "system", "content": f"{persona} {RULES}"},
        *last_turns(history),
        {"role": "user", "content": question},
    ]


def entry_line(hit: SearchHit) -> str:
    """Return one document as a line of the prompt."""
    entry = entry_of(hit)
    if entry is None:
        return f"- {as_data(plain(hit.content), _ENTRY_CHARS)}"
    return f'- Spanish "{as_data(entry.spanish, _ENTRY_CHARS)}" = Bora "{as_data(entry.bora, _ENTRY_CHARS)}"'


def sentence_to_say(basis: Basis) -> str:
    """Return the entries' own answer, fit for a prompt; its quotation marks stay."""
    return defused(extractive_answer(basis))


def last_turns(history: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the last turns that fit, oldest first, as data."""
    kept: list[ChatMessage] = []
    room = MAX_HISTORY_CHARS
    for message in reversed(recent(history)):
        content = as_data(message["content"], MAX_HISTORY_CHARS)
        room -= len(content)
        if room < 0:
            break
        if content:
            kept.append({"role": message["role"], "content": content})
    return kept[::-1]
