"""Follow-up questions: «¿y perro?», «¿y en español?», «otro ejemplo».

A follow-up is expanded to a complete question, which is looked up like any other. Earlier turns come
from the client and may be forged, so they are never a source of facts: a word named in an earlier
answer is looked up again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.ports.documents import Direction
from adapters.ports.models import ChatMessage
from adapters.ports.search import ParsedQuery
from services.mentor.answer_words import as_typed, claimed_phrases, composed, looks_bora, split
from services.mentor.lexicon.folding import fold
from services.mentor.questions.parser import parse_query, query_for
from services.mentor.questions.small_talk import small_talk

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
    rf"|(?:y |pero )+{_IT}"
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
_PRONOUNCE = re.compile(
    rf"(?:y |pero )*(?:como (?:se|lo|la) (?:pronuncia|pronuncian|pronuncio|lee|leo|dice en voz alta)"
    rf"|(?:cual es )?(?:su|la) pronunciacion)(?: (?:de )?{_IT})?(?: en bora)?(?: por favor)?"
)
_AGAIN = re.compile(
    rf"(?:(?:y |pero )*(?:otra vez|de nuevo|repite(?:lo|melo)?|como se (?:dice|escribe)(?: {_IT})?|(?:estas?|es) "
    rf"(?:bien |eso )?segur[oa]|segur[oa]|de verdad|en serio))(?: por favor)?"
)
_AND = re.compile(
    r"[\s¿¡]*y\s+(?:también\s+)?(?:(?:para(?:\s+decir)?|con|de)\s+)?(?P<word>.+?)[\s?!.…]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A self-contained question.

    ``query`` is the lookup; its ``original`` is the question in words. ``missing`` names a requested form that
    entries do not contain ("plural de gato"), else it is empty. ``example_of`` is the word for which an example
    was requested; ``pronounced`` is whether its pronunciation was.
    """

    query: ParsedQuery
    missing: str = ""
    example_of: str = ""
    pronounced: bool = False


@dataclass(frozen=True, slots=True)
class _Topic:
    """The current word, as typed, and the word that the answer named for it."""

    word: str
    direction: Direction
    named: str = ""


def recent(history: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the last turns, bounded in number and length."""
    return [
        {"role": message["role"], "content": message["content"][:MAX_MESSAGE_CHARS]}
        for message in history[-MAX_MESSAGES:]
    ]


def resolve(query: str, history: Sequence[ChatMessage]) -> FollowUp:
    """Return ``query`` as a self-contained question, resolved against the last turns of ``history``."""
    topic: _Topic | None = None
    for message in recent(history):
        if message["role"] == "user":
            if not small_talk(message["content"]):
                _, topic = _read(message["content"], topic)
        elif topic is not None:
            topic = replace(topic, named=_named(message["content"], topic))
    return _read(query, topic)[0]


def _read(text: str, topic: _Topic | None) -> tuple[FollowUp, _Topic | None]:
    """Return the question in one turn of the learner, and the topic after it."""
    asked = fold(text)
    example = _EXAMPLE.fullmatch(asked)
    if example is not None and example["word"]:
        # "un ejemplo con gato" needs no topic.
        word = as_typed(text, example["word"])
        topic = _Topic(word, _direction_of(word, None))
        return _example(topic, "un"), topic
    if topic is not None:
        if example is not None:
            return _example(topic, "otro"), topic
        if _PRONOUNCE.fullmatch(asked):
            return FollowUp(_lookup(topic.word, topic.direction), pronounced=True), topic
        turned = _turned(asked, topic) or _next(text, topic)
        if turned is not None:
            return FollowUp(_lookup(turned.word, turned.direction)), turned
        form = _FORM.fullmatch(asked)
        if form is not None:
            return _form_of(form["form"], topic), topic
    parsed = parse_query(text)
    if not parsed.phrase or len(parsed.phrase.split()) > _MAX_TOPIC_WORDS:
        return FollowUp(parsed), topic
    word = as_typed(text, parsed.phrase)
    return FollowUp(parsed), _Topic(word, parsed.direction or _direction_of(word, None))


def _turned(asked: str, topic: _Topic) -> _Topic | None:
    """Return the topic for the same word, possibly in the other direction."""
    tongue = _IN_LANGUAGE.fullmatch(asked)
    if tongue is None and not _MEANING.fullmatch(asked):
        return replace(topic, named="") if _AGAIN.fullmatch(asked) else None
    to: Direction = "es_bora" if tongue and tongue["lang"] == "bora" else "bora_es"
    return _Topic(topic.named if topic.named and topic.direction != to else topic.word, to)


def _next(text: str, topic: _Topic) -> _Topic | None:
    """Return the topic for another word, in the direction of the last one."""
    found = _AND.fullmatch(composed(text))
    if found is None or _FORM.fullmatch(fold(text)):
        return None
    word = found["word"].strip(" \"'«»“”")
    # "¿Y cómo se dice perro?" has a frame of its own.
    if not 0 < len(fold(word).split()) <= _MAX_TOPIC_WORDS or parse_query(word).phrase != fold(word):
        return None
    return _Topic(word, _direction_of(word, topic))


def _direction_of(word: str, topic: _Topic | None) -> Direction:
    """Return the direction for ``word``: Bora if it is spelt like Bora; otherwise the topic decides."""
    if any(looks_bora(part) for part in split(word)):
        return "bora_es"
    return topic.direction if topic else "es_bora"


def _lookup(word: str, direction: Direction) -> ParsedQuery:
    question = f"¿Cómo se dice {word} en bora?" if direction == "es_bora" else f"¿Qué significa {word} en español?"
    return query_for(word, direction, question)


def _example(topic: _Topic, which: str) -> FollowUp:
    query = _lookup(topic.word, topic.direction)
    return FollowUp(query, f"{which} ejemplo con {topic.word}", topic.word)


def _form_of(form: str, topic: _Topic) -> FollowUp:
    """Return the lookup of a form: a plural may have an entry of its own; other forms have none."""
    if form == "plural" and topic.direction == "es_bora" and " " not in topic.word:
        return FollowUp(_lookup(_plural(topic.word), "es_bora"))
    return FollowUp(_lookup(topic.word, topic.direction), f"{form} de {topic.word}")


def _plural(word: str) -> str:
    lower = word.lower()
    if lower.endswith("s"):
        return word
    if lower.endswith("z"):
        return f"{word[:-1]}ces"
    return f"{word}s" if lower[-1] in "aeiouáéó" else f"{word}es"


def _named(answer: str, topic: _Topic) -> str:
    """Return the word that an answer gave for the topic, or an empty string."""
    text = composed(answer)
    own = fold(topic.word)
    phrases = [phrase.strip() for phrase in claimed_phrases(text) if fold(phrase) not in ("", own)]
    if len(phrases) == 0:
        phrases = [word for word in split(text) if looks_bora(word) and fold(word) != own]
    bora = [phrase for phrase in phrases if any(looks_bora(word) for word in split(phrase))]
    if topic.direction == "es_bora":
        return bora[-1] if bora else (phrases[-1] if phrases else "")
    spanish = [phrase for phrase in phrases if phrase not in bora]
    return spanish[-1] if spanish else ""
