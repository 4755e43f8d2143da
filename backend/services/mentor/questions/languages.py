"""Detects questions in English or Portuguese, and the reply in that language, which says what can be asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.mentor.lexicon.folding import fold, normalise
from services.mentor.questions.translations import FROM_ENGLISH, FROM_PORTUGUESE
from services.mentor.questions.vocabulary import word_set

_WORDS = re.compile(r"[^\W\d_]+")
_ENGLISH = word_set("""
what how does do did the is are was of for to in into from word words who whose why when where which you your
yours i me my we can could would should please translate translation translated mean means meaning say said saying
call called name tell know help need want there this that it and or not with about have has speak language english
spanish bora hello hi hey thanks thank much very good morning night afternoon evening bye goodbye
""")
_PORTUGUESE = word_set("""
como se diz dizer dizem em o a os as que qual quais quem é e de da do das dos na no nas nos para pra por um uma
você voce vocês eu me meu minha seu sua palavra palavras significa significado quer traduz traduza traduzir
tradução pode poderia posso podes ajudar ajuda ajude fala falar isso isto não nao sim obrigado obrigada muito muita
olá ola oi tchau bom boa dia noite tarde português portugues espanhol bora língua lingua
""")
# Decide nothing: words of Spanish or Bora too, and frequent ones between the two.
_SHARED = word_set("""
do for to in into i me my can name tell it or not about have has there bora no
como se o a os as que e de da do das dos na nos para pra por um uma quer significa significado seu sua fala
isso sim ajuda ajudar podes posso ola boa dia noite tarde muita lingua
""")
ENGLISH_ONLY = (_ENGLISH - _SHARED) | {"question", "answer", "entries"}
"""The last ones are of prompts, which small models repeat."""
_ASKING_FOR_WORDS = word_set("""
say saying said call called translate translated translation mean means meaning word words
diz dizer dizem traduz traduza traduzir tradução significa significado palavra palavras
""")
_ALONE = {
    "en": frozenset({"hello", "hi", "hey", "thanks", "bye", "goodbye", "help", "please"}),
    "pt": frozenset({"olá", "oi", "obrigado", "obrigada", "tchau"}),
}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A question in another language: what to say, how to introduce entries, and the words that may have some, in
    Spanish where that is known.
    """

    reply: str
    entries: str
    words: tuple[str, ...]
    asks_for_a_word: bool
    """Whether it asks how something is said or what it means."""


def foreign(text: str) -> Foreign | None:
    """Return a question in English or Portuguese, or ``None`` if it is not surely one."""
    words = _WORDS.findall(normalise(text[:500]))
    english = _share(words, "en", _ENGLISH)
    portuguese = _share(words, "pt", _PORTUGUESE) or (2 if words[:2] == ["o", "que"] else 0)
    if not english and not portuguese:
        return None
    if english >= portuguese:
        return Foreign(
            "I answer in Spanish, with a dictionary of Spanish and Bora. Ask for a word in either, for instance "
            "«¿Cómo se dice perro en bora?» (how to say a Spanish word) or «¿Qué significa nuhba?» (what a Bora word "
            "means).",
            "In the dictionary",
            _rest(words, _ENGLISH, FROM_ENGLISH),
            not _ASKING_FOR_WORDS.isdisjoint(words),
        )
    return Foreign(
        "Respondo em espanhol, com um dicionário de espanhol e bora. Pergunte por uma palavra de uma das duas línguas, "
        "por exemplo «¿Cómo se dice perro en bora?» (como se diz uma palavra espanhola) ou «¿Qué significa nuhba?» (o "
        "que significa uma palavra bora).",
        "No dicionário",
        _rest(words, _PORTUGUESE, FROM_PORTUGUESE),
        not _ASKING_FOR_WORDS.isdisjoint(words),
    )


def _share(words: list[str], language: str, known: frozenset[str]) -> int:
    """Return how many words are of the language, or 0 if another is as likely."""
    if len(words) == 1:
        return int(words[0] in _ALONE[language])
    count = sum(word in known for word in words)
    return count if known.intersection(words) - _SHARED and 2 * count >= len(words) else 0


def _rest(words: list[str], known: frozenset[str], spanish: Mapping[str, str]) -> tuple[str, ...]:
    rest = (spanish.get(word, word) for word in words if word not in known and len(fold(word)) > 1)
    return tuple(dict.fromkeys(rest))
