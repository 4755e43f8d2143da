"""Questions that lean on the ones before: «¿y perro?», «¿y en español?», «otro ejemplo».

A follow-up is turned into the whole question it stands for, which is then looked up like any other.
Earlier turns are what the client sent and may be made up, so nothing of them is ever taken for true:
a word that an earlier answer named is only looked up again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.base import ChatMessage, Direction, ParsedQuery, SearchHit
from lexical.folding import fold
from services.answer_words import as_typed, claimed_phrases, looks_bora, normalise, split
from services.entries import Basis, basis_of, example_basis
from services.query_parser import parse_query

MAX_MESSAGES = 6
MAX_MESSAGE_CHARS = 500
_MAX_TOPIC_WORDS = 6

_IT = r"(?:eso|esto|esa|ese|ello|(?:esa|la) palabra|ese (?:termino|nombre)|esa (?:frase|expresion))"
_IN_LANGUAGE = re.compile(
    r"(?:y |ahora )*(?:como (?:se (?:dice|escribe|llama)|es|seria|queda) )?(?:en|al) (?:el |idioma )*"
    r"(?P<lang>bora|espanol|castellano)"
)
_MEANING = re.compile(
    rf"(?:y |pero )*(?:{_IT} )?"
    rf"(?:(?:que|cual) (?:significa|quiere decir|es)(?: {_IT})?|(?:cual es )?(?:su|el) significado)"
    r"(?: en (?:espanol|castellano))?"
)
_FORM = re.compile(
    rf"(?:y )?(?:cual es |como es |como se (?:dice|forma|hace) )?(?:el|su|en|la forma) (?:forma )?"
    rf"(?P<form>plural|singular|femenino|masculino|diminutivo|aumentativo|pasado|futuro|presente|gerundio)"
    rf"(?: de {_IT})?(?: en bora)?"
)
_EXAMPLE = re.compile(
    r"(?:y |ahora )*"
    r"(?:(?:me )?(?:dame|dime|ponme|muestrame|quiero|hay|tienes|das|pones|puedes dar(?:me)?|podrias dar(?:me)?) )?"
    r"(?:un |una |otro |otra |otros |otras |algun |alguna |unos |unas |mas )*"
    r"(?:ejemplos?|frases?|oracion(?:es)?)(?: mas)?"
    r"(?: (?:con|de|para|usando) (?P<word>.+?))?(?: por favor)?"
)
_AGAIN = re.compile(
    rf"(?:otra vez|de nuevo|repite(?:lo|melo)?|como se (?:dice|escribe|pronuncia)(?: {_IT})?)(?: por favor)?"
)
_AND = re.compile(
    r"[\s¿¡]*y\s+(?:también\s+)?(?:(?:para(?:\s+decir)?|con|de)\s+)?(?P<word>.+?)[\s?!.…]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What to look up.

    ``question`` stands alone. ``missing`` names what was asked of the word beyond its entry ("plural de
    gato"), empty for nothing. ``example_of`` is the word whose examples were asked for.
    """

    question: str
    missing: str = ""
    example_of: str = ""
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class _Topic:
    """The word under discussion, as typed, and the one that the answer to it named."""

    word: str
    direction: Direction
    named: str = ""


