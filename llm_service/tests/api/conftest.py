from collections.abc import Iterator

import pytest

from tests.api.service_process import ServiceProcess, running_service


@pytest.fixture(scope="session")
def service() -> Iterator[ServiceProcess]:
    """A service with the engines that need no weights; files whose tests count what it has done start their own."""
    with running_service() as process:
        yield process


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """What starts where no hub can be reached: the embedded models, the language model as a stand-in."""
    hub = str(tmp_path_factory.mktemp("hub"))
    with running_service(LLM_BACKEND="auto", EMBEDDING_BACKEND="auto", HF_HUB_OFFLINE="1", HF_HOME=hub) as process:
        yield process
