"""Request and response headers for caching."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Header

from services.results import GenerationItem, Started


class CacheUse(NamedTuple):
    """Keyword arguments of ``LLMService.stream``: whether the cache may be used (``use_cache``), and whether
    the answer must be recomputed (``fresh``).
    """

    use_cache: bool = True
    fresh: bool = False


async def cache_use(
    cache_control: Annotated[
        str | None,
        Header(description="no-store: the cache is neither read nor written; no-cache: it is only written"),
    ] = None,
) -> CacheUse:
    """Read the request's ``Cache-Control``; ignores directives other than ``no-cache`` and ``no-store``."""
    directives = {part.partition("=")[0].strip().lower() for part in (cache_control or "").split(",")}
    return CacheUse(use_cache="no-store" not in directives, fresh="no-cache" in directives)


Caching = Annotated[CacheUse, Depends(cache_use)]


def cache_headers(first: GenerationItem) -> dict[str, str]:
    """Return ``X-Cache`` for an answer that begins with ``first``; no header for one that is not cached."""
    if isinstance(first, Started) and first.cache is not None:
        return {"X-Cache": first.cache}
    return {}


CACHE_HEADER_DOC = {
    "X-Cache": {
        "description": "For greedy and seeded requests: hit (from the response cache) or miss",
        "schema": {"type": "string", "enum": ["hit", "miss"]},
    }
}
