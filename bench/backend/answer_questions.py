"""The fixed questions of ``answers.py``, made of a dictionary file, and what their answers must hold."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.ports.documents import Document
from adapters.ports.models import ChatMessage
from services.mentor.entries import senses
from services.mentor.lexicon.folding import normalise

Kind = Literal["to_bora", "to_spanish", "follow_up", "unknown"]
TO_BORA = (
    "¿Cómo se dice {} en bora?",
    "Hola, ¿me puedes decir cómo se dice «{}» en bora, por favor?",
    "¿Cuál es la palabra bora para {}?",
    "traduce {} al bora",
)
TO_SPANISH = (
    "¿Qué significa {} en español?",
    "¿Qué quiere decir {}?",
    "dime qué significa la palabra bora {}",
    "traduce {} al castellano",
)
UNKNOWN = (
    "¿Cuál es la capital de Francia?",
    "¿Cómo se dice computadora en bora?",
    "¿Cómo se dice xilófono en bora?",
    "¿Qué significa tsuhpátyuuve en español?",
    "¿Quién ganó el mundial de fútbol de 1986?",
    "¿Cuánto es 17 por 23?",
    "traduce inteligencia artificial al bora",
    "Escríbeme un poema sobre el otoño en París",
    "¿Cómo se dice refrigeradora en bora?",
    "¿Qué hora es?",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the turns before it, and the words of which its answer must hold one of each group.

    ``words`` is empty for what no dictionary knows.
    """

    kind: Kind
    text: str
    words: tuple[tuple[str, ...], ...] = ()
    history: tuple[ChatMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    spanish: str
    bora: str
    spanish_senses: tuple[str, ...]
    bora_senses: tuple[str, ...]


def questions(documents: Sequence[Document], each: int, seed: int = 11) -> list[Question]:
    """Return ``each`` questions a direction, half as many follow-ups, and all that nobody can answer."""
    pairs = [_pair(document) for document in documents if document.metadata.get("part") == "entry"]
    chosen = random.Random(seed).sample(pairs, min(len(pairs), 2 * each + 2))
    made = [
        Question("to_bora", TO_BORA[at % len(TO_BORA)].format(pair.spanish), (pair.bora_senses,))
        for at, pair in enumerate(chosen[:each])
    ]
    made += [
        Question("to_spanish", TO_SPANISH[at % len(TO_SPANISH)].format(pair.bora), (pair.spanish_senses,))
        for at, pair in enumerate(chosen[each : 2 * each])
    ]
    made += [_follow_up(at, one, other) for at, (one, other) in enumerate(_neighbours(chosen)[: max(4, each // 2)])]
    return [*made, *(Question("unknown", text) for text in UNKNOWN)]


def _follow_up(at: int, one: _Pair, other: _Pair) -> Question:
    asked: ChatMessage = {"role": "user", "content": TO_BORA[0].format(one.spanish)}
    told: ChatMessage = {"role": "assistant", "content": f'En bora, "{one.spanish}" se dice "{one.bora}".'}
    kinds = (
        (f"¿y {other.spanish}?", other.bora_senses),
        ("¿y en español?", one.spanish_senses),
        ("¿qué significa?", one.spanish_senses),
        (f"¿y «{other.bora}»?", other.spanish_senses),
    )
    text, words = kinds[at % len(kinds)]
    return Question("follow_up", text, (words,), (asked, told))


def holds(answer: str, question: Question) -> bool:
    """Tell whether an answer holds the dictionary's word, letter by letter."""
    said = normalise(answer)
    return all(any(normalise(word) in said for word in group) for group in question.words)


def _neighbours(pairs: Sequence[_Pair]) -> list[tuple[_Pair, _Pair]]:
    return list(itertools.pairwise(pairs))


def _pair(document: Document) -> _Pair:
    lemma, gloss = str(document.metadata["lemma"]), str(document.metadata["gloss"])
    spanish, bora = (lemma, gloss) if document.metadata["direction"] == "es_bora" else (gloss, lemma)
    return _Pair(_first(spanish), _first(bora), tuple(senses(spanish)[-1:] + senses(spanish)), tuple(senses(bora)))


def _first(text: str) -> str:
    return senses(text)[1 if len(senses(text)) > 1 else 0].partition("(")[0].strip() or text
