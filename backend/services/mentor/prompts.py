"""Prompts. The wording was chosen by measurement (``dev.py bench answers``, docs/experiments.md)."""

from collections.abc import Sequence

from adapters.ports.documents import SearchHit
from adapters.ports.models import ChatMessage
from services.mentor.basis import Basis
from services.mentor.entries import entry_of
from services.mentor.extractive import extractive_answer
from services.mentor.questions.follow_ups import recent
from services.planted import as_data, defused, plain

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
    """Return the conversation to send: persona, rules, the last turns, the question with its entries.

    ``persona`` is the operator's text; all other inserted text is untrusted data (see ``as_data``).
    """
    # Small models copy a sentence more reliably than they compose one (docs/experiments.md).
    task = f"\nSay this in one short Spanish sentence: {sentence_to_say(basis)}" if basis.wanted else ""
    return _conversation(query, basis, history, persona, task)


def explanation_messages(query: str, basis: Basis, *, persona: str = DEFAULT_PERSONA) -> list[ChatMessage]:
    """Return the conversation that asks for an explanation of an answer the learner has.

    Without earlier turns: the same question then has the same prompt, and is answered from the service's cache.
    """
    task = (
        f"\nThe learner has this answer: {sentence_to_say(basis)}"
        "\nExplain in one short Spanish sentence, which repeats the Bora word, what the word means or how it is used."
    )
    return _conversation(query, basis, (), persona, task)


def _conversation(
    query: str, basis: Basis, history: Sequence[ChatMessage], persona: str, task: str
) -> list[ChatMessage]:
    entries = "\n".join(entry_line(hit) for hit in basis.hits)
    question = f"Dictionary entries:\n{entries}\n\nQuestion: {as_data(query, MAX_QUESTION_CHARS)}{task}"
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
    """Return the extractive answer for use in a prompt; quotation marks are kept."""
    return defused(extractive_answer(basis))


def last_turns(history: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the last turns that fit the limit, oldest first, as untrusted data."""
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
