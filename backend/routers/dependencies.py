"""What a request needs of the app: its collaborators, its id, its time, and word of a client that left.

Coroutines, since FastAPI takes each dependency that is a plain function to a thread.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Header, Request

from adapters.base import DocumentStore
from config.settings import Settings
from middleware.access_record import AccessRecord, access_record_of
from routers.errors import ClientGone, DeadlineExceeded
from schemas.rag import MAX_TIMEOUT_MS
from services.ingestion import DocumentIngestor
from services.rag_service import RAGService

T = TypeVar("T")
_LONGEST_MS = 600_000


class ServiceHealth(Protocol):
    """Somebody who can tell how the LLM service is."""

    async def health_check(self) -> dict[str, Any]:
        """Return its state; never raise."""
        ...


class Readiness(Protocol):
    """What of the start-up is done."""

    def checks(self) -> dict[str, bool]:
        """Return each condition and whether it holds."""
        ...

    def kick_backfill(self) -> None:
        """Tell that there may be documents without vectors."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The app's collaborators, wired in ``main``."""

    settings: Settings
    store: DocumentStore
    rag: RAGService
    ingestor: DocumentIngestor
    startup: Readiness
    llm_service: ServiceHealth | None


async def get_services(request: Request) -> Services:
    """Return the app's collaborators."""
    services: Services = request.app.state.services
    return services


async def get_request_id(request: Request) -> str:
    """Return the request's id."""
    return str(request.state.request_id)


async def get_access_record(request: Request) -> AccessRecord:
    """Return what the request's log line will say."""
    return access_record_of(request.scope)


async def get_timeout_s(
    milliseconds: Annotated[
        int | None,
        Header(alias="X-Request-Timeout-Ms", ge=1, le=MAX_TIMEOUT_MS, description="Milliseconds this request may take"),
    ] = None,
) -> float | None:
    """Return the seconds that the caller gives; ``None`` when it says nothing."""
    return None if milliseconds is None else min(milliseconds, _LONGEST_MS) / 1000


ServicesDep = Annotated[Services, Depends(get_services)]
RequestIdDep = Annotated[str, Depends(get_request_id)]
RecordDep = Annotated[AccessRecord, Depends(get_access_record)]
TimeoutDep = Annotated[float | None, Depends(get_timeout_s)]


async def while_client_waits(request: Request, work: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
    """Return what ``work`` gives; cancel it when the client leaves or its time is over.

    Raises ``ClientGone`` and ``DeadlineExceeded``.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_until_gone(request))
    try:
        done, _ = await asyncio.wait({task, watch}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        raise ClientGone if watch in done else DeadlineExceeded
    finally:
        for pending in (task, watch):
            pending.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
