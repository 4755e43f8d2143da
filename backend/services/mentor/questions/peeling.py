"""The term of a question: what is left when question words are removed from both ends.

A question is recognised by the kinds of its words (asking, saying, meaning, a language, the word
"word", a request), not by their order, so that unforeseen phrasings are covered. One kind alone is not
enough: "decir la verdad" is a phrase to look up.
"""

import re

from adapters.ports.documents import Direction
from services.mentor.lexicon.forms import one_typo_apart
from services.mentor.questions.vocabulary import (
    CLOSING,
    COURTESY,
    KINDS,
    LINKS,
    OFTEN_MISTYPED,
    ORDERS,
    PEOPLE,
    SHORTENED,
    TELLING,
)

_TO = (
    r"(?:en|al|a|para|hacia) (?:(?:(?:el|la|su|tu|nuestra|nuestro|mi) )?(?:(?:idioma|lengua) )?"
    r"(?P<tongue>bora|espanol|castellano)|(?:el|la|su|tu|nuestra|nuestro|mi) (?:idioma|lengua))"
)
_FROM = r"(?:de|del|desde) (?:el |la )?(?:idioma |lengua )?(?P<tongue>bora|espanol|castellano)"
_INTO, _OUT_OF = re.compile(rf"\b{_TO}\b"), re.compile(rf"\b{_FROM}\b")
_TO_TONGUE, _OF_TONGUE = re.compile(rf" {_TO}$"), re.compile(rf" {_FROM}$")
_TO_PEOPLE = re.compile(r" (?:(?:para|entre) )?(?:ustedes )?(?:los|las) boras?$")
_HAS_WORD = re.compile(
    r" (?:tiene|hay|existe) (?:una |un |alguna )?(?:traduccion|palabra|equivalente|nombre|significado)$"
)
_START_WORDS, _REST_WORDS = 4, 6
"""Most words that ``_TAIL_START`` matches, and that follow them."""
_TAIL_START = re.compile(r" (?:y no se |pero no se |(?:a|con|de|y) )?(?:que|como|cual|me)(?= )")
_AFTER_NOUN = re.compile(r"(?:.* )?(?:la|esta|esa|una|el|este) (?:palabra|expresion|frase|termino)(?: bora)? (?P<x>.+)")
_REPORTED = re.compile(
    r".*\b(?:dice|dicen|dijo|dijeron|decia|decian|escuche|escucho|oi|lei|leo|vi|sale|aparece|encontre) (?:que )?"
    r"(?P<x>.+)"
)
_OF_BORA = re.compile(
    r"\b(?:palabra|termino|expresion|frase|nombre|traduccion|equivalente) (?:en )?bora"
    r"(?P<link> (?:para|de|del|por|que))?\b"
)


def peel(folded: str) -> tuple[str, Direction | None] | None:
    """Return the term and direction of ``folded``, or ``None`` if it is not such a question."""
    words = corrected(folded).split()
    size = len(words)
    end, kinds_seen = _peel_end(words)
    start, first_kinds = _peel_start(words[:end])
    kinds_seen |= first_kinds
    kinds = kinds_seen - {"plain"}
    if COURTESY.issuperset(words[:end]):
        start = 0
    # "traduce perro", "perro en bora" (but "¿y en bora?" has no term).
    first = next((word for word in words[:start] if KINDS.get(word, "plain") != "plain"), "")
    is_short = first in ORDERS or (end < size and kinds == {"tongue"} and words[0] != "y")
    if not is_short and (len(kinds) < 2 or not kinds & TELLING):
        return None
    inner = " ".join(folded.split()[start:end])
    for pattern in (_AFTER_NOUN, *((_REPORTED,) if "mean" in kinds_seen or end < size else ())):
        found = pattern.fullmatch(inner)
        inner = found["x"] if found else inner
    return inner, _direction(" ".join(words), kinds - ({"say"} if first in ORDERS else set()))


