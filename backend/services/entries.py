"""The dictionary from A to Z: pages of its words, and single entries."""

import base64
import json

from pydantic import TypeAdapter

from adapters.ports.documents import Direction, Language, ListedWord, ListPosition
from adapters.ports.store import DocumentStore
from schemas.dictionary import EntriesResponse, EntryResponse, SuggestedWord
from schemas.texts import Text
from services.mentor.lexicon.folding import fold
from services.mentor.lexicon.ordering import code_of, languages_of, letter_of, place

_CURSOR = TypeAdapter(tuple[Direction, Text, Text, Text])


class InvalidListing(ValueError):
    """An invalid request for a list; the message names the field and is fit for a client."""


async def word_list(
    store: DocumentStore, direction: Direction, letter: str = "", contains: str = "", after: str = "", limit: int = 50
) -> EntriesResponse:
    """Return words of the direction's first language in its order, under ``letter`` and with ``contains`` in them.

    Raises ``InvalidListing`` and ``StoreUnavailable``.
    """
    language: Language = "es" if direction == "es_bora" else "boa"
    code = code_of(letter, language) if letter else ""
    if code is None:
        raise InvalidListing(f"letter: neither '#' nor in the alphabet of the direction {direction}")
    position = _read_cursor(after, direction) if after else None
    filtered = fold(contains)
    if contains.strip() and not filtered:
        return EntriesResponse(language=language, words=[], letters=[], next=None)
    found = await store.list_words(language, letter=code, contains=filtered, after=position, limit=limit + 1)
    words, more = found.words[:limit], found.words[limit:]
    letters = [{"letter": letter_of(first, language), "words": count} for first, count in sorted(found.counts.items())]
    following = _cursor(words[-1], direction) if more else None
    return EntriesResponse.model_validate({"language": language, "words": words, "letters": letters, "next": following})


async def entry(store: DocumentStore, document_id: str) -> EntryResponse | None:
    """Return an entry with its examples and sub-entries; ``None``: there is none. Raises ``StoreUnavailable``."""
    found = await store.entry(document_id)
    if found is None:
        return None
    document, parts = found
    meta = document.metadata
    languages = languages_of(meta.get("direction"))
    key = place(str(meta.get("lemma") or ""), languages[0]) if languages else ""
    letter = letter_of(key, languages[0]) if languages and key else None
    examples = [part for part in parts if part.metadata.get("part") == "example"]
    subentries = [part for part in parts if part not in examples]
    return EntryResponse(entry=document, letter=letter, examples=examples, subentries=subentries)


def _cursor(word: ListedWord, direction: Direction) -> str:
    position = json.dumps([direction, word.place, word.word, word.id], ensure_ascii=False)
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, direction: Direction) -> ListPosition:
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        found = _CURSOR.validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError as error:
        raise InvalidListing("after: not a 'next' value of an earlier page") from error
    if found[0] != direction:
        raise InvalidListing("after: not a 'next' value of an earlier page of this direction")
    return found[1:]


async def suggestions(store: DocumentStore, typed: str, limit: int) -> list[SuggestedWord]:
    """Return words of either language, in alphabetical order, each once. Raises ``StoreUnavailable``."""
    prefix = fold(typed)
    if not prefix:
        return []
    found: dict[tuple[str, str], SuggestedWord] = {}
    # Both directions of a dictionary hold most words: twice as many entries make as many words.
    for hit in await store.with_prefix(prefix, 2 * limit):
        lemma, gloss, direction = (str(hit.metadata.get(name) or "") for name in ("lemma", "gloss", "direction"))
        languages = languages_of(direction)
        if languages is None:
            continue
        both = (lemma, languages[0]), (gloss, languages[1])
        (word, language), (meaning, _) = both if hit.matched_on == ("lemma",) else both[::-1]
        suggestion = SuggestedWord(id=hit.id, word=word, language=language, meaning=meaning)
        found.setdefault((fold(suggestion.word), suggestion.language), suggestion)
    return sorted(found.values(), key=lambda each: (fold(each.word), each.language))[:limit]
