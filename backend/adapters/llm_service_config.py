"""What a caller of the LLM service has to know beforehand."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Where the LLM service is, how long to wait for it (seconds) and how often to ask."""

    urls: tuple[str, ...]
    enabled: bool = True
    timeout_s: float = 60.0
    """For a whole call: every try, the waits between them and, when streaming, the last token."""
    connect_timeout_s: float = 2.0
    read_timeout_s: float | None = None
    """Longest silence of a service that has been asked; ``None``: the whole call's time."""
    write_timeout_s: float = 10.0
    pool_timeout_s: float = 5.0
    """Longest wait for one of the ``max_connections``."""
    probe_timeout_s: float = 1.0
    """For ``/readyz``, which is asked before the trial call of an open circuit is sent."""
    max_connections: int = 64
    """To each address, so that one that hangs cannot take the others' connections."""
    max_retries: int = 2
    retry_ratio: float = 0.1
    retry_reserve: float = 10.0
    max_retry_wait_s: float = 5.0
    """A longer ``Retry-After`` is not waited for: somebody else may answer sooner."""
    api_key: str | None = None
    dimension: int = 384
    language_model: str = "unknown"
    embedding_model: str = "unknown"
    """What the service is thought to have loaded; for traces."""
    failure_threshold: int = 3
    reset_s: float = 3.0
