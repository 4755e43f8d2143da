"""What the backend and the process of its local models say to each other."""

from dataclasses import dataclass
from typing import Literal

from adapters.base import AdapterError, ChatMessage, LogicalError, SamplingOptions, TechnicalError

Lane = Literal["language", "embedding"]
"""The two models do not wait for each other; within a lane, one job comes after the other."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Answer a conversation; ``Piece``s, then ``Answered``."""

    id: int
    messages: tuple[ChatMessage, ...]
    options: SamplingOptions
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Embed:
    """Make vectors; ``Vectors``."""

    id: int
    texts: tuple[str, ...]
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class TellFingerprint:
    """Say what the vectors compare with, without loading the model; ``Fingerprint``."""

    id: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for this job any more; it still ends with an event."""

    id: int


Job = Generate | Embed | TellFingerprint
Command = Job | Cancel


@dataclass(frozen=True, slots=True)
class Alive:
    """The process still gets to run Python; sent once a second."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The lane's model is in memory from now on."""

    lane: Lane


@dataclass(frozen=True, slots=True)
class Started:
    """The job's turn has come and its model is loaded."""

    id: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more text of an answer; never splits a character."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer, which model gave it, and in how many milliseconds."""

    id: int
    text: str
    tokens: int
    finish_reason: str
    total_ms: float
    model: str
    substituted: bool


@dataclass(frozen=True, slots=True)
class Vectors:
    """One unit vector a text, and the fingerprint they compare by."""

    id: int
    vectors: list[list[float]]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the vectors of the local model compare with."""

    id: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that came to nothing, in the terms of ``adapters.base``: a technical error unless it has a ``status``."""

    id: int
    message: str
    reason: str = "local_failed"
    status: int | None = None

    @classmethod
    def from_error(cls, job_id: int, error: AdapterError) -> "Failed":
        """Put an error into words that cross the pipe."""
        if isinstance(error, LogicalError):
            return cls(job_id, str(error), error.error_type, error.status)
        return cls(job_id, str(error), error.reason if isinstance(error, TechnicalError) else "local_failed")

    @property
    def error(self) -> AdapterError:
        """The error again, to be raised at this end."""
        if self.status is not None:
            return LogicalError(self.message, status=self.status, error_type=self.reason)
        return TechnicalError(self.message, reason=self.reason)


JobEvent = Started | Piece | Answered | Vectors | Fingerprint | Failed
LAST_EVENTS = (Answered, Vectors, Fingerprint, Failed)
"""The kinds of which a job gets exactly one, in the end."""
Event = JobEvent | Alive | Loaded
