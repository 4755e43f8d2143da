"""Where log lines go and how they look."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logs(level: str) -> None:
    """Log to standard error. The server's own access lines are replaced by ours, which carry the
    request's id and never its content.
    """
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr)
    logging.getLogger("uvicorn.access").disabled = True
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
