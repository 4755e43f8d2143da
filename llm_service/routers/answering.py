"""How every route that generates responds: its choices side by side, whole or streamed."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response
from fastapi.responses import StreamingResponse
from service_kit.disconnect import until_disconnect

from config.settings import Settings
from engines.base import GenerationRequest
from observability.request_record import RequestRecord, followed
from routers.cache_control import CacheUse, Caching, cache_headers
from routers.choices import ChoiceItem, side_by_side, whole_answers
from routers.dependencies import SSE_HEADERS, Config, Record, Service, Timeout
from routers.event_stream import kept_alive
from service_kit import sse
from services.llm_service import LLMService
from services.results import GenerationItem, GenerationResult


@dataclass(frozen=True, slots=True)
class Answering:
    """One HTTP request and what answers it."""

    request: Request
    service: LLMService
    config: Settings
    record: RequestRecord
    caching: CacheUse
    timeout_ms: int | None

    @property
    def request_id(self) -> str:
        """The request's id."""
        return str(self.request.state.request_id)

    @property
    def system_fingerprint(self) -> str | None:
        """Differs between models whose answers may differ."""
        info = self.service.health().generator_info
        return info.fingerprint if info else None

    async def respond(
        self,
        asked: Sequence[GenerationRequest],
        headers: Mapping[str, str],
        *,
        body: Callable[[list[GenerationResult]], dict[str, Any]],
        events: Callable[[AsyncGenerator[ChoiceItem, None]], AsyncGenerator[bytes, None]],
    ) -> Response:
        """Generate the answers to ``asked``; ``body`` makes the response of whole ones, ``events`` that of streamed
        ones. Raises a ``ServiceError`` until the engine has accepted the requests, and ``ClientDisconnected``.
        """
        ask = partial(
            self.service.stream,
            timeout_s=self.timeout_ms / 1000 if self.timeout_ms else None,
            use_cache=self.caching.use_cache,
            fresh=self.caching.fresh,
        )
        items = side_by_side([followed(ask, each, self.record, self.service, self.config) for each in asked])
        if asked[0].stream:
            # Headers are sent after the engine has accepted the request, so that a refusal has its own status.
            _, first = await until_disconnect(self.request, anext(items))
            more = SSE_HEADERS | dict(headers) | _cache_headers(first, asked)
            return StreamingResponse(kept_alive(events(items)), media_type=sse.MEDIA_TYPE, headers=more)
        started, results = await until_disconnect(self.request, whole_answers(items))
        more = dict(headers) | _cache_headers(started, asked)
        return Response(orjson.dumps(body(results)), media_type="application/json", headers=more)


async def get_answering(
    request: Request, service: Service, config: Config, record: Record, caching: Caching, timeout_ms: Timeout = None
) -> Answering:
    """Return the request's own."""
    return Answering(request, service, config, record, caching, timeout_ms)


AnswersHere = Annotated[Answering, Depends(get_answering)]


def _cache_headers(first: GenerationItem, asked: Sequence[GenerationRequest]) -> dict[str, str]:
    # Several choices have separate cache entries, so a single header cannot describe them.
    return cache_headers(first) if len(asked) == 1 else {}
