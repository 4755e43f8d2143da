"""Ids of requests on their way to a worker.

An id says which HTTP request it belongs to, so that a worker's log lines can; it is unique all the same
when a caller uses one id twice, or wants several answers.
"""

import uuid


def unique_id(http_request_id: str | None) -> str:
    """Return an id for a request of this HTTP request, or of none."""
    return f"{http_request_id or ''}/{uuid.uuid4().hex}"


def http_request_of(request_id: str) -> str:
    """Return the id of the HTTP request that a request belongs to; the id itself when it names none."""
    return request_id.partition("/")[0] or request_id.removeprefix("/")
