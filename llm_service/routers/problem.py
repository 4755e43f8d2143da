"""Why a request is not answered, before that has the shape of one API or the other."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Problem:
    """An error on its way to the client.

    ``type`` is the contract's name for it, ``param`` the request's field at fault, ``retryable``
    whether the same request may succeed later, ``details`` numbers that belong to it.
    """

    status: int
    type: str
    message: str
    retryable: bool = False
    param: str | None = None
    details: dict[str, int] = field(default_factory=dict)


class Refusal(Exception):
    """A request that is turned down before it reaches the service."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem
