"""Questions of several kinds to a dictionary, for measuring how long their answers take."""

import random
import string
from collections.abc import Callable, Sequence

from adapters.ports.documents import Document
from bench.data.invented_dictionary import FUNCTION_WORDS, InventedDictionary


def one_typo(word: str, rng: random.Random) -> str:
    """Return ``word`` with one letter dropped, doubled, swapped with its neighbour or replaced."""
    place = rng.randrange(1, max(2, len(word) - 1))
    other = rng.choice([letter for letter in string.ascii_lowercase if letter != word[place]])
    return rng.choice(
        (
            word[:place] + word[place + 1 :],
            word[:place] + word[place] + word[place:],
            word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :],
            word[:place] + other + word[place + 1 :],
        )
    )


def sides(entry: Document) -> tuple[str, str]:
    """Return the Spanish and the Bora word, as a learner would type them: one sense, no parentheses."""
    lemma, gloss = _first(str(entry.metadata["lemma"])), _first(str(entry.metadata["gloss"]))
    return (lemma, gloss) if entry.metadata["direction"] == "es_bora" else (gloss, lemma)


def timed_questions(
    dictionary: InventedDictionary, documents: Sequence[Document], count: int, seed: int
) -> dict[str, list[str]]:
    """Return ``count`` questions of each kind."""
    rng = random.Random(seed)
    entries = [document for document in documents if document.metadata.get("part") == "entry"]

    def spanish() -> str:
        return sides(rng.choice(entries))[0]

    def bora() -> str:
        return sides(rng.choice(entries))[1]

    kinds: dict[str, Callable[[], str]] = {
        "bare word": lambda: spanish() if rng.random() < 0.5 else bora(),
        "to Bora": lambda: f"¿Cómo se dice {spanish()} en bora?",
        "to Spanish": lambda: f"¿Qué significa {bora()} en español?",
        "typo": lambda: f"¿Cómo se dice {one_typo(spanish() + 's', rng)} en bora?",
        "common words": lambda: f"¿Cómo se dice {dictionary.common(rng, 3)} en bora?",
        "function words": lambda: " ".join(rng.sample(FUNCTION_WORDS[:12], 4)),
        "sentence": lambda: dictionary.sentence(10),
        "nothing there": lambda: "".join(rng.choice("kwxz") + rng.choice("äëwq") for _ in range(5)),
    }
    return {name: [make() for _ in range(count)] for name, make in kinds.items()}


def _first(text: str) -> str:
    bare = text.partition("(")[0].strip() or text
    return bare.replace(";", ",").split(",")[0].strip(" /.") or text
