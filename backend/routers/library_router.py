"""``/api/rag/sources`` and ``/api/rag/uploads``: documents by source, and loading of files."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from service_kit.disconnect import until_disconnect
from starlette.responses import Response, StreamingResponse

from routers import event_stream
from routers.dependencies import RecordDep, ServicesDep
from routers.error_docs import responses
from schemas.library import FileName, ProgressEvent, SourceDeleted, SourceName, SourcesResponse, UploadReport
from service_kit import sse
from services.library.documents import InvalidDocument
from services.library.ingestion import Progress
from services.library.sources import list_sources

STREAM_EXAMPLE = (
    'data: {"done": 0, "total": 72}\n\ndata: {"source": "lexicon.csv", "inserted": 72, …}\n\ndata: [DONE]\n\n'
)

router = APIRouter(prefix="/api/rag", tags=["Library"])


@router.get(
    "/sources",
    responses=responses(401, 405, 500, 503),
    summary="List the sources",
    response_description="The sources, the last changed first",
)
async def sources(services: ServicesDep) -> SourcesResponse:
    """Return how many documents each source has. Reads the whole table."""
    return SourcesResponse.model_validate({"sources": await list_sources(services.store)})


@router.delete(
    "/sources",
    responses=responses(401, 405, 409, 422, 500, 503),
    summary="Remove a source",
    response_description="The documents loaded from files under this name are deleted",
)
async def delete_source(
    name: Annotated[SourceName, Query(description="Its name", examples=["lexicon.csv"])],
    services: ServicesDep,
) -> SourceDeleted:
    """Delete the documents loaded from files under this name, as ``ingest --drop-source`` does.

    After an interruption call it again.
    """
    return SourceDeleted(source=name, deleted=await services.uploads.drop(name))


@router.post(
    "/uploads",
    response_model=UploadReport,
    responses={
        200: {
            "content": {"text/event-stream": {"example": STREAM_EXAMPLE}},
            "description": "With dry_run what a load would change; else server-sent events: the progress, the report, "
            "[DONE]",
        },
        **{status: answer for status, answer in responses(401, 405, 409, 413, 422, 500, 503).items() if status != 415},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
        }
    },
    summary="Load a file",
)
async def upload(
    request: Request,
    services: ServicesDep,
    record: RecordDep,
    name: Annotated[FileName, Query(description="The file's name", examples=["lexicon.csv"])],
    source: Annotated[
        SourceName | None, Query(description="Name under which its documents are kept; default: the file's")
    ] = None,
    dry_run: Annotated[bool, Query(description="Report changes without storing them")] = False,
    prune: Annotated[
        bool, Query(description="Also remove documents of an earlier load that the file no longer contains")
    ] = False,
) -> UploadReport | Response:
    """Read the file in the body as ``ingest`` does, and load it. Only one load runs at a time: others get 409.

    After an interrupted load whole records are stored; loading the same file again adds the rest.
    """
    data = await request.body()
    if not data:
        raise InvalidDocument("body: the file is empty")
    if dry_run:
        return await until_disconnect(request, services.uploads.preview(name, data, source=source))
    parts = services.uploads.load(name, data, source=source, prune=prune)
    # Headers are sent after the file has been read, so that a fault in it has its own status.
    first = await anext(parts)
    events = event_stream.encoded(parts, first, _event, None, record)
    return StreamingResponse(events, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)


def _event(part: Progress | UploadReport) -> Mapping[str, Any]:
    shown = ProgressEvent(done=part.done, total=part.total) if isinstance(part, Progress) else part
    return shown.model_dump()
