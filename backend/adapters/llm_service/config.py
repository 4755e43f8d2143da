"""Settings of a client of ``/api/llm``."""

from dataclasses import dataclass

from adapters.ports.models import ServedBy


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Addresses, timeouts (seconds) and retry limits of the LLM service client."""

    urls: tuple[str, ...]
    served_by: ServedBy = "llm_service"
    """Provider behind the addresses: the service, or the backend's local model."""
    enabled: bool = True
    timeout_s: float = 60.0
    """Limit of a whole call: all attempts, the waits between them and, when streaming, the last token."""
    connect_timeout_s: float = 2.0
    read_timeout_s: float | None = None
    """Longest wait for data after a request; ``None``: the limit of the whole call."""
    write_timeout_s: float = 10.0
    pool_timeout_s: float = 5.0
    """Longest wait for one of the ``max_connections``."""
    max_connections: int = 64
    """Per address, so that a hanging one cannot use up the connections of the others."""
    retry_ratio: float = 0.1
    retry_reserve: float = 10.0
    api_key: str | None = None
    dimension: int = 384
    language_model: str = "unknown"
    embedding_model: str = "unknown"
    rerank_model: str = "unknown"
    """Configured model names, recorded in traces."""
    failure_threshold: int = 3
    reset_s: float = 3.0
