"""`dev.py up`: both services started, watched, and ended together."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping

from devtools import dotenv
from devtools.console import Console
from devtools.errors import DevError
from devtools.layout import App, Workspace
from devtools.ports import LOOPBACK, host_of, require_free
from devtools.stopping import Stop
from devtools.up.service import Service, end_all

_POLL_S = 0.2
_ASK_READY_S = 0.5
_STILL_WAITING_S = 15.0
RESTART_AFTER_S = (3.0, 10.0, 30.0)
_STABLE_S = 600.0


def plan(workspace: Workspace, options: Namespace, console: Console) -> list[Service]:
    """The services to start, with their addresses; raises DevError when a port is taken.

    `options` are those of the command line; ports of None mean the configured ones.
    """
    services: list[Service] = []
    if not options.backend_only:
        services.append(_service(workspace, workspace.llm_service, options, {}, console))
    if not options.llm_only:
        variables = _llm_address(workspace, options, services[0] if services else None, console)
        services.append(_service(workspace, workspace.backend, options, variables, console))
    if len({service.port for service in services}) < len(services):
        raise DevError(f"Both services would listen on port {services[0].port}.", "Give --llm-port or --backend-port.")
    return services


def _service(
    workspace: Workspace, app: App, options: Namespace, variables: Mapping[str, str], console: Console
) -> Service:
    wanted: int | None = options.llm_port if app == workspace.llm_service else options.backend_port
    host, port = dotenv.address(workspace, app, wanted)
    require_free(host, port, f"--{app.label}-port")
    if (console.interactive or not options.verbose) and "LOG_FORMAT" not in dotenv.configuration(workspace, app):
        # The app writes into a pipe and cannot see the terminal behind it, or the reader of the file.
        variables = {**variables, "LOG_FORMAT": "text"}
    log = workspace.logs / f"{app.label}.log"
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    return Service(app, host, port, variables, console, log, options.verbose)


def _llm_address(workspace: Workspace, options: Namespace, llm: Service | None, console: Console) -> dict[str, str]:
    """`LLM_SERVICE_URL` for the backend: the service started here, unless the developer configured another.

    A configured address on this machine gives way to an explicit --llm-port; one elsewhere never does.
    """
    configured = dotenv.configuration(workspace, workspace.backend).get("LLM_SERVICE_URL", "")
    if llm is None and options.llm_port is None:
        return {}
    url = llm.url if llm else f"http://127.0.0.1:{options.llm_port}"
    if not configured:
        return {"LLM_SERVICE_URL": url}
    local = all(host_of(part.strip()) in LOOPBACK for part in configured.split(","))
    if options.llm_port is not None and local:
        return {"LLM_SERVICE_URL": url}
    if not local or (llm and f":{llm.port}" not in configured):
        console.line(f"The backend uses LLM_SERVICE_URL={_without_password(configured)}, as configured.")
    return {}


def _without_password(urls: str) -> str:
    return ",".join(part.rpartition("@")[2] if "@" in part else part for part in urls.split(","))


class Up:
    """The services of one `dev.py up`, from start to end."""

    def __init__(self, services: list[Service], options: Namespace, console: Console, stop: Stop) -> None:
        self._services = services
        self._options = options
        self._console = console
        self._stop = stop
        self._restarts = 0
        self._restart_at: float | None = None
        self._given_up = False

    def run(self) -> int:
        """Runs until asked to stop or until the services cannot go on; returns the exit status."""
        try:
            for service in self._services:
                service.start()
                self._console.line(f"{service.app.name}: starting on {service.url}")
            if self._wait_until_ready():
                self._announce()
                self._watch()
        finally:
            for service in self._services:
                self._console.status(service.app.label)
            self._end()
        return 1 if self._given_up else 0

    def _wait_until_ready(self) -> bool:
        begun = said = time.monotonic()
        while not self._stop.requested:
            for service in self._services:
                if not service.running:
                    raise DevError(service.obituary(), _remedy_for(service))
                if not service.ready and service.check_ready():
                    self._console.status(service.app.label)
                    self._console.line(f"{service.app.name} is ready after {time.monotonic() - begun:.1f} s")
                if not service.ready:
                    self._console.status(service.app.label, _course(service, time.monotonic() - begun))
            waiting = [service for service in self._services if not service.ready]
            if not waiting:
                return True
            names = " and ".join(service.app.name for service in waiting)
            if time.monotonic() - begun > self._options.ready_timeout:
                raise DevError(
                    f"{names} not ready after {self._options.ready_timeout:.0f} s.",
                    f"{waiting[0].url}/readyz and the log say what is missing. A large model on a slow network needs\n"
                    "longer: --ready-timeout SECONDS. `dev.py doctor` checks the network, memory and disk.",
                )
            if time.monotonic() - said > _STILL_WAITING_S and not self._console.interactive:
                said = time.monotonic()
                for service in waiting:
                    self._console.line(f"... {_course(service, said - begun)}")
            self._stop.wait(_ASK_READY_S)
        return False

    def _announce(self) -> None:
        self._console.line()
        for service in reversed(self._services):
            page = "Chat page" if service.app.label == "backend" else "LLM service"
            self._console.line(f"  {page:<11}  {service.url}/  (API: {service.url}/docs)")
        if not self._options.verbose:
            self._console.line(f"  {'Logs':<11}  {self._services[0].log.parent}  (here, too: --verbose)")
        self._console.line("\n  Ctrl-C ends " + ("both." if len(self._services) > 1 else "it."))
        self._console.line()

    def _watch(self) -> None:
        while not self._stop.wait(_POLL_S):
            for service in self._services:
                if service.running:
                    self._after_a_restart(service)
                elif service.app.label != "llm":
                    self._given_up = True
                    raise DevError(service.obituary(), _remedy_for(service))
                elif not self._given_up:
                    self._revive(service)

    def _after_a_restart(self, service: Service) -> None:
        if not service.ready and service.check_ready():
            self._console.line(f"{service.app.name} is ready again")
        if service.ready and time.monotonic() - service.started_at > _STABLE_S:
            self._restarts = 0

    def _revive(self, service: Service) -> None:
        """Restarts a dead LLM service after a pause; meanwhile the backend answers without it."""
        now = time.monotonic()
        if self._restart_at is None:
            self._console.line(service.obituary())
            service.kill()
            if self._restarts == len(RESTART_AFTER_S):
                self._give_up(service, "It is not started again")
                return
            pause = RESTART_AFTER_S[self._restarts]
            self._restart_at = now + pause
            self._console.line(
                f"{service.app.name} is started again in {pause:.0f} s "
                f"({self._restarts + 1} of {len(RESTART_AFTER_S)})" + self._meanwhile()
            )
        elif now >= self._restart_at:
            self._restart_at = None
            try:
                require_free(service.host, service.port, f"--{service.app.label}-port")
            except DevError as fault:
                self._give_up(service, f"{fault.message} It is not started again")
                return
            self._restarts += 1
            service.start()

    def _meanwhile(self) -> str:
        return "; meanwhile the backend answers without it" if len(self._services) > 1 else ""

    def _give_up(self, service: Service, why: str) -> None:
        self._given_up = True
        if len(self._services) == 1:
            raise DevError(f"{why}.", _remedy_for(service))
        self._console.line(f"{why}{self._meanwhile()}. Once it is fixed: dev.py up --llm-only")

    def _end(self) -> None:
        running = [service for service in self._services if service.running]
        if running:
            names = " and ".join(service.app.name for service in running)
            self._console.line(f"Ending {names} (Ctrl-C again: at once)")
        late = end_all(self._services, self._options.grace, self._stop)
        for service in late:
            self._console.line(f"{service.app.name} had not ended yet and was killed.")


def _course(service: Service, seconds: float) -> str:
    return f"{service.app.name} ({seconds:.0f} s): {service.narrator.doing}"


def _remedy_for(service: Service) -> str:
    alone = "" if service.app.label == "backend" else " --llm-only"
    return (
        "The last line usually says what is wrong. `dev.py doctor` checks configuration, memory and network;\n"
        f"`dev.py setup --fresh` recreates the environments; then: dev.py up{alone}"
    )
