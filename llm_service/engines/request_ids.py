"""Request ids for workers: the id of the HTTP request, for the worker's log lines, and a unique suffix.

The suffix is needed because a client may repeat an id or ask for several answers.
"""

import uuid


def unique_id(http_request_id: str | None) -> str:
    """Return an id for a request of this HTTP request, or of none."""
    return f"{http_request_id or ''}/{uuid.uuid4().hex}"


def http_request_of(request_id: str) -> str:
    """Return the id of the HTTP request that a request belongs to; the id itself when it names none."""
    return request_id.partition("/")[0] or request_id.removeprefix("/")
