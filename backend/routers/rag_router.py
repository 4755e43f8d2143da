"""``/api/rag``: questions, search and documents."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi import Query as QueryParam
from service_kit.disconnect import until_disconnect
from starlette.responses import Response, StreamingResponse

from adapters.ports.documents import Document
from adapters.ports.models import ChatMessage, TextDelta
from observability.request_record import RequestRecord
from routers import event_stream
from routers.dependencies import RecordDep, ServicesDep, TimeoutDep
from routers.error_docs import responses
from schemas.documents import DeleteResponse, DocumentsRequest, DocumentsResponse, StatsResponse
from schemas.rag import MAX_TOP_K, Query, QueryRequest, QueryResponse, SearchResponse, SourcesEvent
from schemas.texts import MAX_ID_CHARS, MAX_STORED_ID_CHARS, Text
from service_kit import sse
from services.answers import AnswerPart, Checked, RagAnswer, Sources, whole_answer
from services.library.documents import InvalidDocument, check_document

STREAM_EXAMPLE = (
    'data: {"sources": [{"content": "perro: oohííbye", …}]}\n\n'
    'data: {"answer": "En bora, \\"perro\\" se dice \\"oohííbye\\"."}\n\n'
    'data: {"answer": "En bora, \\"perro\\" se dice \\"oohííbye\\".", "answer_mode": "extractive", …}\n\n'
    "data: [DONE]\n\n"
)

router = APIRouter(prefix="/api/rag", tags=["RAG"])


@router.post(
    "/query",
    response_model=QueryResponse,
    responses={
        200: {
            "content": {"text/event-stream": {"example": STREAM_EXAMPLE}},
            "description": "The answer; with stream, server-sent events: sources, the answer, an explanation where one "
            "was asked for, the whole object, [DONE]",
        },
        **responses(401, 405, 413, 422, 500, 503, 504),
    },
    summary="Answer a question from the dictionary",
)
async def query(
    body: QueryRequest,
    request: Request,
    services: ServicesDep,
    timeout_s: TimeoutDep,
    record: RecordDep,
) -> QueryResponse | Response:
    """Answer in one response, or with ``stream: true`` as server-sent events."""
    history: list[ChatMessage] = [{"role": turn.role, "content": turn.content} for turn in body.history]
    parts = services.rag.answer_stream(
        body.query,
        body.top_k,
        history,
        explain=body.explain,
        draft=body.draft,
        timeout_s=timeout_s,
        request_id=record.request_id,
    )
    if body.stream:
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        # Headers are sent after the search, so that its failure has its own status.
        first = await until_disconnect(request, anext(parts), timeout_s)
        events = event_stream.encoded(parts, first, partial(_event, record), deadline, record)
        return StreamingResponse(events, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
    return _response(await until_disconnect(request, whole_answer(parts), timeout_s), record)


@router.get(
    "/search",
    responses=responses(401, 405, 422, 500, 503, 504),
    summary="Search the dictionary",
    response_description="What was found, best first",
)
async def search(
    request: Request,
    services: ServicesDep,
    timeout_s: TimeoutDep,
    record: RecordDep,
    q: Annotated[Query, QueryParam(description="Words, or a question", examples=["perro"])],
    top_k: Annotated[
        int | None, QueryParam(ge=1, le=MAX_TOP_K, description="How many at most; default RAG_TOP_K")
    ] = None,
) -> SearchResponse:
    """Return the matching documents, best first."""
    started = time.monotonic()
    work = services.rag.search(q, top_k, request_id=record.request_id)
    retrieval = await until_disconnect(request, work, timeout_s)
    took_ms = record.retrieval_ms = round((time.monotonic() - started) * 1000, 1)
    record.degraded, record.reason = retrieval.fault is not None, retrieval.fault
    return SearchResponse.model_validate({"results": retrieval.hits, "took_ms": took_ms})


@router.post(
    "/documents",
    responses=responses(401, 405, 413, 422, 500, 503),
    summary="Store documents",
    response_description="How many were new, changed or as they were",
)
async def store_documents(body: DocumentsRequest, services: ServicesDep) -> DocumentsResponse:
    """Insert or replace by id; idempotent. One invalid document rejects the whole request."""
    documents = [Document(item.id, item.kind, item.content, item.metadata) for item in body.documents]
    for number, document in enumerate(documents):
        try:
            check_document(document)
        except InvalidDocument as error:
            raise InvalidDocument(f"documents.{number}.{error}") from error
    # One record: the documents are stored all or nothing.
    report = await services.ingestor.ingest_records([documents])
    services.startup.kick_backfill()
    return DocumentsResponse(**asdict(report), pending_embeddings=report.inserted + report.updated)


@router.delete(
    "/documents/{document_id:path}",
    responses=responses(401, 404, 405, 422, 500, 503),
    summary="Delete a document",
    response_description="The document is gone",
)
async def delete_document(
    document_id: Annotated[Text, Path(max_length=MAX_ID_CHARS, examples=["casa-1"])], services: ServicesDep
) -> DeleteResponse:
    """Delete by id; 404 when there is none. The example is the document of the example that stores one."""
    if not await services.store.delete(document_id):
        raise HTTPException(404, "no document with this id")
    return DeleteResponse(id=document_id, deleted=True)


@router.delete(
    "/documents",
    responses=responses(401, 404, 405, 422, 500, 503),
    summary="Delete a document of any id",
    response_description="The document is gone",
)
async def delete_document_by_id(
    document_id: Annotated[
        Text,
        QueryParam(alias="id", max_length=MAX_STORED_ID_CHARS, description="Id of the document", examples=["casa-2"]),
    ],
    services: ServicesDep,
) -> DeleteResponse:
    """Delete by an id that no path can name: with line breaks, ``..``, or longer than is stored today."""
    return await delete_document(document_id, services)


@router.get(
    "/stats",
    responses=responses(401, 405, 500, 503),
    summary="Count the documents",
    response_description="The counts",
)
async def stats(services: ServicesDep) -> StatsResponse:
    """Return document counts by kind and direction, and the fingerprint of the vectors."""
    return StatsResponse(await services.store.stats(None))


def _event(record: RequestRecord, part: AnswerPart) -> Mapping[str, Any]:
    match part:
        case Sources():
            return SourcesEvent.model_validate({"sources": part.hits}).model_dump()
        case TextDelta():
            return {"delta": part.text}
        case Checked():
            return {part.kind: part.text}
    return _response(part, record).model_dump()


def _response(answer: RagAnswer, record: RequestRecord) -> QueryResponse:
    """Return the response, and record how the request was answered for its log line, without any text."""
    record.note_timings(answer.timings)
    record.model, record.tokens_out = answer.model, answer.tokens
    record.served_by, record.answer_mode = answer.served_by, answer.answer_mode
    record.degraded, record.reason = answer.degraded, answer.reason
    record.cache = None if answer.cached is None else "hit" if answer.cached else "miss"
    shown = {name: getattr(answer, name) for name in QueryResponse.model_fields if name != "request_id"}
    return QueryResponse.model_validate(shown | {"request_id": record.request_id})
