"""Route templates of request paths."""

from collections.abc import Mapping, Sequence

from starlette.routing import BaseRoute, Mount, Route

UNMATCHED = "unmatched"


class RouteNames:
    """Maps paths to route templates, so that logs and metrics have no more names than the app has routes.

    Works before routing, so refused requests are named too.

    Args:
        routes: routes and mounts of the app.
        fixed: names of further paths, such as static files.

    """

    def __init__(self, routes: Sequence[BaseRoute], fixed: Mapping[str, str] | None = None) -> None:
        plain = [route for route in routes if isinstance(route, Route)]
        self._exact = dict(fixed or {})
        self._exact |= {route.path: route.path for route in plain if not route.param_convertors}
        self._patterns = [(route.path_regex, route.path) for route in plain if route.param_convertors]
        self._patterns += [(route.path_regex, route.path) for route in routes if isinstance(route, Mount)]

    def name(self, path: str) -> str:
        """Return the template that ``path`` matches, or ``unmatched``."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        return next((name for pattern, name in self._patterns if pattern.match(path)), UNMATCHED)
