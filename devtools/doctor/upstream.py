"""The doctor on the server behind the LLM service (LLM_BACKEND=openai): address, key, model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from devtools import dotenv
from devtools.doctor.findings import Finding, fail, ok, warn
from devtools.doctor.network import LOOPBACK, Reply, fetch
from devtools.layout import Workspace

DEFAULT_MODEL = "Qwen/Qwen3-1.7B"
_SUBJECT = "upstream"
_SHOWN = 5


def is_used(configured: Mapping[str, str]) -> bool:
    """Whether another server generates."""
    return configured.get("LLM_BACKEND", "").lower() == "openai"


def upstream(workspace: Workspace) -> Iterator[Finding]:
    """Whether it answers, lets the key in, and has the model. Nothing to say when no other server is configured."""
    configured = dotenv.configuration(workspace, workspace.llm_service)
    url = configured.get("LLM_UPSTREAM_URL", "").rstrip("/")
    if not is_used(configured):
        if url:
            yield warn(
                _SUBJECT, "LLM_UPSTREAM_URL is set and not used: LLM_BACKEND is not openai", "set it, or remove the URL"
            )
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        yield fail(_SUBJECT, "LLM_UPSTREAM_URL is not an address without a user", "LLM_UPSTREAM_URL=http://HOST:8000")
        return
    root = url if parts.path.strip("/") else f"{url}/v1"
    ready = configured.get("LLM_UPSTREAM_READY_PATH")
    asked = f"{parts.scheme}://{parts.netloc}{ready}" if ready else f"{root}/models"
    key = configured.get("LLM_UPSTREAM_API_KEY", "")
    reply = fetch(asked, key, through_proxy=parts.hostname not in LOOPBACK)
    yield _judge(asked, reply, key, "" if ready else configured.get("LLM_UPSTREAM_MODEL", ""), configured)


def _judge(asked: str, reply: Reply, key: str, named: str, configured: Mapping[str, str]) -> Finding:
    if not reply.status:
        return fail(_SUBJECT, f"{asked} cannot be reached", "start it; check LLM_UPSTREAM_URL and the firewall")
    if reply.status in (401, 403):
        seen = "refuses the key in LLM_UPSTREAM_API_KEY" if key else "wants a key, and LLM_UPSTREAM_API_KEY has none"
        return fail(_SUBJECT, f"{asked} {seen}", "set the key that this server asks for")
    if reply.status != 200:
        return fail(_SUBJECT, f"{asked} answers {reply.status}", "correct LLM_UPSTREAM_URL, or look at its log")
    if configured.get("LLM_UPSTREAM_READY_PATH"):
        return ok(_SUBJECT, f"{asked} says it is ready")
    names = _names(reply.body)
    if not names:
        return fail(_SUBJECT, f"{asked} gives no list of models: it is no OpenAI-compatible API", "correct the address")
    wanted = named or configured.get("LLM_MODEL") or DEFAULT_MODEL
    if wanted in names or (not named and len(names) == 1):
        return ok(_SUBJECT, f"{asked} has {wanted if wanted in names else names[0]}")
    known = ", ".join(names[:_SHOWN])
    return fail(_SUBJECT, f"{asked} has no model {wanted}", f"LLM_UPSTREAM_MODEL=one of: {known}")


def _names(body: Mapping[str, Any]) -> list[str]:
    data = body.get("data")
    found = data if isinstance(data, list) else []
    return [str(model["id"])[:80] for model in found if isinstance(model, dict) and model.get("id")]
