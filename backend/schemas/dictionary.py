"""Wire models of the dictionary's lists and entries."""

from typing import Annotated

from pydantic import Field

from adapters.ports.documents import Document, Language
from schemas.texts import Text
from schemas.wire import Reply, with_examples

Prefix = Annotated[Text, Field(max_length=100)]
Letter = Annotated[Text, Field(max_length=2)]
Cursor = Annotated[Text, Field(max_length=3_000)]


class SuggestedWord(Reply):
    """A word, its meaning in the other language, and the id of the entry."""

    id: str
    word: str
    language: Language
    meaning: str


class SuggestResponse(Reply):
    """Words that begin with what was typed."""

    suggestions: list[SuggestedWord]


class ListedWord(Reply):
    """A word, its meaning in the other language, its part of speech, and the id of the entry."""

    id: str
    word: str
    meaning: str
    pos: str


class LetterCount(Reply):
    """A letter and how many words begin with it; ``#``: no letter of the alphabet."""

    letter: str
    words: int


class EntriesResponse(Reply):
    """One page of the words of a language, in alphabetical order."""

    model_config = with_examples(
        {
            "language": "boa",
            "words": [{"id": "entry-5f0c", "word": "llihíyo", "meaning": "papá", "pos": "masculino"}],
            "letters": [{"letter": "l", "words": 1}, {"letter": "ll", "words": 3}],
            "next": "WyJib3JhX2VzIiwgIlJJIiwgImxsaWjDrXlvIiwgImVudHJ5LTVmMGMiXQ",
        }
    )

    language: Language
    words: list[ListedWord]
    letters: list[LetterCount] = Field(description="Counts of all words that contain q, under any letter")
    next: str | None = Field(description="The `after` of the next page; null: this is the last")


class EntryResponse(Reply):
    """An entry, with what belongs to it."""

    model_config = with_examples(
        {
            "entry": {
                "id": "entry-5f0c",
                "kind": "dictionary",
                "content": "papá (m.): llihíyo",
                "metadata": {"lemma": "papá", "gloss": "llihíyo", "pos": "m.", "direction": "es_bora"},
            },
            "letter": "p",
            "examples": [],
            "subentries": [],
        }
    )

    entry: Document
    letter: str | None = Field(description="Under which its lemma is listed; null: it is in no list")
    examples: list[Document]
    subentries: list[Document]
