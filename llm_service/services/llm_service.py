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
from services.events import CacheName, Events
from services.generation import Generation
from services.response_cache import ResponseCache
from services.results import EmbeddingResult, GenerationItem, GenerationResult, Health, Load, Status, WorkerLoad
from services.workers import Worker

EMBEDDING_CONCURRENCY = 8
"""Embedding requests inside the worker together; their texts share batches."""
MIB = 1024 * 1024


class LLMService:
    """Generation and embeddings for the whole process; ``events`` tells what happens in it."""

    def __init__(self, config: Settings, generator: Worker, embedder: Worker) -> None:
        self._config = config
        self._generator = generator
        self._embedder = embedder
        self._generation = Admission(config.llm_max_batch, config.llm_max_queue)
        self.events = Events()
        answers = ResponseCache(int(config.llm_cache_mb * MIB), config.llm_cache_ttl_s) if config.llm_cache_mb else None
        self._answers = Answers(Generation(generator, self._generation, self.events), answers, self.events)
        vectors = EmbeddingCache(int(config.embed_cache_mb * MIB)) if config.embed_cache_mb else None
        places = Admission(EMBEDDING_CONCURRENCY, config.embed_max_queue)
        self._embedding = Embedding(embedder, places, vectors, self.events)
        self._caches: dict[CacheName, ResponseCache | EmbeddingCache | None]
        self._caches = {"response": answers, "embedding": vectors}

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

    def load(self) -> Load:
        """Say how busy everything is; never waits."""
        return Load(
            running=self._generation.running,
            waiting=self._generation.waiting,
            generator=_worker_load(self._generator),
            embedder=_worker_load(self._embedder),
            cache_bytes={name: cache.used_bytes if cache else 0 for name, cache in self._caches.items()},
        )

    def _deadline(self, timeout_s: float | None) -> Deadline:
        limit = self._config.llm_request_timeout_s
        return Deadline(limit if timeout_s is None else min(timeout_s, limit))


def _worker_load(worker: Worker) -> WorkerLoad:
    return WorkerLoad(worker.state == "ready", worker.restarts, worker.batch_sizes, worker.kv_cache_usage)


def build_llm_service(config: Settings, on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Wire a service to its two workers; ``on_fatal`` hears why a model can never be loaded."""
    generator_spec = WorkerSpec(
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
        log_format=config.log_format,
    )
    embedder = WorkerSpec(
        model=config.embedding_model,
        backend=config.embedding_backend,
        device_map=config.llm_device_map,
        cache_dir=str(config.model_cache_dir),
        hub_environment=config.hub_environment,
        log_level=config.log_level,
        log_format=config.log_format,
    )
    timeouts = {"stall_timeout_s": config.llm_stall_timeout_s, "load_timeout_s": config.llm_load_timeout_s}
    generator: Worker
    if config.llm_backend == "openai":
        generator = _upstream(config, on_fatal)
    else:
        generator = WorkerClient("generator", generator_spec, on_fatal=on_fatal, **timeouts)
    return LLMService(config, generator, WorkerClient("embedder", embedder, on_fatal=on_fatal, **timeouts))


def _upstream(config: Settings, on_fatal: Callable[[str], None] | None) -> Worker:
    # Its HTTP client takes a tenth of a second to import, which a start without an upstream is spared.
    from engines.openai_upstream import UpstreamClient
    from engines.openai_upstream_http import UpstreamSpec

    assert config.llm_upstream_url is not None
    key = config.llm_upstream_api_key
    spec = UpstreamSpec(
        url=config.llm_upstream_url,
        requested_model=config.llm_model,
        model=config.llm_upstream_model,
        api_key=key.get_secret_value() if key else None,
        ready_path=config.llm_upstream_ready_path,
        template_arguments=config.llm_upstream_template_arguments,
        max_connections=config.llm_max_batch,
        connect_timeout_s=config.llm_upstream_connect_timeout_s,
        stall_timeout_s=config.llm_stall_timeout_s,
    )
    return UpstreamClient(spec, on_fatal=on_fatal)


_llm_service: LLMService | None = None


def get_llm_service(on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Return the process's one service. Its models load when ``start`` is called, which the
    application does at start-up.
    """
    global _llm_service  # noqa: PLW0603 - the plan's singleton
    if _llm_service is None:
        _llm_service = build_llm_service(settings, on_fatal)
    return _llm_service
