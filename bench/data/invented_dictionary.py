"""A dictionary of made-up words, shaped like a real one: same fields, homographs, shared glosses, words of Zipf's law.

Nothing in it stands in any dictionary but Spanish function words; the same numbers give the same entries.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_FUNCTION_TEXT = (
    "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si sin sobre "
    "este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi porque qué sólo han"
)
FUNCTION_WORDS = _FUNCTION_TEXT.split()
_ONSETS = ("b", "c", "ch", "d", "f", "g", "l", "ll", "m", "n", "p", "r", "s", "t", "v", "br", "tr", "cl", "qu", "j")
_BORA_ONSETS = ("p", "t", "k", "ts", "ch", "b", "d", "m", "n", "ñ", "w", "y", "h", "j", "ll", "v", "dy", "ty")
_BORA_VOWELS = ("a", "á", "e", "é", "i", "í", "o", "u", "ɨ", "ʉ", "aa", "áá", "ee", "íí", "ɨɨ", "ʉʉ", "oo", "uu")
_VERB_ENDINGS = ("ar", "er", "ir")
_FORMS = {
    "ar": ("ó", "aba", "an", "ando", "aron", "amos"),
    "er": ("ió", "ía", "en", "iendo", "ieron", "emos"),
    "ir": ("ió", "ía", "en", "iendo", "ieron", "imos"),
}
HOMOGRAPHS, SHARED_GLOSSES = 0.06, 0.15
VARIANTS, SUBENTRIES = 0.13, (0.74, 0.20, 0.06)
EXAMPLES = (0.40, 0.40, 0.20)
GLOSS_WORDS = (0.50, 0.25, 0.10, 0.08, 0.07)
SENSES = (0.62, 0.28, 0.10)
FUNCTION_SHARE = 0.45
"""Of the words of a Spanish sentence."""


@dataclass(frozen=True)
class Word:
    """A made-up Spanish word and its part of speech."""

    text: str
    pos: str


class InventedDictionary:
    """Entries in the users' own format, in one direction.

    Args:
        entries: how many.
        seed: another one gives other words.
        bora_first: the lemmas are Bora, the glosses Spanish.

    """

    def __init__(self, entries: int, *, seed: int = 7, bora_first: bool = False) -> None:
        self._rng = random.Random(seed)
        self._entries = entries
        self._bora_first = bora_first
        lemmas = max(20, int(entries * (1 - HOMOGRAPHS)))
        self.spanish = list(self._distinct(self._spanish_word, lemmas))
        self.bora = list(self._distinct(self._bora_word, max(20, entries // 2)))
        # Zipf: the n-th word is as often as 1/n; an offset flattens the very first.
        self._spanish_weights = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(len(self.spanish))))
        self._bora_weights = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(len(self.bora))))
        self._function_weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(FUNCTION_WORDS))))

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the entries."""
        rng = self._rng
        glosses: list[str] = []
        order = rng.sample(self.spanish, len(self.spanish))
        for number in range(self._entries):
            # A homograph is an entry of its own for a word that has one.
            word = order[number] if number < len(order) else rng.choice(order)
            shared = bool(glosses) and rng.random() < SHARED_GLOSSES
            gloss = rng.choice(glosses) if shared else self._senses()
            glosses.append(gloss)
            yield self._record(word, gloss)

    def sentence(self, words: int) -> str:
        """Return a Spanish sentence of so many words."""
        return " ".join(self._spoken() for _ in range(words)).capitalize() + "."

    def common(self, rng: random.Random, words: int) -> str:
        """Return some of the commonest words that are no function words."""
        return " ".join(word.text for word in rng.sample(self.spanish[:40], words))

    def _record(self, word: Word, bora: str) -> dict[str, Any]:
        rng = self._rng
        spanish = word.text
        if self._bora_first:
            spanish = ", ".join([word.text, *(rng.choice(self.spanish).text for _ in range(_choice(rng, SENSES)))])
            bora = bora.partition(",")[0]
        ending = spanish[-1] == "o" and rng.random() < VARIANTS
        lemma, gloss = (bora, spanish) if self._bora_first else (spanish, bora)
        return {
            "lemma": lemma,
            "variants": [spanish[-2] + "a"] if ending and not self._bora_first else [],
            "pos": word.pos,
            "gloss_es" if self._bora_first else "gloss_bora": gloss,
            "synonyms": [],
            "subentries": [self._subentry(word, bora) for _ in range(_choice(rng, SUBENTRIES))],
            "examples": [self._example(word, bora) for _ in range(_choice(rng, EXAMPLES))],
            "notes": [],
        }

    def _subentry(self, word: Word, bora: str) -> dict[str, Any]:
        spanish = f"{self._rng.choice(self.spanish).text} {self._rng.choice(('de', 'en el', 'con'))} {word.text}"
        own = f"{self._rng.choice(self.bora)} {bora.partition(',')[0]}"
        lemma, gloss = (own, spanish) if self._bora_first else (spanish, own)
        name = "gloss_es" if self._bora_first else "gloss_bora"
        return {"lemma": lemma, "pos": word.pos, name: gloss, "examples": [], "synonyms": [], "notes": []}

    def _example(self, word: Word, bora: str) -> dict[str, str]:
        size = self._rng.randint(3, 10)
        words = [*(self._spoken() for _ in range(size // 2)), _form(word, self._rng)]
        words += [self._spoken() for _ in range(size - size // 2)]
        translated = [*self._bora_words(size // 2), bora.partition(",")[0], *self._bora_words(size // 3)]
        return {"es": " ".join(words).capitalize() + ".", "bora": " ".join(translated).capitalize() + "."}

    def _senses(self) -> str:
        senses = (
            " ".join(self._bora_words(1 + _choice(self._rng, GLOSS_WORDS)))
            for _ in range(1 + _choice(self._rng, SENSES))
        )
        return ", ".join(senses)

    def _spoken(self) -> str:
        rng = self._rng
        if rng.random() < FUNCTION_SHARE:
            return rng.choices(FUNCTION_WORDS, cum_weights=self._function_weights)[0]
        return _form(rng.choices(self.spanish, cum_weights=self._spanish_weights)[0], rng)

    def _bora_words(self, count: int) -> list[str]:
        return self._rng.choices(self.bora, cum_weights=self._bora_weights, k=count)

    def _distinct(self, make: Any, count: int) -> Iterator[Any]:
        seen: set[Any] = set()
        while len(seen) < count:
            made = make()
            if made not in seen:
                seen.add(made)
                yield made

    def _spanish_word(self) -> Word:
        rng = self._rng
        stem = "".join(rng.choice(_ONSETS) + rng.choice("aeiou") for _ in range(rng.choice((1, 2, 2, 3))))
        if rng.random() < 0.4:
            return Word(stem + rng.choice(("c", "d", "l", "m", "n", "r", "t")) + rng.choice(_VERB_ENDINGS), "vt.")
        return Word(
            stem + rng.choice(("do", "ma", "no", "la", "ción", "ro", "ta", "l")), rng.choice(("m.", "f.", "adj."))
        )

    def _bora_word(self) -> str:
        rng = self._rng
        parts = [rng.choice(_BORA_ONSETS) + rng.choice(_BORA_VOWELS) for _ in range(rng.choice((2, 2, 3, 3, 4)))]
        return ("’" if rng.random() < 0.2 else "").join(parts)


def _form(word: Word, rng: random.Random) -> str:
    """Return the word as a sentence has it: a verb conjugated, a noun at times in the plural."""
    if word.pos == "vt.":
        return word.text[:-2] + rng.choice(_FORMS[word.text[-2:]])
    if rng.random() < 0.3 and not word.text.endswith("ción"):
        return word.text + ("s" if word.text[-1] in "aeo" else "es")
    return word.text


def _choice(rng: random.Random, shares: tuple[float, ...]) -> int:
    return rng.choices(range(len(shares)), weights=shares)[0]
