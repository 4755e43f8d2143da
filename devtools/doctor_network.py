"""The doctor on what lies beyond this process: the LLM service and its key, proxies, the clock."""

from __future__ import annotations

import email.utils
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devtools import dotenv
from devtools.findings import Finding, fail, ok, warn
from devtools.layout import Workspace

LIMIT_S = 3.0
_LONGEST_BODY = 8 << 20  # some APIs list a thousand models
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CLOCK_TOLERANCE_S = 300
_DAY_S = 86400


@dataclass(frozen=True)
class Reply:
    """What a server answered: its status (0: nothing), its headers and the JSON in its body, if any."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


def fetch(url: str, key: str = "", *, through_proxy: bool = False, limit_s: float = LIMIT_S) -> Reply:
    """Asks a server; never raises for what it or the network does."""
    handlers = [] if through_proxy else [urllib.request.ProxyHandler({})]
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked by the caller
        with urllib.request.build_opener(*handlers).open(request, timeout=limit_s) as answer:
            return Reply(answer.status, _lower(answer.headers), _json(answer.read(_LONGEST_BODY)))
    except urllib.error.HTTPError as answer:
        return Reply(answer.code, _lower(answer.headers))
    except (OSError, HTTPException, ValueError):
        return Reply()


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _json(body: bytes) -> Mapping[str, Any]:
    with suppress(ValueError):
        found = json.loads(body)
        if isinstance(found, dict):
            return found
    return {}


def connects(host: str, port: int, limit_s: float = LIMIT_S) -> bool:
    """Whether a TCP connection comes about within the limit.

    In a thread of its own: looking up a name knows no time limit.
    """
    answer: list[bool] = []

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=limit_s).close()
        except (OSError, UnicodeError):
            return
        answer.append(True)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit_s)
    return bool(answer)


def service_urls(workspace: Workspace) -> list[str]:
    """Where the backend will look for the LLM service: as configured, else where `dev.py up` starts it."""
    configured = dotenv.configuration(workspace, workspace.backend)
    port = dotenv.configuration(workspace, workspace.llm_service).get("LLM_SERVICE_PORT", "8001")
    urls = configured.get("LLM_SERVICE_URL") or f"http://127.0.0.1:{port}"
    return [part.strip().rstrip("/") for part in urls.split(",") if part.strip()]


def services(workspace: Workspace) -> Iterator[Finding]:
    """Whether the backend reaches the LLM service, with a key that is let in."""
    configured = dotenv.configuration(workspace, workspace.backend)
    if configured.get("LLM_SERVICE_ENABLED", "true").lower() in ("false", "0", "no", "off", "f", "n"):
        yield ok("LLM service", "switched off (LLM_SERVICE_ENABLED): the backend's local model answers alone")
        return
    for url in service_urls(workspace):
        yield _service(url, configured.get("LLM_SERVICE_API_KEY", ""))


def _service(url: str, key: str) -> Finding:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return fail("LLM service", "LLM_SERVICE_URL is not a http:// address", "LLM_SERVICE_URL=http://HOST:8001")
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    is_local = parts.hostname in LOOPBACK
    live = fetch(f"{url}/livez", through_proxy=not is_local)
    if not live.status:
        if is_local:
            return ok("LLM service", f"not running on {place} (dev.py up starts it)")
        return fail("LLM service", f"{place} cannot be reached", "start it there; check the address and the firewall")
    if live.status != 200:
        return fail(
            "LLM service", f"{place}/livez answers {live.status}: it is no LLM service", "correct LLM_SERVICE_URL"
        )
    health = fetch(f"{url}/api/llm/health", key, through_proxy=not is_local)
    if health.status == 401:
        seen = "refuses the key in LLM_SERVICE_API_KEY" if key else "wants a key, and there is no LLM_SERVICE_API_KEY"
        return fail("LLM service", f"{place} {seen}", "give the backend the key that the service was started with")
    if health.status != 200:
        return warn(
            "LLM service", f"{place} is up and not ready ({health.status})", f"{place}/readyz and its log say why"
        )
    if health.body.get("degraded"):
        return warn(
            "LLM service",
            f"{place} answers with {health.body.get('model')} in place of {health.body.get('requested_model')}",
            "dev.py model pull NAME where the service runs, then restart it",
        )
    return ok(
        "LLM service", f"{place} answers with {health.body.get('model')}" + (", the key is let in" if key else "")
    )


def proxies(workspace: Workspace) -> Finding:
    """Whether a proxy would stand between the backend and a service on this machine."""
    found = urllib.request.getproxies_environment()
    hosts = {urlsplit(url).hostname or "" for url in service_urls(workspace)} & set(LOOPBACK)
    schemes = [scheme for scheme in ("http", "all") if found.get(scheme)]
    if not schemes:
        return ok("proxy", "none for http addresses")
    caught = sorted(host for host in hosts if not urllib.request.proxy_bypass_environment(host, found))  # type: ignore[attr-defined]
    if caught:
        names = " and ".join(f"{scheme.upper()}_PROXY" for scheme in schemes)
        return fail(
            "proxy",
            f"{names} would also carry what is meant for {', '.join(caught)}: the backend will not reach the service",
            "NO_PROXY=localhost,127.0.0.1,::1",
        )
    return ok("proxy", "one is set, and addresses of this machine are exempt from it")


def clock(workspace: Workspace) -> Finding:
    """Whether the clock is right: wrong ones break certificates, tokens and the ages of caches."""
    now = time.time()
    newest = max((path.stat().st_mtime for path in Path(__file__).parent.glob("*.py")), default=0.0)
    mend = "set the clock, and let the system keep it (timedatectl set-ntp true; Windows: Settings, Time)"
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if newest > now + _DAY_S:
        return fail("clock", f"{shown}: earlier than this program was written", mend)
    configured = dotenv.configuration(workspace, workspace.llm_service)
    reply = fetch(configured.get("HF_ENDPOINT", "https://huggingface.co"), through_proxy=True)
    with suppress(KeyError, TypeError, ValueError):
        theirs = email.utils.parsedate_to_datetime(reply.headers["date"]).timestamp()
        off = now - theirs
        if abs(off) > _CLOCK_TOLERANCE_S:
            ahead = "ahead" if off > 0 else "behind"
            return fail("clock", f"{shown}: {abs(off) / 60:.0f} minutes {ahead} of what the model hub says", mend)
        return ok("clock", f"{shown}, as the model hub says")
    return ok("clock", f"{shown} (no server to compare with)")
