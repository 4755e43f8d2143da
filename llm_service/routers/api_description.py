"""Corrections to ``/openapi.json`` of this app."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from routers.openai.chat import ChatCompletionChunk
from routers.openai.completions import CompletionBody
from routers.openai.errors import OpenAIErrorBody, speaks_openai
from routers.openai.responses.schemas import ResponseEvent
from schemas.common import ErrorBody
from schemas.generation import AnswerPiece, GenerateResponse
from service_kit import openapi

TAGS = [
    {"name": "LLM", "description": "Conversations, embeddings and the service's state"},
    {"name": "OpenAI", "description": "The same models for OpenAI's own clients: `base_url=http://HOST:8001/v1`"},
    {"name": "Ranking", "description": "Documents ranked against a query, where RERANK_MODEL is set"},
    {"name": "Operations", "description": "For load balancers and operators"},
]
_STREAMS: dict[str, tuple[type[BaseModel], ...]] = {
    "/api/llm/generate": (AnswerPiece, GenerateResponse, ErrorBody),
    "/v1/chat/completions": (ChatCompletionChunk, OpenAIErrorBody),
    "/v1/completions": (CompletionBody, OpenAIErrorBody),
    "/v1/responses": (ResponseEvent,),
}


def install(app: FastAPI, *, needs_key: bool) -> None:
    """Correct the description on first access."""
    openapi.install(app, needs_key=needs_key, correct=_correct)


def _correct(schema: dict[str, Any]) -> None:
    for path, operation in openapi.operations(schema):
        if speaks_openai(path):
            # FastAPI adds its own 422 to every operation with parameters; OpenAI clients get 400.
            operation["responses"].pop("422", None)
    for path, models in _STREAMS.items():
        openapi.describe_stream(schema, path, models, named_errors=True)
