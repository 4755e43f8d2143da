"""Services that files share. Workers of theirs may be replaced; a test that ends a service starts its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.api.openai.openai_clients import sync_client
from tests.api.service_process import ASK_KEY, KEY, ServiceProcess, eventually, idle, running_service


@pytest.fixture(scope="session")
def service() -> Iterator[ServiceProcess]:
    """A service with the engines that need no weights."""
    with running_service() as process:
        yield process


@pytest.fixture(scope="session")
def client(service: ServiceProcess) -> Iterator[OpenAI]:
    """OpenAI's client of that service."""
    with sync_client(service) as one:
        yield one


@pytest.fixture(scope="session")
def _narrow() -> Iterator[ServiceProcess]:
    with running_service(LLM_MAX_BATCH="1", LLM_MAX_QUEUE="1") as process:
        yield process


@pytest.fixture
def narrow(_narrow: ServiceProcess) -> ServiceProcess:
    """A service in which one request runs and one waits; both places are free. No test has it crash."""
    eventually(lambda: idle(_narrow), "both places are free")
    return _narrow


@pytest.fixture(scope="session")
def configured() -> Iterator[ServiceProcess]:
    """A service with settings of which each changes what one kind of request does."""
    settings = {
        "EMBED_CACHE_MB": "0",
        "LLM_CACHE_TTL_S": "0.3",
        "LLM_PROMPT_LOOKUP": "auto",
        "LLM_REPRODUCIBLE": "true",
        "LLM_STRICT_FIELDS": "true",
        "LLM_TEMPERATURE": "0",
        "LOG_FORMAT": "text",
        "TRUSTED_HOSTS": "bora.example, *.escuela.example",
    }
    with running_service(ready=True, **settings) as process:
        yield process


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys of ``guarded`` beside its own."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"ana:ask:{ASK_KEY}\n", encoding="utf-8")
    file.chmod(0o600)
    return file


@pytest.fixture(scope="session")
def guarded(keys_file: Path) -> Iterator[ServiceProcess]:
    """A service with keys and a small body cap."""
    with running_service(
        LLM_SERVICE_API_KEY=KEY, LLM_SERVICE_KEYS_FILE=str(keys_file), MAX_BODY_BYTES="2048"
    ) as process:
        yield process


@pytest.fixture(scope="session")
def ranking() -> Iterator[ServiceProcess]:
    """A service that ranks, too, and keeps no answers."""
    with running_service(RERANK_MODEL="someone/reranker", RERANK_BACKEND="fake", LLM_CACHE_MB="0") as process:
        yield process


@pytest.fixture(scope="session")
def mortal() -> Iterator[ServiceProcess]:
    """A service whose workers tests halt and kill, and whose counts they read."""
    with running_service() as process:
        yield process


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """What starts where no hub can be reached: the embedded models, the language model as a stand-in."""
    settings = {
        "EMBEDDING_BACKEND": "auto",
        "HF_HOME": str(tmp_path_factory.mktemp("hub")),
        "HF_HUB_OFFLINE": "1",
        "LLM_BACKEND": "auto",
        "LLM_REQUEST_TIMEOUT_S": "600",
        "LLM_STALL_TIMEOUT_S": "600",
    }
    with running_service(ready=True, **settings) as process:
        process.client.timeout = 600
        yield process
