"""The scope of an API key that each route needs."""

from service_kit.keys import KeyScope

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_LIBRARY = ("/api/rag/sources", "/api/rag/uploads")
_REPORTS = "/api/rag/reports"
_GUARDED = frozenset({"/health", "/openapi.json"})


def needed_scope(method: str, path: str) -> KeyScope | None:
    """Return the scope; ``None`` for the page and its files, which hold no data.

    ``admin``: writing documents, their sources, reading and deleting reports, and ``/metrics``, which names the keys
    and their use. ``ask``: everything else.
    """
    if (
        path == "/metrics"
        or path.startswith(_LIBRARY)
        or (method not in _READS and path.startswith("/api/rag/documents"))
    ):
        return "admin"
    if path.startswith(_REPORTS) and (method, path) != ("POST", _REPORTS):
        return "admin"
    return "ask" if path.startswith(("/api/", "/docs")) or path in _GUARDED else None