def recent(history: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the last turns that are looked at, each within its bound."""
    return [
        {"role": message["role"], "content": message["content"][:MAX_MESSAGE_CHARS]}
        for message in history[-MAX_MESSAGES:]
    ]


def resolve(query: str, history: Sequence[ChatMessage]) -> FollowUp:
    """Return the question that ``query`` stands for after the last turns of ``history``."""
    topic: _Topic | None = None
    for message in recent(history):
        if message["role"] == "user":
            _, topic = _read(message["content"], topic)
        elif topic is not None:
            topic = replace(topic, named=_named(message["content"], topic))
    return _read(query, topic)[0]


def basis_for(
    asked: FollowUp, question: ParsedQuery, hits: Sequence[SearchHit], limit: int, history: Sequence[ChatMessage]
) -> Basis:
    """Return what may be answered; what was asked beyond an entry is said to be missing."""
    if asked.example_of:
        seen = " ".join(message["content"] for message in history)
        example = example_basis(question, hits, asked.example_of, seen)
        if example is not None:
            chosen = [entry.hit for entry in example.wanted]
            others = [hit for hit in example.hits if hit not in chosen]
            return replace(example, hits=tuple([*chosen, *others][:limit]))
    basis = basis_of(question, hits[:limit])
    return replace(basis, exact=False, missing=asked.missing) if asked.missing and basis.wanted else basis


def _read(text: str, topic: _Topic | None) -> tuple[FollowUp, _Topic | None]:
    """Return what one turn of the learner asks for, and the topic after it."""
    asked = fold(text)
    example = _EXAMPLE.fullmatch(asked)
    if example is not None and example["word"]:
        # "un ejemplo con gato" stands alone.
        word = as_typed(text, example["word"])
        topic = _Topic(word, _direction_of(word, None))
        return _example(topic, "un"), topic
    if topic is not None:
        if example is not None:
            return _example(topic, "otro"), topic
        turned = _turned(asked, topic) or _next(text, topic)
        if turned is not None:
            return FollowUp(_question(turned.word, turned.direction), direction=turned.direction), turned
        form = _FORM.fullmatch(asked)
        if form is not None:
            return _form_of(form["form"], topic), topic
    parsed = parse_query(text)
    if not parsed.phrase or len(parsed.phrase.split()) > _MAX_TOPIC_WORDS:
        return FollowUp(text), topic
    word = as_typed(text, parsed.phrase)
    return FollowUp(text), _Topic(word, parsed.direction or _direction_of(word, None))


def _turned(asked: str, topic: _Topic) -> _Topic | None:
    """The same word again, perhaps the other way round."""
    tongue = _IN_LANGUAGE.fullmatch(asked)
    if _MEANING.fullmatch(asked) or (tongue is not None and tongue["lang"] != "bora"):
        word = topic.named if topic.direction == "es_bora" and topic.named else topic.word
        return _Topic(word, "bora_es")
    if tongue is not None:
        word = topic.named if topic.direction == "bora_es" and topic.named else topic.word
        return _Topic(word, "es_bora")
    return replace(topic, named="") if _AGAIN.fullmatch(asked) else None


def _next(text: str, topic: _Topic) -> _Topic | None:
    """Another word, asked for in the way of the last one."""
    found = _AND.fullmatch(normalise(text))
    if found is None or _FORM.fullmatch(fold(text)):
        return None
    word = found["word"].strip(" \"'«»“”")
    # "¿Y cómo se dice perro?" has a frame of its own.
    if not 0 < len(fold(word).split()) <= _MAX_TOPIC_WORDS or parse_query(word).phrase != fold(word):
        return None
    return _Topic(word, _direction_of(word, topic))


def _direction_of(word: str, topic: _Topic | None) -> Direction:
    """A word spelt as Bora is Bora; after "¿Qué significa ado?" any word may be."""
    if any(looks_bora(part) for part in split(word)):
        return "bora_es"
    return topic.direction if topic else "es_bora"


def _question(word: str, direction: Direction) -> str:
    return f"¿Cómo se dice {word} en bora?" if direction == "es_bora" else f"¿Qué significa {word} en español?"


def _example(topic: _Topic, which: str) -> FollowUp:
    question = _question(topic.word, topic.direction)
    return FollowUp(question, f"{which} ejemplo con {topic.word}", topic.word, topic.direction)


def _form_of(form: str, topic: _Topic) -> FollowUp:
    """A plural that the dictionary holds is found as a word of its own; nothing is known of other forms."""
    if form == "plural" and topic.direction == "es_bora" and " " not in topic.word:
        return FollowUp(_question(_plural(topic.word), "es_bora"), direction="es_bora")
    return FollowUp(_question(topic.word, topic.direction), f"{form} de {topic.word}", direction=topic.direction)


def _plural(word: str) -> str:
    lower = word.lower()
    if lower.endswith("s"):
        return word
    if lower.endswith("z"):
        return f"{word[:-1]}ces"
    return f"{word}s" if lower[-1] in "aeiouáéó" else f"{word}es"


def _named(answer: str, topic: _Topic) -> str:
    """Return the word that an answer gave for the topic, empty when it named none."""
    text = normalise(answer)
    own = fold(topic.word)
    phrases = [phrase.strip() for phrase in claimed_phrases(text) if fold(phrase) not in ("", own)]
    if len(phrases) == 0:
        phrases = [word for word in split(text) if looks_bora(word) and fold(word) != own]
    bora = [phrase for phrase in phrases if any(looks_bora(word) for word in split(phrase))]
    if topic.direction == "es_bora":
        return bora[-1] if bora else (phrases[-1] if phrases else "")
    spanish = [phrase for phrase in phrases if phrase not in bora]
    return spanish[-1] if spanish else ""
