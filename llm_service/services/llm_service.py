"""The service itself: one language model, one embedding model, whoever asks.

Knows neither HTTP nor tensors. A request is answered from a cache, or admitted, handed to its worker,
and followed until it ends, its deadline passes or its caller leaves.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from config.settings import Settings, settings
from engines.base import GenerationRequest, WorkerSpec
from engines.client import WorkerClient
from services.admission import Admission
from services.answers import Answers
from services.deadline import Deadline
from services.embedding import Embedding
from services.embedding_cache import EmbeddingCache
from services.errors import GenerationFailed, InvalidRequest
from services.generation import Generation
from services.response_cache import ResponseCache
from services.results import EmbeddingResult, GenerationItem, GenerationResult, Health, Status
from services.workers import Worker

EMBEDDING_CONCURRENCY = 8
"""Embedding requests inside the worker together; their texts share batches."""
MIB = 1024 * 1024


class LLMService:
    """Generation and embeddings for the whole process."""

    def __init__(self, config: Settings, generator: Worker, embedder: Worker) -> None:
        self._config = config
        self._generator = generator
        self._embedder = embedder
        self._generation = Admission(config.llm_max_batch, config.llm_max_queue)
        answers = ResponseCache(int(config.llm_cache_mb * MIB), config.llm_cache_ttl_s) if config.llm_cache_mb else None
        self._answers = Answers(Generation(generator, self._generation), answers)
        vectors = EmbeddingCache(int(config.embed_cache_mb * MIB)) if config.embed_cache_mb else None
        self._embedding = Embedding(embedder, Admission(EMBEDDING_CONCURRENCY, config.embed_max_queue), vectors)

    @property
    def model_name(self) -> str:
        """The model that answers, or the one that will."""
        return self._generator.info.model if self._generator.info else self._config.llm_model

    @property
    def device(self) -> str:
        """Where it runs: cpu, cuda:0, or the configured wish until it is loaded."""
        return self._generator.info.device if self._generator.info else self._config.llm_device_map

    async def start(self) -> None:
        """Start loading both models; returns at once."""
        await asyncio.gather(self._generator.start(), self._embedder.start())

    async def stop(self) -> None:
        """End both workers."""
        await asyncio.gather(self._generator.stop(), self._embedder.stop())

    async def generate(
        self,
        request: GenerationRequest,
        timeout_s: float | None = None,
        *,
        use_cache: bool = True,
        fresh: bool = False,
    ) -> GenerationResult:
        """Answer a conversation; raises a ``ServiceError``. Cancelling stops the generation."""
        async with contextlib.aclosing(self.stream(request, timeout_s, use_cache=use_cache, fresh=fresh)) as items:
            async for item in items:
                if isinstance(item, GenerationResult):
                    return item
        raise GenerationFailed("the engine gave no answer")

    def stream(
        self,
        request: GenerationRequest,
        timeout_s: float | None = None,
        *,
        use_cache: bool = True,
        fresh: bool = False,
    ) -> AsyncGenerator[GenerationItem, None]:
        """Yield ``Started``, deltas when the request wants them, then the whole result.

        A deterministic request (greedy or seeded) is answered from the response cache, or joins an
        identical one under way. ``use_cache=False`` keeps it out of both; ``fresh`` has it computed
        anew and its answer kept. Raises a ``ServiceError``, once ``Started`` has come only for faults.
        """
        return self._answers.stream(request, self._deadline(timeout_s), use_cache=use_cache, fresh=fresh)

    async def embed(
        self,
        texts: tuple[str, ...],
        *,
        normalize: bool = True,
        request_id: str | None = None,
        timeout_s: float | None = None,
        use_cache: bool = True,
    ) -> EmbeddingResult:
        """Embed texts, in order; raises a ``ServiceError``. Vectors of texts that were embedded before
        come from the embedding cache, unless ``use_cache`` is false.
        """
        if not texts:
            raise InvalidRequest("texts must not be empty")
        return await self._embedding.run(
            texts, self._deadline(timeout_s), normalize=normalize, request_id=request_id, use_cache=use_cache
        )

    def health(self) -> Health:
        """Say how everything is; never waits, never loads."""
        states = (self._generator.state, self._embedder.state)
        info = self._generator.info
        status: Status
        if "failed" in states or "stopped" in states:
            status = "unhealthy"
        elif "loading" in states:
            status = "loading"
        elif "restarting" in states:
            status = "unhealthy"
        else:
            status = "degraded" if info is not None and info.degraded else "healthy"
        return Health(
            status=status,
            generator=self._generator.state,
            embedder=self._embedder.state,
            generator_info=info,
            embedder_info=self._embedder.info,
            running=self._generation.running,
            waiting=self._generation.waiting,
            capacity=self._generation.capacity,
            restarts=self._generator.restarts + self._embedder.restarts,
            last_error=self._generator.last_error or self._embedder.last_error,
        )

    def _deadline(self, timeout_s: float | None) -> Deadline:
        limit = self._config.llm_request_timeout_s
        return Deadline(limit if timeout_s is None else min(timeout_s, limit))


def build_llm_service(config: Settings, on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Wire a service to its two workers; ``on_fatal`` hears why a model can never be loaded."""
    generator = WorkerSpec(
        model=config.llm_model,
        backend=config.llm_backend,
        offline_model=config.llm_offline_model,
        device_map=config.llm_device_map,
        dtype=config.llm_dtype,
        max_batch=config.llm_max_batch,
        kv_cache_gb=config.llm_kv_cache_gb,
        max_batched_tokens=config.llm_max_batched_tokens,
        reproducible=config.llm_reproducible,
        prompt_lookup=config.llm_prompt_lookup == "auto",
        stream_interval_s=config.llm_stream_interval_ms / 1000,
        cache_dir=str(config.model_cache_dir),
        hub_environment=config.hub_environment,
        log_level=config.log_level,
    )
    embedder = WorkerSpec(
        model=config.embedding_model,
        backend=config.embedding_backend,
        device_map=config.llm_device_map,
        cache_dir=str(config.model_cache_dir),
        hub_environment=config.hub_environment,
        log_level=config.log_level,
    )
    timeouts = {"stall_timeout_s": config.llm_stall_timeout_s, "load_timeout_s": config.llm_load_timeout_s}
    return LLMService(
        config,
        WorkerClient("generator", generator, on_fatal=on_fatal, **timeouts),
        WorkerClient("embedder", embedder, on_fatal=on_fatal, **timeouts),
    )


_llm_service: LLMService | None = None


def get_llm_service(on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Return the process's one service. Its models load when ``start`` is called, which the
    application does at start-up.
    """
    global _llm_service  # noqa: PLW0603 - the plan's singleton
    if _llm_service is None:
        _llm_service = build_llm_service(settings, on_fatal)
    return _llm_service
