"""Time limits of the requests that Schemathesis makes; for the hooks of both apps."""

from typing import Any

from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

ENOUGH_MS = 20_000
ELSEWHERE = (ParameterLocation.BODY, ParameterLocation.PATH, ParameterLocation.QUERY)


def give_time(case: Case[Any]) -> None:
    """Raise a short time limit: it is answered with 504, as described, whenever the machine is slow.

    Broken requests have everything broken at once. Their limit goes, or all of them would be refused for it.
    """
    wrong_elsewhere = case.meta is not None and any(case.meta.is_negative_at(place) for place in ELSEWHERE)
    for name, value in dict(case.headers or {}).items():
        if name.lower() != "x-request-timeout-ms":
            continue
        if wrong_elsewhere:
            del case.headers[name]
        elif str(value).isdecimal() and 0 < int(value) < ENOUGH_MS:
            case.headers[name] = str(ENOUGH_MS)
