"""The local fallback: the LLM service's client, with processes of this backend at the other end."""

import asyncio
from collections.abc import Sequence

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.local.config import LocalModelConfig, config_from_settings
from adapters.local.connection import URL, LocalConnections
from adapters.local.launcher import COMMAND, Launcher
from adapters.ports.models import ChatMessage, Embeddings, InputType
from config.settings import settings

_CLOSE_S = 5.0
_PROBE = "fingerprint"


class HuggingFaceAdapter(LLMServiceAdapter):
    """A ``LanguageModel`` and an ``Embedder`` that need no other service.

    Each model is served by a child process, which the first request starts and which ends when it is idle.
    ``command`` is the child's command line, to which ``generator`` or ``embedder`` is added.
    """

    def __init__(self, config: LocalModelConfig | None = None, command: Sequence[str] = COMMAND) -> None:
        local = config or config_from_settings(settings)
        self.generator = Launcher("generator", local, command)
        self.embedder = Launcher("embedder", local, command)
        self._fingerprint: str | None = None
        most = local.max_waiting + 64
        self._service_config = ServiceConfig(
            urls=(URL,),
            served_by="local",
            timeout_s=local.timeout_s,
            pool_timeout_s=local.timeout_s,
            max_connections=most,
            # A process that dies fails all its requests at once, and all are retried; the launcher decides when the
            # next process starts.
            failure_threshold=most,
            retry_ratio=1.0,
            retry_reserve=most,
            dimension=local.dimension,
            language_model=local.model,
            embedding_model=local.embedding_model,
        )
        super().__init__(self._service_config, http=self._connections())

    def _connections(self) -> LocalConnections:
        return LocalConnections({"/api/llm/generate": self.generator, "/api/llm/embed": self.embedder})

    def warm(self) -> None:
        """Start the processes, which load their models; returns at once."""
        self.generator.address()
        self.embedder.address()

    async def close(self) -> None:
        """End the processes; running requests fail."""
        await asyncio.to_thread(self.generator.close, _CLOSE_S)
        await asyncio.to_thread(self.embedder.close, _CLOSE_S)
        await super().close()

    def chat_completion(self, messages: Sequence[ChatMessage]) -> str:
        """Return the answer's text. Blocks: not for use on an event loop."""

        async def ask() -> str:
            client = LLMServiceAdapter(self._service_config, http=self._connections())
            try:
                return await client.generate(messages)
            finally:
                await client.close()

        return asyncio.run(ask())

    async def embed_texts(
        self, texts: Sequence[str], *, input_type: InputType = "document", request_id: str | None = None
    ) -> Embeddings:
        """Return one vector a text, in order; raise ``TechnicalError`` or ``LogicalError``."""
        made = await super().embed_texts(texts, input_type=input_type, request_id=request_id)
        self._fingerprint = made.fingerprint
        return made

    async def read_fingerprint(self) -> str:
        """Return the fingerprint of the local vectors; only the first time needs the process."""
        return self._fingerprint or (await self.embed_texts([_PROBE])).fingerprint
