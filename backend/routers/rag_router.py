"""``/api/rag``: questions, search and documents."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi import Query as QueryParam
from starlette.responses import Response, StreamingResponse

from adapters.base import ChatMessage, Document, SearchHit, TextDelta
from middleware.access_record import AccessRecord, access_record_of
from routers import event_stream
from routers.dependencies import RecordDep, RequestIdDep, Services, ServicesDep, TimeoutDep, while_client_waits
from routers.error_docs import responses
from schemas.rag import (
    MAX_ID_CHARS,
    MAX_TOP_K,
    DeleteResponse,
    DocumentsRequest,
    DocumentsResponse,
    Query,
    QueryRequest,
    QueryResponse,
    SearchResponse,
    Source,
    StatsResponse,
    Text,
)
from services.documents import InvalidDocument, check_document
from services.rag_service import RagAnswer, Sources

STREAM_EXAMPLE = (
    'data: {"sources": [{"content": "perro: oohííbye", …}]}\n\ndata: {"delta": "En bora, "}\n\n'
    'data: {"answer": "Perro se dice oohííbye.", "answer_mode": "generated", …}\n\ndata: [DONE]\n\n'
)

router = APIRouter(prefix="/api/rag", tags=["RAG"])


@router.post(
    "/query",
    response_model=QueryResponse,
    responses={
        200: {
            "content": {"text/event-stream": {"example": STREAM_EXAMPLE}},
            "description": "The answer; with stream, server-sent events: sources, pieces, the answer, [DONE]",
        },
        **responses(400, 401, 405, 413, 422, 500, 502, 503, 504),
    },
    summary="Answer a question from the dictionary",
)
async def query(
    body: QueryRequest,
    request: Request,
    services: ServicesDep,
    request_id: RequestIdDep,
    timeout_s: TimeoutDep,
    record: RecordDep,
) -> QueryResponse | Response:
    """Answer at once, or with ``stream: true`` as server-sent events."""
    if body.stream:
        return await _stream(body, request, services, request_id, timeout_s)
    work = services.rag.answer(body.query, body.top_k, _history(body), request_id=request_id)
    answer = await while_client_waits(request, work, timeout_s)
    _note(record, answer)
    return _response(answer, request_id)


@router.get(
    "/search",
    responses=responses(401, 405, 422, 500, 503, 504),
    summary="Search the dictionary",
    response_description="What was found, best first",
)
async def search(
    request: Request,
    services: ServicesDep,
    request_id: RequestIdDep,
    timeout_s: TimeoutDep,
    record: RecordDep,
    q: Annotated[Query, QueryParam(description="Words, or a question", examples=["perro"])],
    top_k: Annotated[int, QueryParam(ge=1, le=MAX_TOP_K, description="How many at most")] = 5,
) -> SearchResponse:
    """Return what is found, best first."""
    started = time.monotonic()
    work = services.rag.search(q, top_k, request_id=request_id)
    retrieval = await while_client_waits(request, work, timeout_s)
    took_ms = record.retrieval_ms = round((time.monotonic() - started) * 1000, 1)
    record.degraded = retrieval.degraded
    return SearchResponse(results=[_source(hit) for hit in retrieval.hits], took_ms=took_ms)


@router.post(
    "/documents",
    responses=responses(401, 405, 413, 422, 500, 503),
    summary="Store documents",
    response_description="How many were new, changed or as they were",
)
async def store_documents(body: DocumentsRequest, services: ServicesDep) -> DocumentsResponse:
    """Insert or replace by id; storing the same again changes nothing. One bad document refuses them all."""
    documents = [Document(item.id, item.kind, item.content, item.metadata) for item in body.documents]
    for number, document in enumerate(documents):
        try:
            check_document(document)
        except InvalidDocument as error:
            raise InvalidDocument(f"documents.{number}.{error}") from error
    # As one record: all of them or none.
    report = await services.ingestor.ingest_records([documents], embed=False)
    services.startup.kick_backfill()
    stats = await services.store.stats(None)
    return DocumentsResponse(
        inserted=report.inserted,
        updated=report.updated,
        unchanged=report.unchanged,
        pending_embeddings=stats.pending_embeddings,
    )


@router.delete(
    "/documents/{document_id:path}",
    responses=responses(401, 404, 405, 422, 500, 503),
    summary="Delete a document",
    response_description="The document is gone",
)
async def delete_document(
    document_id: Annotated[Text, Path(max_length=MAX_ID_CHARS)], services: ServicesDep
) -> DeleteResponse:
    """Delete by id; 404 when there is none."""
    if not await services.store.delete(document_id):
        raise HTTPException(404, "there is no document of this id")
    return DeleteResponse(id=document_id, deleted=True)


@router.get(
    "/stats",
    responses=responses(401, 405, 500, 503),
    summary="Count the documents",
    response_description="The counts",
)
async def stats(services: ServicesDep) -> StatsResponse:
    """Return counts by kind and direction, and which vectors are in use."""
    found = await services.store.stats(None)
    return StatsResponse(
        documents=found.documents,
        by_kind=dict(found.by_kind),
        by_direction=dict(found.by_direction),
        embedding_fingerprint=found.embedding_fingerprint,
        pending_embeddings=found.pending_embeddings,
    )


async def _stream(
    body: QueryRequest, request: Request, services: Services, request_id: str, timeout_s: float | None
) -> Response:
    """Answer as events. What fails before the first event is still answered with its own status."""
    deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
    parts = services.rag.answer_stream(body.query, body.top_k, _history(body), request_id=request_id)
    first = await while_client_waits(request, _first(parts), timeout_s)
    record = access_record_of(request.scope)
    events = _events(first, parts, request_id, record)
    return StreamingResponse(
        event_stream.guarded(events, request_id, deadline, record),
        media_type="text/event-stream",
        headers=event_stream.HEADERS,
    )


async def _first(parts: AsyncGenerator[Sources | TextDelta | RagAnswer, None]) -> Sources | TextDelta | RagAnswer:
    return await anext(parts)


async def _events(
    first: Sources | TextDelta | RagAnswer,
    parts: AsyncGenerator[Sources | TextDelta | RagAnswer, None],
    request_id: str,
    record: AccessRecord,
) -> AsyncGenerator[Mapping[str, Any], None]:
    async with aclosing(parts) as rest:
        yield _event(first, request_id)
        async for part in rest:
            if isinstance(part, RagAnswer):
                _note(record, part)
            yield _event(part, request_id)


def _note(record: AccessRecord, answer: RagAnswer) -> None:
    """Have the request's log line say how it was answered, and nothing of what."""
    record.note_timings(answer.timings)
    record.model, record.tokens_out = answer.model, answer.tokens
    record.served_by, record.answer_mode, record.degraded = answer.served_by, answer.answer_mode, answer.degraded
    record.cache = None if answer.cached is None else "hit" if answer.cached else "miss"


def _event(part: Sources | TextDelta | RagAnswer, request_id: str) -> Mapping[str, Any]:
    match part:
        case Sources():
            return {"sources": [_source(hit).model_dump() for hit in part.hits]}
        case TextDelta():
            return {"delta": part.text}
    return _response(part, request_id).model_dump()


def _response(answer: RagAnswer, request_id: str) -> QueryResponse:
    return QueryResponse(
        answer=answer.answer,
        answer_mode=answer.answer_mode,
        sources=[_source(hit) for hit in answer.sources],
        served_by=answer.served_by,
        degraded=answer.degraded,
        model=answer.model,
        timings=dict(answer.timings),
        request_id=request_id,
    )


def _source(hit: SearchHit) -> Source:
    return Source(
        id=hit.id,
        kind=hit.kind,
        content=hit.content,
        score=hit.score,
        matched_on=list(hit.matched_on),
        metadata=dict(hit.metadata),
    )


def _history(body: QueryRequest) -> list[ChatMessage]:
    return [{"role": message.role, "content": message.content} for message in body.history]
