"""Which of the app's routes a path belongs to."""

from collections.abc import Collection, Sequence

from starlette.routing import BaseRoute, Mount, Route

UNMATCHED = "unmatched"
PAGE = "page"


class RouteNames:
    """Names paths by the templates of routes, so that logs and metrics hold no more names than there are routes,
    whatever clients ask for; also those of requests that are refused before they reach their route.

    ``page_files`` are the paths of the chat page, which go by one name.
    """

    def __init__(self, routes: Sequence[BaseRoute], page_files: Collection[str] = ()) -> None:
        plain = [route for route in routes if isinstance(route, Route)]
        self._exact = dict.fromkeys(page_files, PAGE)
        self._exact |= {route.path: route.path for route in plain if not route.param_convertors}
        self._patterns = [(route.path_regex, route.path) for route in plain if route.param_convertors]
        self._patterns += [(route.path_regex, route.path) for route in routes if isinstance(route, Mount)]

    def name(self, path: str) -> str:
        """Return the template of the route, ``page`` or ``unmatched``."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        return next((name for pattern, name in self._patterns if pattern.match(path)), UNMATCHED)
