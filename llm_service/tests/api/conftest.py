from collections.abc import Iterator

import pytest

from tests.api.service_process import ServiceProcess, running_service


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    """A service with the engines that need no weights."""
    with running_service() as process:
        yield process
