"""Base of every route that asks a model: limits, headers, and the response, whole or streamed."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from service_kit.disconnect import until_disconnect

from config.settings import Settings
from engines.requests import GenerationRequest
from observability.request_record import RequestRecord, followed
from routers.choices import collected, side_by_side
from routers.dependencies import Config, Service
from routers.event_stream import AnswerFormat, events_of, kept_alive
from schemas.common import unknown_fields
from service_kit import sse
from services.errors import InvalidTexts, UnknownField
from services.llm_service import LLMService
from services.results import GenerationResult, Started

T = TypeVar("T")
Timeout = Annotated[
    int | None,
    Header(alias="X-Request-Timeout-Ms", ge=1, le=86_400_000, description="Milliseconds this request may take"),
]
CacheControl = Annotated[
    str | None,
    Header(description="no-store: the cache is neither read nor written; no-cache: it is only written"),
]
_MOST_NAMES, _LONGEST_NAME = 32, 80


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One HTTP request, and the service that answers it.

    Attributes:
        timeout_s: the request's own limit.
        use_cache: whether the caches may be used.
        fresh: whether the answer must be computed again.

    """

    request: Request
    service: LLMService
    config: Settings
    record: RequestRecord
    timeout_s: float | None
    use_cache: bool = True
    fresh: bool = False

    @property
    def request_id(self) -> str:
        """The request's id."""
        return str(self.request.state.request_id)

    def headers(self, body: BaseModel) -> dict[str, str]:
        """Return the header that names unknown fields; with ``LLM_STRICT_FIELDS`` raise ``UnknownField`` for the first.

        A header's text is ASCII; a name in it neither begins nor ends with a blank.
        """
        names = [
            each.encode("ascii", "backslashreplace").decode() for each in islice(unknown_fields(body), _MOST_NAMES)
        ]
        if names and self.config.llm_strict_fields:
            raise UnknownField("unknown field (LLM_STRICT_FIELDS)", field=names[0][:_LONGEST_NAME])
        return {"X-Ignored-Fields": ", ".join(map(_as_header, names))} if names else {}

    async def until_left(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``; cancel it and raise ``ClientDisconnected`` when the client leaves."""
        return await until_disconnect(self.request, work)

    async def respond(
        self,
        asked: Sequence[GenerationRequest],
        headers: dict[str, str],
        form: AnswerFormat,
    ) -> Response:
        """Generate the answers to ``asked``. Raises a ``ServiceError`` until the engine has accepted the requests, and
        ``ClientDisconnected``.
        """
        ask = partial(self.service.stream, timeout_s=self.timeout_s, use_cache=self.use_cache, fresh=self.fresh)
        items = side_by_side([followed(ask, each, self.record, self.service, self.config) for each in asked])
        if asked[0].stream:
            # Headers are sent after the engine has accepted the request, so that a refusal has its own status.
            first = await self.until_left(anext(items))
            events = kept_alive(events_of(first, items, form))
            answer: Response = StreamingResponse(events, headers=sse.HEADERS | headers, media_type=sse.MEDIA_TYPE)
        else:
            first, *others = await self.until_left(collected(items))
            results = {index: item for index, item in others if isinstance(item, GenerationResult)}
            answer = json_response(form.body([results[index] for index in sorted(results)]), headers)
        # Several choices have separate cache entries, so a single header cannot describe them.
        _, started = first
        if len(asked) == 1 and isinstance(started, Started) and started.cache is not None:
            answer.headers["X-Cache"] = started.cache
        return answer


async def _model_call(
    request: Request,
    service: Service,
    config: Config,
    timeout_ms: Timeout = None,
    cache_control: CacheControl = None,
) -> ModelCall:
    """Return the request's own. Directives other than ``no-cache`` and ``no-store`` are ignored."""
    directives = {part.partition("=")[0].strip().lower() for part in (cache_control or "").split(",")}
    return ModelCall(
        request,
        service,
        config,
        request.state.record,
        timeout_s=timeout_ms / 1000 if timeout_ms else None,
        use_cache="no-store" not in directives,
        fresh="no-cache" in directives,
    )


Call = Annotated[ModelCall, Depends(_model_call)]


def check_count(call: ModelCall, texts: Sequence[str], field: str) -> None:
    """Raise ``InvalidTexts`` for no texts, or more than one request may have."""
    if not texts:
        raise InvalidTexts("must not be empty", field=field)
    if len(texts) > call.config.embed_max_texts:
        raise InvalidTexts(f"at most {call.config.embed_max_texts} in one request", field=field)


def json_response(body: Any, headers: dict[str, str]) -> Response:
    """Return a response of ``body``, which may hold numpy arrays and dataclasses."""
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json", headers=headers)


def _as_header(name: str) -> str:
    return "".join(c if c.isprintable() and c not in ", " else "?" for c in name)[:_LONGEST_NAME] or '""'
