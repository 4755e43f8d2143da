"""One record a request; its access line, metrics and span are all written from it."""

import re
import time
import uuid
from dataclasses import dataclass, field

from starlette.types import Scope

from service_kit.observability.route_names import UNMATCHED

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(slots=True)
class RequestRecord:
    """Facts about a request, complete when it ends. Apps subclass it with their own fields.

    Attributes:
        arrived: when the request arrived, in the time of ``time.monotonic``.
        seconds: from arrival to the last byte.
        route: template of the path, never the path.
        status: HTTP status; 499 when the client left before the end.
        key: name of the API key.
        error: type of the error.

    """

    request_id: str = ""
    method: str = ""
    route: str = UNMATCHED
    status: int = 0
    arrived: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    key: str | None = None
    error: str | None = None

    def facts(self) -> dict[str, str | bool | int | float | None]:
        """Return the app's fields of the access line and the span, never text of a request; ``None`` is left out."""
        return {}


def record_of(scope: Scope) -> RequestRecord:
    """Return the request's record; outside ``RequestContext`` a new one that is written nowhere."""
    record = scope.setdefault("state", {}).setdefault("record", RequestRecord())
    assert isinstance(record, RequestRecord)
    return record


def request_id(sent: str) -> str:
    """Return the id of a request: the client's own if it is harmless, else a new one."""
    return sent if _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex
