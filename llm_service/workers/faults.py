"""Why a worker had to be replaced."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """The last failure of a worker, which stays known after its replacement is ready.

    Attributes:
        message: text for clients.
        at: when, in seconds of Unix time.

    """

    message: str
    at: float = field(default_factory=time.time)
