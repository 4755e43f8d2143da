"""The service: one language model, one embedding model, perhaps one that ranks.

Independent of HTTP and tensors. A request is answered from a cache, or admitted, passed to its worker and followed
until it ends, its deadline passes or its caller cancels.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from config.settings import Settings, settings
from engines.base import (
    Detokenized,
    DetokenizeRequest,
    EmbeddingRequest,
    GenerationRequest,
    InputType,
    Ranked,
    RankingRequest,
    Tokenized,
    TokenizeRequest,
)
from engines.request_ids import unique_id
from services.admission import Admission
from services.answering.answers import Answers
from services.answering.response_cache import ResponseCache
from services.deadline import Deadline
from services.errors import GenerationFailed, InvalidTexts, NotConfigured
from services.events import CacheName, DocumentsRanked, Events
from services.exchanges import Exchanges
from services.results import (
    EmbeddingResult,
    GenerationItem,
    GenerationResult,
    Health,
    Load,
    RankingResult,
    Status,
    WorkerLoad,
)
from services.vectors.embedding import Embedding
from services.vectors.embedding_cache import EmbeddingCache
from services.workers import Worker
from workers.parent import Role, WorkerClient

ENCODER_CONCURRENCY = 8
"""Concurrent requests in an encoder's worker; their texts share batches."""
MIB = 1024 * 1024


class LLMService:
    """Generation, embeddings and ranking for the whole process; ``events`` are for its metrics."""

    def __init__(self, config: Settings, generator: Worker, embedder: Worker, reranker: Worker | None = None) -> None:
        self._config = config
        self._generator = generator
        self._embedder = embedder
        self._reranker = reranker
        self._workers: dict[Role, Worker] = {"generator": generator, "embedder": embedder}
        if reranker is not None:
            self._workers["reranker"] = reranker
        self._generation = Admission(config.llm_max_batch, config.llm_max_queue)
        self.events = Events()
        answers = ResponseCache(int(config.llm_cache_mb * MIB), config.llm_cache_ttl_s) if config.llm_cache_mb else None
        self._answers = Answers(
            generator, self._generation, answers, self.events, upstream=config.llm_backend == "openai"
        )
        vectors = EmbeddingCache(int(config.embed_cache_mb * MIB)) if config.embed_cache_mb else None
        places = Admission(ENCODER_CONCURRENCY, config.embed_max_queue)
        self._embedding = Embedding(embedder, places, vectors, self.events)
        self._texts = Exchanges(generator, Admission(ENCODER_CONCURRENCY, config.embed_max_queue))
        self._ranking = None
        if reranker is not None:
            self._ranking = Exchanges(reranker, Admission(ENCODER_CONCURRENCY, config.embed_max_queue))
        self._caches: dict[CacheName, ResponseCache | EmbeddingCache | None]
        self._caches = {"response": answers, "embedding": vectors}

    @property
    def model_name(self) -> str:
        """The loaded model, or the one that is being loaded."""
        return self._generator.info.model if self._generator.info else self._config.llm_model

    @property
    def device(self) -> str:
        """Device of the model (cpu, cuda:0); the configured one until the model is loaded."""
        return self._generator.info.device if self._generator.info else self._config.llm_device_map

    async def start(self) -> None:
        """Start loading the models; returns at once."""
        await asyncio.gather(*(worker.start() for worker in self._workers.values()))

    async def stop(self) -> None:
        """End the workers."""
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))

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
        """Yield ``Started``, ``FirstToken``, deltas when the request wants them, then the whole result.

        A deterministic request (greedy or seeded) is answered from the response cache, or joins an
        identical running one. ``use_cache=False`` disables both; ``fresh`` recomputes the answer and
        caches it. Raises a ``ServiceError``; after ``Started`` only for faults, not for refusals.
        """
        return self._answers.stream(request, self._deadline(timeout_s), use_cache=use_cache, fresh=fresh)

    async def embed(
        self,
        texts: tuple[str, ...],
        *,
        normalize: bool = True,
        input_type: InputType | None = None,
        request_id: str | None = None,
        timeout_s: float | None = None,
        use_cache: bool = True,
    ) -> EmbeddingResult:
        """Embed texts, in order; raises a ``ServiceError``. Uses the embedding cache unless ``use_cache``
        is false.
        """
        if not texts:
            raise InvalidTexts("must not be empty", field="texts")
        return await self._embedding.run(
            EmbeddingRequest(unique_id(request_id), texts, normalize, input_type),
            self._deadline(timeout_s),
            use_cache=use_cache,
        )

    async def rank(
        self,
        query: str,
        documents: tuple[str, ...],
        *,
        raw: bool = False,
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> RankingResult:
        """Score documents against a query, in order; raises a ``ServiceError``. ``raw``: without the model's
        activation function.
        """
        if self._ranking is None:
            raise NotConfigured("no model ranks here: set RERANK_MODEL to a cross-encoder and restart the service")
        request = RankingRequest(unique_id(request_id), query, documents, raw)
        event = await self._ranking.ask(request, self._deadline(timeout_s))
        if not isinstance(event, Ranked) or self._ranking.info is None:
            raise GenerationFailed("the engine gave no scores")
        self.events.tell(DocumentsRanked(len(documents)))
        return RankingResult(event.scores, self._ranking.info.model, event.tokens, event.truncated)

    async def tokenize(self, request: TokenizeRequest, timeout_s: float | None = None) -> tuple[int, ...]:
        """Return token ids of the language model; raises a ``ServiceError``."""
        event = await self._texts.ask(request, self._deadline(timeout_s))
        assert isinstance(event, Tokenized)
        return event.tokens

    async def detokenize(self, request: DetokenizeRequest, timeout_s: float | None = None) -> str:
        """Return the text of token ids; raises a ``ServiceError``."""
        event = await self._texts.ask(request, self._deadline(timeout_s))
        assert isinstance(event, Detokenized)
        return event.text

    def health(self) -> Health:
        """Return the current health; never waits, never loads."""
        states = [worker.state for worker in self._workers.values()]
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
            reranker=self._reranker.state if self._reranker else None,
            generator_info=info,
            embedder_info=self._embedder.info,
            reranker_info=self._reranker.info if self._reranker else None,
            running=self._generation.running,
            waiting=self._generation.waiting,
            capacity=self._generation.capacity,
            restarts=sum(worker.restarts for worker in self._workers.values()),
            last_error=next((worker.last_error for worker in self._workers.values() if worker.last_error), None),
        )

    def load(self) -> Load:
        """Return the current load; never waits."""
        return Load(
            running=self._generation.running,
            waiting=self._generation.waiting,
            workers={role: _worker_load(worker) for role, worker in self._workers.items()},
            cache_bytes={name: cache.used_bytes if cache else 0 for name, cache in self._caches.items()},
        )

    def _deadline(self, timeout_s: float | None) -> Deadline:
        limit = self._config.llm_request_timeout_s
        return Deadline(limit if timeout_s is None else min(timeout_s, limit))


