"""HTTP connections to local models, which are started by the first request that needs them."""

import asyncio
from collections.abc import Mapping

import httpx2

from adapters.local.launcher import Launcher

URL = "http://local.invalid"
"""The address that clients use: port and key belong to the process that runs at the moment."""


class LocalConnections(httpx2.AsyncBaseTransport):
    """Sends each request to the process of its model. A process that is not there is a ``ConnectError``."""

    def __init__(self, launchers: Mapping[str, Launcher]) -> None:
        self._launchers = launchers
        self._http = httpx2.AsyncHTTPTransport(
            # More than may wait, so that the process itself refuses requests.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=4.0)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Wait until the process listens, then send."""
        path = request.url.path
        launcher = self._launchers.get(path, self._launchers["/api/llm/generate"])
        try:
            # Shielded: other callers still need the start when this one is cancelled.
            address = await asyncio.shield(asyncio.wrap_future(launcher.address()))
        except OSError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        request.url = request.url.copy_with(host="127.0.0.1", port=address.port)
        request.headers["Host"] = f"127.0.0.1:{address.port}"
        request.headers["Authorization"] = f"Bearer {address.key}"
        return await self._http.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections; the processes go on."""
        await self._http.aclose()
