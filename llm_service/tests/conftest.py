import os

import pytest

# Before any library with OpenMP is loaded. The tests have as many workers as there are cores: threads of engines in
# this process that wait for one another while they spin would multiply what each token costs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
