"""Questions to a dictionary whose answers are known: several frames, both directions, slips of several kinds."""

import random
import string
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.ports.documents import Document
from services.mentor.lexicon.fields import phrase_keys

TO_BORA = (
    "¿Cómo se dice {} en bora?",
    "Hola, ¿me puedes decir cómo se dice «{}» en bora, por favor?",
    "¿Cuál es la palabra bora para {}?",
    "traduce {} al bora",
    "¿Cómo digo {}?",
)
TO_SPANISH = (
    "¿Qué significa {} en español?",
    "¿Qué quiere decir {}?",
    "dime qué significa la palabra bora {}",
    "traduce {} al castellano",
    "¿Cuál es el significado de {}?",
)
# Written down before the rules that read them, and not looked at while frames were: slips in the frame, no
# question marks, capitals, talk around the question.
UNSEEN_TO_BORA = (
    "buenos días profe, ¿me ayudas? quisiera saber cuál es la palabra bora para {}",
    "como se dise {} en vora",
    "NECESITO DECIR {} EN BORA",
    "hola, ¿cómo le dicen los bora a {}?",
    "si quiero decir {}, qué palabra uso en lengua bora",
    "oye una pregunta: {} en idioma bora cómo sería",
    "qé palabra usan para {} los boras",
    "¿me podrías pasar al bora {}, porfa?",
    "enséñame a decir {}",
    "me gustaria aprender como nombran {} en su lengua",
    "¿existe una palabra bora que signifique {}?",
    "disculpa, ¿y cómo sería {} para ustedes los boras?",
    "busco la traducción bora de {}",
    "Cual es el nombre que le dan al {} en bora",
    "¿me dices {} en bora?",
    "tengo una duda, ¿{} tiene traducción al bora?",
    "¿Con qué palabra se nombra {} en el idioma bora?",
    "quiero escribir {} en bora, ¿cómo lo hago?",
    "COMO DIRÍAS {}",
    "hola buenas, cómo llamaban los antiguos boras a {}",
)
UNSEEN_TO_SPANISH = (
    "hola, escuché la palabra {}, ¿qué querrá decir?",
    "mi abuela dice {}, a qué se refiere",
    "que sinifica {}",
    "{} QUE ES EN CASTELLANO",
    "no entiendo {}, me lo explicas",
    "ayúdame a entender qué es {}",
    "cómo se traduce {} al español",
    "buenas tardes, que significado tiene {}",
    "{} en español?",
    "¿Qué querían decir los ancianos con {}?",
    "pásame {} a castellano plis",
    "¿{} qué viene a ser en español?",
    "me dijeron {} y no sé qué es",
    "hola, qué sería {} en castellano",
    "¿De qué hablan cuando dicen {}?",
    "en la canción sale {}, ¿qué significa eso?",
    "q significa {} porfis",
    "significado d {}",
    "necesito saber el significado de {} para mi tarea",
    "¿Cuál sería la traducción al español de {}?",
    "me gustaría que me expliques {}",
)
# Spellings that keyboards and scanners have for the letters.
_OTHER_LETTERS = {
    "ɨ": ("i", "+", "ï", "í", "ɨ"),
    "ʉ": ("u", "ú", "ü", "ʉ"),
    "'": ("ʔ", "'", "’", "ʼ", "`", "´", ""),
    "’": ("ʔ", "'", "’", "ʼ", "`", "´", ""),
}
_VERB_FORMS = {
    "ar": ("an", "ado", "aron", "amos", "aba"),
    "er": ("en", "ido", "ieron", "emos", "ía"),
    "ir": ("en", "ido", "ieron", "imos", "ía"),
}
MAX_SHARED = 5


@dataclass(frozen=True)
class Question:
    """A question and the entry that answers it."""

    group: str
    frame: str
    text: str
    entry: Document


def questions(documents: Sequence[Document], limit: int, rng: random.Random) -> list[Question]:
    """Return questions to ``limit`` entries; a word that is shared by more than five is not asked for, since
    no five results can hold them all.
    """
    entries = [document for document in documents if document.metadata.get("part") in ("entry", "subentry")]
    shared = Counter(
        key for entry in entries for side in ("lemma", "gloss") for key in phrase_keys([entry.metadata[side]])
    )
    askable = [entry for entry in entries if all(_times(shared, side) <= MAX_SHARED for side in sides(entry))]
    chosen = rng.sample(askable, min(limit, len(askable)))
    return [question for number, entry in enumerate(chosen) for question in _about(entry, number, rng)]


def _times(shared: Counter[str], side: str) -> int:
    return max((shared[key] for key in phrase_keys([side])), default=0)


def _about(entry: Document, number: int, rng: random.Random) -> Iterator[Question]:
    spanish, bora = sides(entry)

    def framed(group: str, frame: str, word: str) -> Question:
        return Question(group, frame, frame.format(word.upper() if frame.isupper() else word), entry)

    yield from (framed("es_bora", frame, spanish) for frame in TO_BORA)
    yield from (framed("bora_es", frame, bora) for frame in TO_SPANISH)
    # Not all frames for each entry, so that a run stays short.
    yield from (framed("unseen_es_bora", frame, spanish) for frame in UNSEEN_TO_BORA[number % 4 :: 4])
    yield from (framed("unseen_bora_es", frame, bora) for frame in UNSEEN_TO_SPANISH[number % 4 :: 4])
    yield Question("bare", "X (español)", spanish, entry)
    yield Question("bare", "Y (bora)", bora, entry)
    yield Question("no_accents", "X", _bare(spanish), entry)
    yield Question("no_accents", TO_SPANISH[0], TO_SPANISH[0].format(_bare(bora)), entry)
    if len(spanish) >= 5:
        yield Question("typo", "X", one_typo(spanish, rng), entry)
        yield Question("typo", TO_BORA[0], TO_BORA[0].format(one_typo(spanish, rng)), entry)
    if len(bora) >= 5:
        yield Question("typo", TO_SPANISH[0], TO_SPANISH[0].format(one_typo(bora, rng)), entry)
    if set(bora) & set(_OTHER_LETTERS):
        yield Question("letters", TO_SPANISH[0], TO_SPANISH[0].format(_respelt(bora, rng)), entry)
    if len(spanish.split()) > 1:
        yield Question("several_words", TO_BORA[0], TO_BORA[0].format(spanish), entry)
    elif len(spanish) >= 4 and "-" not in spanish:
        yield Question("inflected", TO_BORA[0], TO_BORA[0].format(_inflected(spanish, rng)), entry)
    if entry.metadata.get("part") == "subentry":
        yield Question("subentry", TO_BORA[0], TO_BORA[0].format(spanish), entry)


def _respelt(text: str, rng: random.Random) -> str:
    return "".join(rng.choice(_OTHER_LETTERS.get(letter, (letter,))) for letter in unicodedata.normalize("NFC", text))


def _inflected(word: str, rng: random.Random) -> str:
    """Return a regular form: of a verb a person or the participle, of others the plural."""
    forms = _VERB_FORMS.get(word[-2:])
    if forms:
        return word[:-2] + rng.choice(forms)
    if word.endswith("ón"):
        return word[:-2] + "ones"
    return word if word[-1] in "sx" else word + ("s" if word[-1] in "aeiouáéó" else "es")


def _bare(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


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


def _first(text: str) -> str:
    bare = text.partition("(")[0].strip() or text
    return bare.replace(";", ",").split(",")[0].strip(" /.") or text
