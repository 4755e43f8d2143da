"""GGUF files on llama.cpp: its own server runs in this process, and each answer is a request to it on loopback."""

import json
import logging
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
from service_kit.errors import Problem, Refusal

from adapters.llm_service.wire import DONE
from adapters.local.files import ModelFiles
from adapters.local.model import Finished, too_long
from adapters.ports.models import ChatMessage, SamplingOptions

logger = logging.getLogger(__name__)
_CONTEXT = 8192
_SLOTS = 4
_BATCH = 128
"""Prompt tokens a step: a request that was hung up computes to the end of its step."""
_BRACKETED = re.compile(r"<[^<>\s]{1,80}>|\[[^\[\]\s]{1,80}\]")


class LlamaCpp:
    """A ``Generator`` of one ``.gguf`` file. Construction blocks and holds Python's lock until the file is loaded."""

    slots = _SLOTS

    def __init__(self, files: ModelFiles, *, enable_thinking: bool) -> None:
        import xllamacpp

        started = time.monotonic()
        self.name = files.name
        self.substituted = files.substituted
        self._thinking = enable_thinking
        key = secrets.token_urlsafe(32)
        params = xllamacpp.CommonParams()
        params.model.path = str(files.folder / str(files.gguf))
        # Read, not mapped: weights that llama.cpp repacks would otherwise be in memory twice.
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
        params.n_ctx, params.n_parallel, params.kv_unified = _CONTEXT, _SLOTS, True
        params.n_batch = params.n_ubatch = _BATCH
        params.cpuparams.n_threads = _processors()
        params.use_jinja = True
        # The trial run, the search for a fitting context and the second prompt cache would only delay the start.
        params.warmup = params.fit_params = False
        params.cache_ram_mib = 0
        params.hostnames = ["127.0.0.1"]
        params.port, params.api_keys = 0, [key]
        params.verbosity = -1
        self._server = xllamacpp.Server(params)
        self._http = httpx2.AsyncClient(
            base_url=self._server.listening_address,
            headers={"Authorization": f"Bearer {key}"},
            timeout=None,  # callers have deadlines, and hang up
            # The server announces keep-alive and closes the connection after a stream: a reused one fails.
            limits=httpx2.Limits(max_keepalive_connections=0),
            trust_env=False,
        )
        logger.info("local model loaded", extra={"model": self.name, "seconds": round(time.monotonic() - started, 1)})

    async def generate(
        self, messages: Sequence[ChatMessage], options: SamplingOptions
    ) -> AsyncIterator[str | Finished]:
        """Yield pieces of text, then ``Finished``."""
        payload = {
            "messages": await self._without_control_tokens(messages),
            "max_tokens": options.max_new_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "top_k": 1 if options.top_p == 0 else 0,
            "min_p": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            # Progress events during prefill: llama.cpp notices a closed connection only when it writes.
            "return_progress": True,
            "chat_template_kwargs": {"enable_thinking": self._thinking},
        }
        reason, usage = "stop", dict[str, int]()
        async with self._http.stream("POST", "/v1/chat/completions", json=payload) as response:
            if response.status_code != httpx2.codes.OK:
                raise _refusal(json.loads(await response.aread())["error"])
            async for sent in httpx2.EventSource(response):
                if sent.data == DONE:
                    continue
                event = json.loads(sent.data)
                if "error" in event:
                    raise _refusal(event["error"])
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    reason = choice.get("finish_reason") or reason
                    if text := choice.get("delta", {}).get("content"):
                        yield text
        yield Finished(reason, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))

    async def _without_control_tokens(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """Return the messages with a space in each quoted control token, such as ``< |im_start|>``.

        llama.cpp parses control tokens in the whole rendered conversation, so that a quoted one would open a turn.
        """
        found = {text for message in messages for text in _BRACKETED.findall(message["content"])}
        if not found:
            return list(messages)
        quoted = "\n".join(sorted(found))
        control = (
            await self._pieces(quoted, parse_special=True) - await self._pieces(quoted, parse_special=False)
        ) & found

        def neutral(match: re.Match[str]) -> str:
            return f"{match[0][0]} {match[0][1:]}" if match[0] in control else match[0]

        return [{"role": m["role"], "content": _BRACKETED.sub(neutral, m["content"])} for m in messages]

    async def _pieces(self, text: str, *, parse_special: bool) -> set[str]:
        body = {"content": text, "parse_special": parse_special, "with_pieces": True}
        response = (await self._http.post("/tokenize", json=body)).raise_for_status()
        return {token["piece"] for token in response.json()["tokens"] if isinstance(token["piece"], str)}


def _refusal(error: dict[str, Any]) -> Refusal:
    if error.get("type") == "exceed_context_size_error":
        return too_long(int(error["n_prompt_tokens"]), int(error["n_ctx"]))
    # Its message may quote the conversation.
    return Refusal(Problem(500, "generation_failed", f"llama.cpp failed: {error.get('type')}"))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