def _worker_load(worker: Worker) -> WorkerLoad:
    return WorkerLoad(
        state=worker.state,
        info=worker.info,
        pid=worker.pid,
        restarts=worker.restarts,
        batch_sizes=worker.batch_sizes,
        kv_cache_usage=worker.kv_cache_usage,
        last_fault=worker.last_fault,
    )


def build_llm_service(config: Settings, on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Create a service with its workers; ``on_fatal`` is called with the reason if a model cannot be loaded."""
    timeouts: dict[str, Any] = {
        "stall_timeout_s": config.llm_stall_timeout_s,
        "load_timeout_s": config.llm_load_timeout_s,
    }
    generator: Worker
    if config.llm_backend == "openai":
        # Imported here: importing its HTTP client takes 0.1 s, which a start without an upstream should not pay.
        from workers.upstream import UpstreamClient

        generator = UpstreamClient(config, on_fatal=on_fatal)
    else:
        generator = WorkerClient("generator", config, on_fatal=on_fatal, **timeouts)
    embedder = WorkerClient("embedder", config, on_fatal=on_fatal, **timeouts)
    reranker = WorkerClient("reranker", config, on_fatal=on_fatal, **timeouts) if config.rerank_model else None
    return LLMService(config, generator, embedder, reranker)


_llm_service: LLMService | None = None


def get_llm_service(on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Return the process's service. The application loads its models at start-up by calling ``start``."""
    global _llm_service  # noqa: PLW0603 - the plan's singleton
    if _llm_service is None:
        _llm_service = build_llm_service(settings, on_fatal)
    return _llm_service
