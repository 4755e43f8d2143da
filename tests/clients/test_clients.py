"""Clients that people use, as they are, against the service with the embedded model.

What the model answers does not count; what the client accepts does.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app_process import WORKSPACE, AppProcess, running
from clients.environments import run_script
from free_ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow(of="clients")]


@pytest.fixture(scope="module")
def service() -> Iterator[AppProcess]:
    """The service with the embedded models; what ranks needs no weights."""
    variables = {"LLM_MODEL": "embedded", "RERANK_MODEL": "fake", "RERANK_BACKEND": "fake"}
    app = AppProcess(WORKSPACE.llm_service, free_port(), variables)
    with running(app):
        yield app


@pytest.mark.parametrize(
    ("client", "script"),
    [
        ("openai2", "openai_client.py"),
        ("openai3", "openai_client.py"),
        ("langchain", "langchain_client.py"),
        ("pydantic_ai", "pydantic_ai_client.py"),
        ("agents", "agents_client.py"),
        ("llama_index", "llama_index_client.py"),
        ("instructor", "instructor_client.py"),
        ("litellm", "litellm_client.py"),
        ("haystack", "haystack_client.py"),
    ],
)
def test_a_client_works_unchanged(service: AppProcess, client: str, script: str) -> None:
    run_script(client, script, service.url)
