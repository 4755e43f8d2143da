"""Words that may be misspellings or inflected forms of others."""

from services.mentor.lexicon.fields import NEAR_MIN_CHARS


def one_typo_apart(left: str, right: str) -> bool:
    """Return whether the words differ by one insertion, deletion, replacement or swap of neighbours.

    Always false for words that are too short for ``near_codes``.
    """
    if left == right or abs(len(left) - len(right)) > 1 or min(len(left), len(right)) < NEAR_MIN_CHARS:
        return False
    if len(left) > len(right):
        left, right = right, left
    start = 0
    while start < len(left) and left[start] == right[start]:
        start += 1
    rest, other = left[start:], right[start:]
    if len(left) + 1 == len(right):
        return rest == other[1:]
    swapped = len(rest) > 1 and rest[0] == other[1] and rest[1] == other[0] and rest[2:] == other[2:]
    return len(left) == len(right) and (rest[1:] == other[1:] or swapped)


_SHORTEST_STEM = 2
_SHORTEST_NOUN = 3
_VERB_ENDING_TEXT = (
    "iendo yendo ando amos emos imos aste iste aron ieron aban abas aba ian ias ia ado ido are ara aras aran ere era "
    "eras eran ire ira iras iran as es an en io o a e i"
)
_VERB_ENDINGS = tuple(_VERB_ENDING_TEXT.split())
_STEM_CHANGES = (("ue", "o"), ("ie", "e"), ("i", "e"), ("g", ""), ("zc", "c"))
"""In the last syllable of the stem: duerme, viene, pide, vengo, conozco."""


def dictionary_forms(word: str) -> list[str]:
    """Return singulars, masculines and infinitives of which ``word`` may be a form, likeliest first."""
    forms = dict.fromkeys(_singulars(word))
    for noun in (word, *list(forms)):
        if noun.endswith("a") and len(noun) > _SHORTEST_NOUN:
            forms.setdefault(f"{noun[:-1]}o")
    for stem in _stems(word):
        for ending in ("ar", "er", "ir"):
            forms.setdefault(stem + ending)
    forms.pop(word, None)
    return list(forms)


def _singulars(word: str) -> list[str]:
    if not word.endswith("s") or len(word) <= _SHORTEST_NOUN:
        return []
    if word.endswith("ces"):
        return [f"{word[:-3]}z", word[:-1]]
    return [word[:-1], word[:-2]] if word.endswith("es") else [word[:-1]]


def _stems(word: str) -> list[str]:
    stems: dict[str, None] = {}
    for ending in _VERB_ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _SHORTEST_STEM:
            continue
        stems.setdefault(stem)
        for changed, plain in _STEM_CHANGES:
            before, found, after = stem.rpartition(changed)
            if found and len(after) <= _SHORTEST_STEM and before:
                stems.setdefault(before + plain + after)
    return list(stems)
