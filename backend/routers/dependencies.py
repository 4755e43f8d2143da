"""Dependencies of every endpoint; coroutines, because FastAPI runs plain functions in a thread each."""

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import Settings
from observability.request_record import RequestRecord
from services.library.ingestion import DocumentIngestor
from services.library.uploads import Uploads
from services.rag_service import RAGService
from services.reports import Reports
from startup import Startup

_LONGEST_MS = 600_000
_STARTUP_S = 10.0


@dataclass(frozen=True, slots=True)
class Services:
    """The app's collaborators, wired in ``main``."""

    settings: Settings
    store: SupabaseAdapter
    rag: RAGService
    ingestor: DocumentIngestor
    reports: Reports
    uploads: Uploads
    startup: Startup
    llm_service: LLMServiceAdapter | None


async def get_services(request: Request) -> Services:
    """Return the app's collaborators."""
    services: Services = request.app.state.services
    return services


async def get_record(request: Request) -> RequestRecord:
    """Return the record of this request."""
    record: RequestRecord = request.state.record
    return record


async def get_remaining_s(
    services: Annotated[Services, Depends(get_services)],
    milliseconds: Annotated[
        int | None,
        Header(alias="X-Request-Timeout-Ms", ge=1, le=86_400_000, description="Milliseconds this request may take"),
    ] = None,
) -> float | None:
    """Hold a question that comes while the app starts; return what is left of the caller's time limit, in seconds, if
    it sets one.
    """
    if milliseconds is None:
        await services.startup.first_attempt(_STARTUP_S)
        return None
    limit_s, began = min(milliseconds, _LONGEST_MS) / 1000, time.monotonic()
    await services.startup.first_attempt(min(limit_s, _STARTUP_S))
    return max(0.0, limit_s - (time.monotonic() - began))


ServicesDep = Annotated[Services, Depends(get_services)]
RecordDep = Annotated[RequestRecord, Depends(get_record)]
TimeoutDep = Annotated[float | None, Depends(get_remaining_s)]
