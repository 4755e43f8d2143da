"""Corrections to ``/openapi.json`` of this app."""

from typing import Any

from fastapi import FastAPI

from schemas.errors import ErrorBody
from schemas.library import ProgressEvent, UploadReport
from schemas.rag import AnswerEvent, ExplanationEvent, QueryResponse, SourcesEvent, TextEvent
from service_kit import openapi

TAGS = [
    {"name": "RAG", "description": "Questions, search, and the documents they rest on"},
    {"name": "Library", "description": "Documents by source, and files"},
    {"name": "Reports", "description": "What readers miss, and what they find wrong"},
    {"name": "Operations", "description": "For load balancers and operators"},
]
_EVENTS = (SourcesEvent, TextEvent, AnswerEvent, ExplanationEvent, QueryResponse, ErrorBody)


def install(app: FastAPI, *, needs_key: bool) -> None:
    """Correct the description on first access."""
    openapi.install(app, needs_key=needs_key, correct=_correct)


def _correct(schema: dict[str, Any]) -> None:
    openapi.describe_stream(schema, "/api/rag/query", _EVENTS)
    openapi.describe_stream(schema, "/api/rag/uploads", (ProgressEvent, UploadReport, ErrorBody))
