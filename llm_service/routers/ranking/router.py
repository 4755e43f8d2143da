"""``/v1/rerank`` and ``/rerank``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from service_kit.disconnect import until_disconnect

from engines.base import FloatVector
from routers.dependencies import Config, Record, Service, Timeout
from routers.error_docs import openai_responses, responses
from routers.openai.models.names import rerank_model
from routers.ranking.schemas import RerankRequest, RerankResponse, TeiRanks, TeiRerankRequest
from routers.unknown_fields import HEADER_DOC, ignored_fields
from services.errors import GenerationFailed, InvalidRequest, InvalidTexts
from services.results import RankingResult

router = APIRouter(tags=["Ranking"])


@router.post(
    "/v1/rerank",
    response_model=RerankResponse,
    responses={
        200: {"headers": HEADER_DOC, "description": "The documents, the best first"},
        **openai_responses(400, 401, 404, 405, 413, 500, 501, 503, 504),
    },
    summary="Rank documents against a query",
)
async def rerank(
    body: RerankRequest,
    request: Request,
    service: Service,
    config: Config,
    record: Record,
    timeout_ms: Timeout = None,
) -> Response:
    """Score each document by how well it answers the query; compatible with Cohere's and Jina's rerank."""
    model = rerank_model(service, config)
    if model is not None:
        model.check(body.model)
    headers = ignored_fields(body, config)
    _check_count(body.documents, config.embed_max_texts, "documents")
    request_id = str(request.state.request_id)
    work = service.rank(body.query, tuple(body.documents), request_id=request_id, timeout_s=_seconds(timeout_ms))
    result = await until_disconnect(request, work)
    record.ranked(result)
    order = _best_first(result.scores)[: body.top_n]
    tokens = sum(result.tokens)
    content = {
        "id": f"rerank-{request_id}",
        "object": "list",
        "model": result.model,
        "results": [_result(body, result, index) for index in order],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Response(orjson.dumps(content), media_type="application/json", headers=headers)


@router.post(
    "/rerank",
    response_model=TeiRanks,
    responses={
        200: {"headers": HEADER_DOC, "description": "The texts, the best first"},
        **responses(400, 401, 405, 413, 422, 500, 501, 503, 504),
    },
    summary="Rank texts against a query, as text-embeddings-inference has it",
)
async def tei_rerank(
    body: TeiRerankRequest,
    request: Request,
    service: Service,
    config: Config,
    record: Record,
    timeout_ms: Timeout = None,
) -> Response:
    """Score each text by how well it answers the query; compatible with text-embeddings-inference."""
    headers = ignored_fields(body, config)
    _check_count(body.texts, config.embed_max_texts, "texts")
    request_id = str(request.state.request_id)
    work = service.rank(
        body.query, tuple(body.texts), raw=body.raw_scores, request_id=request_id, timeout_s=_seconds(timeout_ms)
    )
    result = await until_disconnect(request, work)
    record.ranked(result)
    if body.truncate is False and any(result.truncated):
        first = result.truncated.index(True)
        raise InvalidRequest("with the query longer than the model reads", field=f"texts.{first}")
    ranks = [_rank(body, result, index) for index in _best_first(result.scores)]
    return Response(orjson.dumps(ranks), media_type="application/json", headers=headers)


def _check_count(documents: Sequence[str], most: int, field: str) -> None:
    if len(documents) > most:
        raise InvalidTexts(f"at most {most} in one request", field=field)


def _seconds(timeout_ms: int | None) -> float | None:
    return timeout_ms / 1000 if timeout_ms else None


def _best_first(scores: FloatVector) -> list[int]:
    """Return indices by falling score, equal ones in the order of the request. Raises ``GenerationFailed``."""
    if not np.isfinite(scores).all():
        raise GenerationFailed("the model gave a score that is not finite")
    return [int(index) for index in np.argsort(-scores, kind="stable")]


def _result(body: RerankRequest, result: RankingResult, index: int) -> dict[str, Any]:
    found = {
        "index": index,
        "relevance_score": float(result.scores[index]),
        "truncated": result.truncated[index],
    }
    return {**found, "document": {"text": body.documents[index]}} if body.return_documents else found


def _rank(body: TeiRerankRequest, result: RankingResult, index: int) -> dict[str, Any]:
    found = {"index": index, "score": float(result.scores[index])}
    return {**found, "text": body.texts[index]} if body.return_text else found
