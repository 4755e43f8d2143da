"""Requests whose answer is one event: vectors, scores, tokens."""

import contextlib

from engines.base import EngineInfo
from engines.events import RequestEvent
from engines.requests import Request
from services.admission import Admission
from services.deadline import Deadline
from workers.worker import Worker


class Exchanges:
    """Sends requests to a worker, as many at once as ``admission`` has places."""

    def __init__(self, worker: Worker, admission: Admission) -> None:
        self._worker = worker
        self._admission = admission

    @property
    def info(self) -> EngineInfo | None:
        """The worker's model, or ``None`` before it is loaded."""
        return self._worker.info

    async def ask(self, request: Request, deadline: Deadline) -> RequestEvent:
        """Return the answer to a request; raises a ``ServiceError``."""
        async with contextlib.AsyncExitStack() as stack:
            await deadline.wait(stack.enter_async_context(self._admission.place()))
            events = await deadline.wait(stack.enter_async_context(self._worker.open(request)))
            return await deadline.wait(anext(events))
