"""The scope of an API key that each route needs."""

from service_kit.keys import KeyScope

from middleware.page import FOLDER


def needed_scope(_method: str, path: str) -> KeyScope | None:
    """Return ``admin`` for ``/metrics``, which names the keys and their use; ``None`` for the files of the page, which
    hold no data; ``ask`` for everything else.
    """
    if path.startswith(FOLDER):
        return None
    return "admin" if path == "/metrics" else "ask"
