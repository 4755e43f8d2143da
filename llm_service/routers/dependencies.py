"""Dependencies of every endpoint; coroutines, because FastAPI runs plain functions in a thread each."""

from typing import Annotated

from fastapi import Depends, Header, Request

from config.settings import Settings
from observability.request_record import RequestRecord
from service_kit import sse
from services.llm_service import LLMService

SSE_HEADERS = sse.HEADERS

Timeout = Annotated[
    int | None,
    Header(alias="X-Request-Timeout-Ms", ge=1, le=86_400_000, description="Milliseconds this request may take"),
]


async def get_service(request: Request) -> LLMService:
    """Return the application's service."""
    service: LLMService = request.app.state.llm_service
    return service


async def get_settings(request: Request) -> Settings:
    """Return the application's settings."""
    config: Settings = request.app.state.settings
    return config


async def get_record(request: Request) -> RequestRecord:
    """Return the record of this request."""
    record: RequestRecord = request.state.record
    return record


Service = Annotated[LLMService, Depends(get_service)]
Config = Annotated[Settings, Depends(get_settings)]
Record = Annotated[RequestRecord, Depends(get_record)]
