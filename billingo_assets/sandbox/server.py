"""Runs the sandbox: in a thread for tests and the demo, in the foreground for the command line.

Sockets, threads and signals belong here; what is answered is in `api` and `control`.
"""

import asyncio
import errno
import ipaddress
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from billingo_assets.sandbox.api import Api, RequestRecord
from billingo_assets.sandbox.control import Control
from billingo_assets.sandbox.errors import NotLoopbackError, PortTakenError, SandboxError
from billingo_assets.sandbox.faults import Faults
from billingo_assets.sandbox.world import World

__all__ = ["RequestRecord", "SandboxServer", "application", "serve"]

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_STOP_SECONDS = 1  # for answers under way when the server stops; later ones are cut off
_LOOK_SECONDS = 0.005
_IDLE_CONNECTION_SECONDS = 30


def application(api: Api) -> Starlette:
    """Assemble the web application; `state.transports` maps a client's address to its open connection."""

    async def v3(request: Request) -> Response:
        return await api.handle(request)

    app = Starlette(routes=[Route("/v3/{rest:path}", v3, methods=_METHODS), *Control(api).routes()])
    app.state.transports = {}
    return app


class _Server(uvicorn.Server):
    """Stops at once when asked, from any thread; uvicorn's own looks ten times a second, and then waits."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        if self._loop:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(_LOOK_SECONDS)
        for task in self.server_state.tasks:
            task.cancel()


class SandboxServer:
    """Serves a world on a loopback address while the `with` block runs.

    `port` 0 takes a free one. Raises, on entry, PortTakenError and NotLoopbackError.
    """

    def __init__(self, world: World, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.world = world
        self.faults = Faults()
        self._api = Api(world, self.faults)
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None

    @property
    def base_url(self) -> str:
        """The root of the server, where `/sandbox` lives."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def url(self) -> str:
        """What to set as the API's URL: ends in /v3."""
        return f"{self.base_url}/v3"

    @property
    def requests(self) -> deque[RequestRecord]:
        """The requests answered under /v3, oldest first; clear it at will."""
        return self._api.requests

    def __enter__(self) -> Self:
        self._bind()
        # The socket listens already: a client that connects before the thread is up waits in the backlog.
        self._thread = threading.Thread(target=self._run, name="billingo-sandbox", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server and self._thread:
            self._server.stop()
            self._thread.join()
        if self._socket:
            self._socket.close()

    def _bind(self) -> None:
        self._socket = _listen(self._host, self._port)
        self._port = self._socket.getsockname()[1]
        app = application(self._api)
        config = uvicorn.Config(
            app,
            http=_protocol(app.state.transports),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # the API writes its own, with the clock skew asked for
            timeout_keep_alive=_IDLE_CONNECTION_SECONDS,
        )
        self._server = _Server(config)

    def _run(self) -> None:
        if self._server and self._socket:
            self._server.run(sockets=[self._socket])


def serve(
    world: World,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    ready: Callable[[SandboxServer], object] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, from the main thread; `ready` is called once the port is open.

    Raises PortTakenError and NotLoopbackError.
    """
    stop = threading.Event()
    with SandboxServer(world, host=host, port=port) as server:
        before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            if ready:
                ready(server)
            stop.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _protocol(transports: dict[Any, asyncio.Transport]) -> type[H11Protocol]:
    """Make a protocol that remembers its connections, for the faults that need to close one."""

    class RememberedConnection(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._remembered_as = self.client
            transports[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self._remembered_as, None)
            super().connection_lost(exc)

    return RememberedConnection


def _listen(host: str, port: int) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NotLoopbackError(f"The sandbox listens on loopback addresses only, not on {host!r}; use 127.0.0.1.")
    try:
        return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"Port {port} on {host} is taken by another program; choose another, or 0 for any free one."
            ) from error
        raise SandboxError(f"The sandbox cannot listen on {host}:{port}: {error.strerror}.") from error
