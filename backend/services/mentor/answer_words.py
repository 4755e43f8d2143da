"""Word-level analysis of a model's answer: positions, language, Bora spelling."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from services.mentor.lexicon.folding import fold, position
from services.mentor.questions.languages import ENGLISH_ONLY

_WORD = re.compile(r"(?:[^\W\d_]|[\u0300-\u036f])+(?:['’ʼ-](?:[^\W\d_]|[\u0300-\u036f])+)*")
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_MARKUP = re.compile(r"\*\*|__|`+|^#+\s*|^\s*[-*]\s+", re.MULTILINE)
_QUOTED = re.compile(r"[\"“«]([^\"“”«»]{1,120})[\"”»]|(?<!\w)['‘]([^'‘’]{1,120})['’](?!\w)")
_SAID = re.compile(r"(?:se dice|se llama|significa|se traduce(?: como)?|=|:)\s*[\"“«'‘]?\s*([^\W\d_][^\s,.;:!?\"”»]*)")
_OF_WORDS = re.compile(
    r"\bbora\b|\bdice|\bllama|\bsignifica|\btradu|\bpalabra|\bt[ée]rmino|\bidioma|\blengua"
    r"|\bno (?:lo )?s[ée]\b|\bno (?:hay|existe|tengo|encontr|puedo)|[\"“«=:]",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?…][\"”»)]*(?=\s|$)")

_SPANISH_WORDS = """
a al algo así aunque aquí como cómo con cual cuál cuando de del desde dice dicen dos e el él ella ellas ellos
en entre era eres es esa ese eso español está estas este esta esto están fue ha hay he idioma la las le lengua
les lo los llama más me mi muy nada ni no nos o otra otro palabra para pero por porque puede pues que qué
quiere decir se sea ser si sí significa sin sobre son su sus también te tiene todo traduce traducción tu tú
término un una uno unos unas usa utiliza y ya yo forma dicho llamado escribe pronuncia expresión usted ejemplo
diccionario según
"""
SPANISH = frozenset(_SPANISH_WORDS.split())
SPANISH = SPANISH | frozenset(fold(word) for word in SPANISH)
_DOUBLE_VOWEL = re.compile(r"aa|ee|ii|oo|uu")
_SPANISH_DOUBLES = re.compile(
    r"^(?:(?:re)?le|(?:des)?cre|pose|prove|sobre|re|pre)e|^coo|^(?:micro)?zoo|[aeiou]?[lnprs]ee(?:n|s|mos)?$"
    r"|^(?:micro|auto|foto|electro|hidro|radio|pro|neo|video)o|^(?:contra|extra|ultra|infra)a|^(?:anti|semi|multi)i"
)
_SPANISH_PREFIX = re.compile(r"^(?:in|en|con|sub|ab|ad|des|pan|tran)(?=y)")
"""Before y: inyección, conyugal, subyacer."""
_CLUSTER = re.compile(r"ts|dsh|kw|ky|gw|[hj]y|[vbpmndtc]y(?=.)|j[cktpbmnv]|h[bcdjklmnptv]")
_ACUTE = "\u0301"


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text with its position."""

    text: str
    folded: str
    start: int
    end: int


def composed(text: str) -> str:
    """Return ``text`` in Unicode's composed form, as required for comparing words letter by letter."""
    return unicodedata.normalize("NFC", text)


def tidy(answer: str, *, cut_short: bool) -> str:
    """Return the answer without thoughts, markup and, if ``cut_short``, its unfinished last sentence."""
    text = _MARKUP.sub("", _THINKING.sub("", composed(answer)))
    text = " ".join(text.split())
    if cut_short:
        ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        text = text[: ends[-1]] if ends else ""
    return text


def tokens(text: str) -> list[Token]:
    """Return the words of ``text``, which must be ``composed``."""
    return [Token(match[0], fold(match[0]), match.start(), match.end()) for match in _WORD.finditer(text)]


def split(text: str) -> list[str]:
    """Return the words of any text."""
    return _WORD.findall(composed(text))


def is_spanish(found: Sequence[Token], known: AbstractSet[str]) -> bool:
    """Return whether an answer is in Spanish, judged by its function words."""
    plain = {token.text.lower() for token in found}
    if plain & ENGLISH_ONLY:
        return False
    return bool(plain & SPANISH) or all(token.folded in known for token in found)


def looks_bora(word: str) -> bool:
    """Return whether a word's spelling occurs in Bora but not in Spanish; each part of a hyphenated word by itself."""
    if "-" in word:
        return any(looks_bora(part) for part in word.split("-"))
    lower = word.lower()
    decomposed = unicodedata.normalize("NFD", lower)
    if "ɨ" in lower or "ʉ" in lower or decomposed.count(_ACUTE) > 1 or re.search(r"\w['’ʼ]\w", lower):
        return True
    bare = fold(lower)
    if _DOUBLE_VOWEL.search(bare) and not _SPANISH_DOUBLES.search(bare):
        return True
    return _CLUSTER.search(_SPANISH_PREFIX.sub("", bare)) is not None


def claimed_phrases(text: str) -> Iterable[str]:
    """Yield phrases that an answer presents as a word or a meaning: quotations, and text after "se dice" etc."""
    for match in _QUOTED.finditer(text):
        yield match[1] or match[2]
    for match in _SAID.finditer(text):
        yield match[1]


def speaks_of_words(text: str) -> bool:
    """Return whether an answer makes a statement about a word or itself, rather than about the thing."""
    return _OF_WORDS.search(text) is not None


def as_typed(text: str, folded: str) -> str:
    """Return the words of ``text`` that fold to ``folded``, with their accents and capitals."""
    words, wanted = split(text), folded.split()
    start = position([fold(word) for word in words], wanted)
    return folded if start is None else " ".join(words[start : start + len(wanted)])
