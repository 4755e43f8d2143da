"""The doctor on other servers: the LLM service and its key, the upstream behind it, proxies."""

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

LIMIT_S = 3.0
_LONGEST_BODY = 8 << 20  # some APIs list a thousand models
LOOPBACK = ("localhost", "127.0.0.1", "::1")


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


def upstream(workspace: Workspace) -> Iterator[Finding]:
    """Whether it answers, accepts the key, and has the model. Nothing to say when no other server is configured."""
    configured = dotenv.configuration(workspace, workspace.llm_service)
    url = configured.get("LLM_UPSTREAM_URL", "").rstrip("/")
    if configured.get("LLM_BACKEND", "").lower() != "openai":
        if url:
            yield warn(
                "upstream",
                "LLM_UPSTREAM_URL is set and not used: LLM_BACKEND is not openai",
                "set it, or remove the URL",
            )
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        yield fail("upstream", "LLM_UPSTREAM_URL is not an address without a user", "LLM_UPSTREAM_URL=http://HOST:8000")
        return
    root = url if parts.path.strip("/") else f"{url}/v1"
    ready = configured.get("LLM_UPSTREAM_READY_PATH")
    asked = f"{parts.scheme}://{parts.netloc}{ready}" if ready else f"{root}/models"
    key = configured.get("LLM_UPSTREAM_API_KEY", "")
    reply = fetch(asked, key, through_proxy=parts.hostname not in LOOPBACK)
    yield _judge_upstream(asked, reply, key, "" if ready else configured.get("LLM_UPSTREAM_MODEL", ""), configured)


def _judge_upstream(asked: str, reply: Reply, key: str, named: str, configured: Mapping[str, str]) -> Finding:
    if not reply.status:
        return fail("upstream", f"{asked} cannot be reached", "start it; check LLM_UPSTREAM_URL and the firewall")
    if reply.status in (401, 403):
        seen = "refuses the key in LLM_UPSTREAM_API_KEY" if key else "wants a key, and LLM_UPSTREAM_API_KEY has none"
        return fail("upstream", f"{asked} {seen}", "set the key that this server asks for")
    if reply.status != 200:
        return fail("upstream", f"{asked} answers {reply.status}", "correct LLM_UPSTREAM_URL, or look at its log")
    if configured.get("LLM_UPSTREAM_READY_PATH"):
        return ok("upstream", f"{asked} says it is ready")
    names = _names(reply.body)
    if not names:
        return fail(
            "upstream", f"{asked} does not list models: it is not an OpenAI-compatible API", "correct the address"
        )
    wanted = named or configured.get("LLM_MODEL") or "Qwen/Qwen3-1.7B"
    if wanted in names or (not named and len(names) == 1):
        return ok("upstream", f"{asked} has {wanted if wanted in names else names[0]}")
    known = ", ".join(names[:5])
    return fail("upstream", f"{asked} has no model {wanted}", f"LLM_UPSTREAM_MODEL=one of: {known}")


def _names(body: Mapping[str, Any]) -> list[str]:
    data = body.get("data")
    found = data if isinstance(data, list) else []
    return [str(model["id"])[:80] for model in found if isinstance(model, dict) and model.get("id")]
