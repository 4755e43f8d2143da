"""Whether the upstream is there: asked at the start, every so often, and after every failure."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import httpx2
from pydantic import ValidationError

from engines.base import EngineInfo, Failure
from engines.client import WorkerState
from engines.openai_upstream_faults import UpstreamFault, no_api
from engines.openai_upstream_http import UpstreamHttp, UpstreamSpec
from engines.openai_upstream_wire import ListedModel, ModelList, engine_info

PROBE_EVERY_S, FIRST_PROBE_AGAIN_S, LAST_PROBE_AGAIN_S = 15.0, 0.25, 4.0
PROBE_TIMEOUT_S = 5.0
FAILED_PROBES = 2
"""So many in a row make the upstream count as lost."""

logger = logging.getLogger(__name__)


class UpstreamWatch:
    """What is known of the upstream. ``restarts`` counts how often it was lost; ``last_error`` is fit for callers."""

    def __init__(self, spec: UpstreamSpec, http: UpstreamHttp, on_fatal: Callable[[str], None] | None) -> None:
        self.state: WorkerState = "loading"
        self.info: EngineInfo | None = None
        self.restarts = 0
        self.last_error: str | None = None
        self._spec = spec
        self._http = http
        self._on_fatal = on_fatal
        self._task: asyncio.Task[None] | None = None
        self._look_now = asyncio.Event()
        self._failed_probes = 0

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._watch(), name="upstream-watcher")

    async def stop(self) -> None:
        """Look no more."""
        self.state = "stopped"
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def look_now(self) -> None:
        """Look before the next time: a request has failed."""
        self._look_now.set()

    async def _watch(self) -> None:
        while self.state not in ("failed", "stopped"):
            self._look_now.clear()
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    model = await self._look()
            except UpstreamFault as fault:
                self._missed(fault)
            except TimeoutError:
                self._missed(UpstreamFault(Failure.ENGINE_RESTARTED, "the upstream does not answer"))
            except Exception:
                logger.exception("looking for the upstream failed")
                self._missed(UpstreamFault(Failure.ENGINE_RESTARTED, "looking for the upstream failed; see the log"))
            else:
                self._found(model)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._look_now.wait()

    def _pause_s(self) -> float:
        if self._failed_probes == 0:
            return PROBE_EVERY_S
        return float(min(LAST_PROBE_AGAIN_S, FIRST_PROBE_AGAIN_S * 2 ** min(self._failed_probes - 1, 10)))

    async def _look(self) -> ListedModel:
        spec = self._spec
        wanted = spec.model or spec.requested_model
        if spec.ready_path is not None:
            await self._http.probe(spec.ready_path)
            return ListedModel(id=wanted)
        try:
            listed = ModelList.model_validate_json(await self._http.models()).data
        except ValidationError as error:
            raise no_api("no list of models") from error
        named = next((model for model in listed if model.id == wanted), None)
        if named is None and spec.model is None and len(listed) == 1:
            named = listed[0]
        if named is None:
            known = ", ".join(model.id[:80] for model in listed[:5]) or "none"
            raise UpstreamFault(
                Failure.UNAVAILABLE, f"the upstream has no model {wanted}, but {known}: set LLM_UPSTREAM_MODEL"
            )
        return named

    def _found(self, model: ListedModel) -> None:
        self._failed_probes, self.last_error = 0, None
        info = engine_info(self._http.root, model, self._spec.requested_model)
        if self.state != "ready" or info != self.info:
            logger.info("generator ready: %s at the upstream", info.model)
        self.info, self.state = info, "ready"

    def _missed(self, fault: UpstreamFault) -> None:
        if fault.status == httpx2.codes.TOO_MANY_REQUESTS and self.state == "ready":
            return  # it is there, and has enough to do
        self._failed_probes += 1
        if self._failed_probes == 1 or str(fault) != self.last_error:
            logger.warning("the upstream is not ready: %s", fault)
        self.last_error = str(fault)
        if self.state == "ready" and self._failed_probes >= FAILED_PROBES:
            self.state = "restarting"
            self.restarts += 1
        elif self.state == "loading" and fault.refuses_the_key:
            self.state = "failed"
            if self._on_fatal is not None:
                self._on_fatal(str(fault))
