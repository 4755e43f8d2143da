"""The LLM service for its embedder alone: the language model beside it is one without weights."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.processes import ROOT, Service, free_port
from devtools.layout import Workspace


@contextmanager
def embedding_service() -> Iterator[str]:
    """Run the service in its own environment; yield its address once it is ready."""
    port = free_port()
    variables = {"LLM_BACKEND": "fake", "EMBEDDING_MODEL": "embedded", "LLM_SERVICE_PORT": str(port)}
    app = Workspace(ROOT).llm_service
    command = (app.python, "main.py")
    with Service("llm_service", command, app.folder, {**variables, "LOG_LEVEL": "WARNING"}, port) as service:
        service.wait_for("/readyz")
        yield f"http://127.0.0.1:{port}"
