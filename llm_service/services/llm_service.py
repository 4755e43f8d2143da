"""The service: one language model, one embedding model and an optional reranker.

Independent of HTTP and tensors. A request is answered from a cache, or admitted, passed to its worker and followed
until it ends, its deadline passes or its caller cancels.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Literal

from config.settings import Settings, settings
from engines.base import EngineInfo
from engines.errors import GenerationFailed, NotConfigured
from engines.events import Detokenized, Ranked, Tokenized
from engines.requests import (
    DetokenizeRequest,
    EmbeddingRequest,
    GenerationRequest,
    InputType,
    RankingRequest,
    TokenizeRequest,
    unique_id,
)
from services.admission import Admission
from services.answering.answers import Answers
from services.answering.response_cache import ResponseCache
from services.counts import CacheName, Counts
from services.deadline import Deadline
from services.exchanges import Exchanges
from services.results import EmbeddingResult, GenerationItem, Health, RankingResult
from services.vectors.embedding import Embedding
from services.vectors.embedding_cache import EmbeddingCache
from workers.parent import WorkerClient
from workers.worker import Role, Worker

ENCODER_CONCURRENCY = 8
"""Concurrent requests in an encoder's worker; their texts share batches."""
MIB = 1024 * 1024


class LLMService:
    """Generation, embeddings and ranking for the whole process.

    Attributes:
        workers: the models' workers by role; ``reranker`` only where one is configured.
        requested: the models that the settings name, by role.
        places: of generation requests.
        counts: for metrics.

    """

    def __init__(self, config: Settings, generator: Worker, embedder: Worker, reranker: Worker | None = None) -> None:
        self._config = config
        self.workers: dict[Role, Worker] = {"generator": generator, "embedder": embedder}
        self.requested: dict[Role, str] = {"generator": config.llm_model, "embedder": config.embedding_model}
        if reranker is not None:
            self.workers["reranker"] = reranker
            self.requested["reranker"] = config.rerank_model or ""
        self.places = Admission(config.llm_max_batch, config.llm_max_queue)
        self.counts = Counts()
        answers = ResponseCache(int(config.llm_cache_mb * MIB), config.llm_cache_ttl_s) if config.llm_cache_mb else None
        self._answers = Answers(generator, self.places, answers, self.counts, upstream=config.llm_backend == "openai")
        vectors = EmbeddingCache(int(config.embed_cache_mb * MIB)) if config.embed_cache_mb else None
        self._embedding = Embedding(embedder, self._encoder_places(), vectors, self.counts)
        self._texts = Exchanges(generator, self._encoder_places())
        self._ranking = None if reranker is None else Exchanges(reranker, self._encoder_places())
        self._caches: dict[CacheName, ResponseCache | EmbeddingCache | None]
        self._caches = {"response": answers, "embedding": vectors}

    def _encoder_places(self) -> Admission:
        return Admission(ENCODER_CONCURRENCY, self._config.embed_max_queue)

    def info(self, role: Role) -> EngineInfo | None:
        """Return the loaded model of a role; ``None`` before it is loaded, and where there is none."""
        worker = self.workers.get(role)
        return worker.info if worker else None

    def name(self, role: Role) -> str | None:
        """Return the loaded model of a role, or the one that is being loaded; ``None`` where there is none."""
        info = self.info(role)
        return info.model if info else self.requested.get(role)

    @property
    def model_name(self) -> str:
        """The loaded language model, or the one that is being loaded."""
        return self.name("generator") or ""

    def health(self) -> Health:
        """Return the current health; never waits, never loads."""
        workers, info = self.workers.values(), self.info("generator")
        states = {worker.state for worker in workers}
        status: Literal["healthy", "loading", "degraded", "unhealthy"] = "unhealthy"
        if "loading" in states and not {"failed", "stopped"} & states:
            status = "loading"
        elif states == {"ready"}:
            status = "degraded" if info is not None and info.degraded else "healthy"
        errors = [worker.last_error for worker in workers if worker.last_error]
        return Health(status, self.workers["generator"].state, self.workers["embedder"].state, next(iter(errors), None))

    @property
    def cache_bytes(self) -> dict[CacheName, int]:
        """Memory used by each cache."""
        return {name: 0 if cache is None else int(cache.currsize) for name, cache in self._caches.items()}

    async def start(self) -> None:
        """Start loading the models; returns at once."""
        await asyncio.gather(*(worker.start() for worker in self.workers.values()))

    async def stop(self) -> None:
        """End the workers."""
        await asyncio.gather(*(worker.stop() for worker in self.workers.values()))

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
            raise NotConfigured(
                "no reranker is configured: set RERANK_MODEL to a cross-encoder and restart the service"
            )
        request = RankingRequest(unique_id(request_id), query, documents, raw)
        event = await self._ranking.ask(request, self._deadline(timeout_s))
        if not isinstance(event, Ranked) or self._ranking.info is None:
            raise GenerationFailed("the engine gave no scores")
        self.counts.ranked_documents += len(documents)
        return RankingResult(self._ranking.info.model, event.tokens, event.truncated, event.scores)

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

    def _deadline(self, timeout_s: float | None) -> Deadline:
        limit = self._config.llm_request_timeout_s
        return Deadline(limit if timeout_s is None else min(timeout_s, limit))


def build_llm_service(config: Settings, on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Create a service with its workers; ``on_fatal`` is called with the reason if a model cannot be loaded."""
    generator: Worker
    if config.llm_backend == "openai":
        # Imported here: importing its HTTP client takes 0.1 s, which a start without an upstream should not pay.
        from workers.upstream import UpstreamClient

        generator = UpstreamClient(config, on_fatal=on_fatal)
    else:
        generator = WorkerClient("generator", config, on_fatal=on_fatal)
    embedder = WorkerClient("embedder", config, on_fatal=on_fatal)
    reranker = WorkerClient("reranker", config, on_fatal=on_fatal) if config.rerank_model else None
    return LLMService(config, generator, embedder, reranker)


_llm_service: LLMService | None = None


def get_llm_service(on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Return the process's service. The application loads its models at start-up by calling ``start``."""
    global _llm_service  # noqa: PLW0603 - the plan's singleton
    if _llm_service is None:
        _llm_service = build_llm_service(settings, on_fatal)
    return _llm_service
