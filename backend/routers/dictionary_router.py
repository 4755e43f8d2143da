"""``/api/rag``: the dictionary as a book: words as they are typed, lists from A to Z, one entry."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi import Query as QueryParam

from adapters.ports.documents import Direction
from routers.dependencies import ServicesDep
from routers.error_docs import responses
from schemas.dictionary import Cursor, EntriesResponse, EntryResponse, Letter, Prefix, SuggestResponse
from schemas.texts import MAX_ID_CHARS, Text
from services.entries import entry, suggestions, word_list

router = APIRouter(prefix="/api/rag", tags=["RAG"])


@router.get(
    "/suggest",
    responses=responses(401, 405, 422, 500, 503),
    summary="Words that begin like this",
    response_description="The words of either language, in alphabetical order",
)
async def suggest(
    services: ServicesDep,
    q: Annotated[
        Prefix, QueryParam(description="Beginning of a word; accents and case do not count", examples=["per"])
    ],
    limit: Annotated[int, QueryParam(ge=1, le=20, description="How many at most")] = 8,
) -> SuggestResponse:
    """Return words of the dictionary, each with its meaning, for a field that completes them."""
    return SuggestResponse(suggestions=await suggestions(services.store, q, limit))


@router.get(
    "/entries",
    responses=responses(401, 405, 422, 500, 503),
    summary="The dictionary from A to Z",
    response_description="One page of words, and the letters that have words",
)
async def list_entries(
    services: ServicesDep,
    direction: Annotated[
        Direction, QueryParam(description="es_bora lists Spanish words, bora_es Bora words", examples=["es_bora"])
    ],
    letter: Annotated[Letter, QueryParam(description="Only words of this letter: ch, ñ, … or #", examples=["m"])] = "",
    q: Annotated[
        Prefix, QueryParam(description="Only words that contain this; accents and case are ignored", examples=["ma"])
    ] = "",
    after: Annotated[Cursor, QueryParam(description="The `next` of the page before")] = "",
    limit: Annotated[int, QueryParam(ge=1, le=200, description="Words a page")] = 50,
) -> EntriesResponse:
    """Return the words of a language in its alphabetical order, a page at a time."""
    return await word_list(services.store, direction, letter, q, after, limit)


@router.get(
    "/entries/{entry_id:path}",
    responses=responses(401, 404, 405, 422, 500, 503),
    summary="One entry of the dictionary",
    response_description="The entry, its examples and sub-entries",
)
async def get_entry(
    entry_id: Annotated[Text, Path(max_length=MAX_ID_CHARS, examples=["entry-6b31099fe10e60f1c509cf08"])],
    services: ServicesDep,
) -> EntryResponse:
    """Return an entry by the id that lists, search and suggestions give; 404 when there is none."""
    found = await entry(services.store, entry_id)
    if found is None:
        raise HTTPException(404, "no entry with this id")
    return found
