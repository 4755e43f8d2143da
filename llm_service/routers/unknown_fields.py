"""Fields of a request that this service does not know."""

from itertools import islice

from pydantic import BaseModel

from config.settings import Settings
from schemas.common import unknown_fields
from services.errors import UnknownField

HEADER = "X-Ignored-Fields"
HEADER_DOC = {HEADER: {"description": "Fields of the request that are unknown here", "schema": {"type": "string"}}}
_MOST_NAMES, _LONGEST_NAME = 32, 80


def ignored_fields(body: BaseModel, config: Settings) -> dict[str, str]:
    """Return the header that names unknown fields; with ``LLM_STRICT_FIELDS`` raise ``UnknownField`` for the first."""
    names = [name.encode("ascii", "backslashreplace").decode() for name in islice(unknown_fields(body), _MOST_NAMES)]
    if names and config.llm_strict_fields:
        raise UnknownField("unknown field (LLM_STRICT_FIELDS)", field=names[0][:_LONGEST_NAME])
    return {HEADER: ", ".join(map(_as_header, names))} if names else {}


def _as_header(name: str) -> str:
    """Return a name as it may stand in a list in a header, which neither begins nor ends with a blank."""
    return "".join(c if c.isprintable() and c not in ", " else "?" for c in name)[:_LONGEST_NAME] or '""'
