"""Which of the application's routes a path belongs to."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Mount, Route

UNMATCHED = "unmatched"


class RouteNames:
    """Names paths by route templates, so that logs and metrics hold no more names than there are routes,
    whatever clients ask for, also when a request is refused before it reaches its route.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        plain = [route for route in routes if isinstance(route, Route)]
        self._exact = {route.path: route.path for route in plain if not route.param_convertors}
        self._patterns = [(route.path_regex, route.path) for route in plain if route.param_convertors]
        self._patterns += [(route.path_regex, route.path) for route in routes if isinstance(route, Mount)]

    def name(self, path: str) -> str:
        """Return the template of the route, or ``unmatched``."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        return next((name for pattern, name in self._patterns if pattern.match(path)), UNMATCHED)