def corrected(folded: str) -> str:
    """Return the words with typos in frame words corrected; the number of words is unchanged."""
    words = folded.split()
    right: list[str] = []
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        if word in SHORTENED and len(words) > 1:
            right.append(SHORTENED[word])
        elif word in KINDS:
            right.append(word)
        elif before in ("se", "le", "lo") and one_typo_apart(word, "dice"):
            right.append("dice")
        elif before in ("en", "al", "lengua", "idioma") and place == len(words) - 1 and one_typo_apart(word, "bora"):
            right.append("bora")
        else:
            right.append(next((known for known in OFTEN_MISTYPED if one_typo_apart(word, known)), word))
    return " ".join(right)


def _peel_end(words: list[str]) -> tuple[int, set[str]]:
    """Return how many words are left without the end of the question, and the kinds of the removed words."""
    text, kinds_seen = " " + " ".join(words), set[str]()
    while True:
        cut = _end_of_question(text)
        for pattern in (_TO_TONGUE, _OF_TONGUE, _TO_PEOPLE, _HAS_WORD):
            found = pattern.search(text)
            cut = found.start() if found else cut
        if cut is None or not text[:cut].strip():
            return len(text.split()), kinds_seen
        kinds_seen |= {KINDS.get(word, "plain") for word in text[cut:].split()}
        if text.endswith((" que es", " que seria")):
            kinds_seen.add("mean")
        text = text[:cut]


def _end_of_question(text: str) -> int | None:
    """Return the start of a question at the end of ``text`` ("…, a qué se refiere"), if any."""
    # Looking from the first word on would take seconds for a question of hundreds of "que".
    last = " ".join(text.rsplit(" ", _START_WORDS + _REST_WORDS)[1:])
    for found in _TAIL_START.finditer(text, len(text) - len(last) - 1):
        before, rest = text[: found.start()].split(), text[found.end() :].split()
        kinds = {"plain" if word in ("ser", "hacer") else KINDS.get(word) for word in rest}
        if len(rest) > _REST_WORDS or None in kinds or (kinds == {"plain"} and rest[-1] not in CLOSING):
            continue
        # "hola, ¿cómo se dice en bora?" asks for "hola", "hola, ¿cómo se le dice a decir?" does not.
        is_open = len(rest) > 1 and (rest[-2] in LINKS or KINDS.get(rest[-2]) == "say")
        ends = KINDS.get(rest[-1]) in ("say", "mean") or rest[-1] in CLOSING
        if KINDS.keys() >= set(before) and (is_open or not ends):
            continue
        return found.start()
    return None


def _peel_start(words: list[str]) -> tuple[int, set[str]]:
    """Return how many leading words belong to the question, and their kinds; never includes the last word.

    After the last word typical of a question only links belong to it: the article of "el perro" is the term's.
    """
    kinds_seen = set[str]()
    end, before = 0, ""
    for place, word in enumerate(words[:-1]):
        kind = KINDS.get(word)
        if kind is None and word in PEOPLE and {"a", "al", "con"} & set(words[place + 1 : place + 4]):
            kind = "plain"
        # "¿Cómo se dice decir …?": the second verb is the term, but "quiere decir" is one verb.
        if kind is None or (kind == "say" and before == "say"):
            break
        # "… qué es pajtye"
        kinds_seen.add("is" if word in ("es", "son") and place and words[place - 1] == "que" else kind)
        is_telling = kind != "plain" or word in PEOPLE or (word in COURTESY and not kinds_seen - {"plain"})
        is_link = word in LINKS or (word == "con" and words[place - 1] in PEOPLE)
        if is_telling or (is_link and end == place):
            end = place + 1
        before = kind
    return end, kinds_seen


def _direction(text: str, kinds_seen: set[str]) -> Direction | None:
    into, out_of, of_bora = _INTO.search(text), _OUT_OF.search(text), _OF_BORA.search(text)
    if into:
        return "bora_es" if into["tongue"] in ("espanol", "castellano") else "es_bora"
    if of_bora:
        return "es_bora" if of_bora["link"] else "bora_es"
    if out_of:
        return "bora_es" if out_of["tongue"] == "bora" else "es_bora"
    if "mean" in kinds_seen:
        return "bora_es"
    return "es_bora" if kinds_seen & {"say", "tongue"} else None
