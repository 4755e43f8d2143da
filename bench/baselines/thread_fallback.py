"""The backend with its local model on a thread of the API process, to measure the separate process against.

    cd backend && python ../bench/baselines/thread_fallback.py

The same application, settings and model code as ``backend/main.py``; only where the model runs differs:
the loop that otherwise does the jobs in the child process does them on threads of this one. Nothing is
released after idling.
"""

# environment: backend

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "backend"))

import uvicorn

from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.local_child import RealModels
from adapters.local_config import config_from_settings
from adapters.local_messages import LAST_EVENTS, Alive, Cancel, Event, Job, JobEvent, Lane, Loaded
from adapters.local_supervisor import Call, LocalSupervisor
from adapters.local_worker import Worker
from config.settings import settings
from main import Collaborators, create_app


class InThisProcess(LocalSupervisor):
    """Does the jobs on threads of this process."""

    def __init__(self) -> None:
        config = config_from_settings(settings)
        super().__init__(config)
        self._calls: dict[int, Call] = {}
        self._numbers = itertools.count(1)
        self._worker = Worker(config, RealModels(), self._on_own_event)

    def is_loaded(self, lane: Lane) -> bool:  # noqa: ARG002
        """Grant the time for loading to every call."""
        return False

    def ask(self, lane: Lane, make: Callable[[int], Job], on_event: Callable[[JobEvent], None]) -> Call:
        """Have a job done on the lane's thread."""
        call = Call(next(self._numbers), lane, on_event, 0.0)
        self._calls[call.id] = call
        self._worker.obey(make(call.id))
        return call

    def leave(self, call: Call) -> None:
        """Stop the job."""
        self._worker.obey(Cancel(call.id))

    def close(self, timeout_s: float) -> None:
        """Leave the threads to the end of the process."""

    def _on_own_event(self, event: Event) -> None:
        if isinstance(event, Alive | Loaded):
            return
        call = self._calls[event.id]
        if isinstance(event, LAST_EVENTS):
            del self._calls[event.id]
        call.on_event(event)


class ThreadAdapter(HuggingFaceAdapter):
    """The local fallback without a process of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._process = InThisProcess()


if __name__ == "__main__":
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["TQDM_DISABLE"] = "1"
    app = create_app(settings, Collaborators(local=ThreadAdapter()))
    uvicorn.run(app, host=settings.backend_host, port=settings.backend_port, log_config=None, access_log=False)
