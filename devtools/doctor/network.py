"""The doctor on other servers: the LLM service and its key, proxies."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from devtools import dotenv
from devtools.doctor.findings import Finding, fail, ok, warn
from devtools.layout import Workspace
from devtools.ports import LOOPBACK, host_of

LIMIT_S = 3.0
_LONGEST_BODY = 1 << 20


@dataclass(frozen=True)
class Reply:
    """A server's answer: its status (0: none) and the JSON object in its body, if any."""

    status: int = 0
    body: Mapping[str, Any] = field(default_factory=dict)


def fetch(url: str, key: str = "", *, through_proxy: bool = False) -> Reply:
    """Asks a server; never raises for failures of it or of the network."""
    handlers = [] if through_proxy else [urllib.request.ProxyHandler({})]
    # urllib writes Latin-1: this is the key in UTF-8.
    headers = {"Authorization": f"Bearer {key}".encode().decode("latin-1")} if key else {}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked by the caller
        with urllib.request.build_opener(*handlers).open(request, timeout=LIMIT_S) as answer:
            return Reply(answer.status, _json(answer.read(_LONGEST_BODY)))
    except urllib.error.HTTPError as answer:
        return Reply(answer.code)
    except (OSError, HTTPException, ValueError):
        return Reply()


def _json(body: bytes) -> Mapping[str, Any]:
    with suppress(ValueError):
        found = json.loads(body)
        if isinstance(found, dict):
            return found
    return {}


def service_urls(workspace: Workspace) -> list[str]:
    """The backend's address of the LLM service: the configured one, else that of `dev.py up`."""
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
    host = host_of(url)
    if not host or (parts := urlsplit(url)).scheme not in ("http", "https"):
        return fail("LLM service", "LLM_SERVICE_URL is not a http:// address", "LLM_SERVICE_URL=http://HOST:8001")
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    is_local = host in LOOPBACK
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
    hosts = set(map(host_of, service_urls(workspace))) & set(LOOPBACK)
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
    return ok("proxy", "one is set, and nothing meant for this machine goes through it")
