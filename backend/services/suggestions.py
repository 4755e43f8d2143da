"""Words of the dictionary that begin with what has been typed."""

from dataclasses import dataclass

from adapters.base import DocumentStore, Language
from services.mentor.lexicon.folding import fold
from services.mentor.lexicon.ordering import languages_of


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word, its language, its meaning in the other one, and the entry that has both."""

    id: str
    word: str
    language: Language
    meaning: str


async def suggestions(store: DocumentStore, typed: str, limit: int) -> list[Suggestion]:
    """Return words of either language, in alphabetical order, each once. Raises ``StoreUnavailable``."""
    prefix = fold(typed)
    if not prefix:
        return []
    found: dict[tuple[str, str], Suggestion] = {}
    # Both directions of a dictionary hold most words: twice as many entries make as many words.
    for hit in await store.with_prefix(prefix, 2 * limit):
        lemma, gloss, direction = (str(hit.metadata.get(name) or "") for name in ("lemma", "gloss", "direction"))
        languages = languages_of(direction)
        if languages is None:
            continue
        of_lemma, of_gloss = languages
        if hit.matched_on == ("lemma",):
            suggestion = Suggestion(hit.id, lemma, of_lemma, gloss)
        else:
            suggestion = Suggestion(hit.id, gloss, of_gloss, lemma)
        found.setdefault((fold(suggestion.word), suggestion.language), suggestion)
    return sorted(found.values(), key=lambda each: (fold(each.word), each.language))[:limit]
