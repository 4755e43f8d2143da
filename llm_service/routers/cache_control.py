"""What a caller says about caching, and what the answer says back."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Header

from services.results import GenerationItem, Started


class CacheUse(NamedTuple):
    """Whether an answer may come from the cache and go into it (``use_cache``), and whether it has to be
    computed anew (``fresh``): the keyword arguments of ``LLMService.stream``.
    """

    use_cache: bool = True
    fresh: bool = False


async def cache_use(
    cache_control: Annotated[
        str | None,
        Header(description="no-store: the cache is neither read nor written; no-cache: it is only written"),
    ] = None,
) -> CacheUse:
    """Read the request's ``Cache-Control``; directives other than these two change nothing."""
    directives = {part.partition("=")[0].strip().lower() for part in (cache_control or "").split(",")}
    return CacheUse(use_cache="no-store" not in directives, fresh="no-cache" in directives)


Caching = Annotated[CacheUse, Depends(cache_use)]


def cache_headers(first: GenerationItem) -> dict[str, str]:
    """Return ``X-Cache`` for an answer that begins with this item; nothing for one that is not kept."""
    if isinstance(first, Started) and first.cache is not None:
        return {"X-Cache": first.cache}
    return {}


CACHE_HEADER_DOC = {
    "X-Cache": {
        "description": "For greedy and seeded requests: hit (from the response cache) or miss",
        "schema": {"type": "string", "enum": ["hit", "miss"]},
    }
}
