"""What every endpoint asks the application for: coroutines, since FastAPI takes plain functions to a thread each."""

from typing import Annotated

from fastapi import Depends, Header, Request

from config.settings import Settings
from observability.request_record import RequestRecord
from services.llm_service import LLMService

SSE_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
CLIENT_CLOSED = 499

Timeout = Annotated[
    int | None,
    Header(alias="X-Request-Timeout-Ms", ge=1, le=86_400_000, description="Milliseconds this request may take"),
]


async def get_service(request: Request) -> LLMService:
    """The service the application was made with."""
    service: LLMService = request.app.state.llm_service
    return service


async def get_settings(request: Request) -> Settings:
    """The settings the application was made with."""
    config: Settings = request.app.state.settings
    return config


async def get_record(request: Request) -> RequestRecord:
    """What is noted of this request."""
    record: RequestRecord = request.state.record
    return record


Service = Annotated[LLMService, Depends(get_service)]
Config = Annotated[Settings, Depends(get_settings)]
Record = Annotated[RequestRecord, Depends(get_record)]
