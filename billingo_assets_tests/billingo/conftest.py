"""Clients with short patience, and a plain HTTP server that notes what it is asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from billingo_assets.billingo.client import BillingoClient, Limits
from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import Company, World

Connect = Callable[..., BillingoClient]

KEY = "11111111-2222-3333-4444-555555555555"


class Received(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]


class Listener(ThreadingHTTPServer):
    """Answers every request alike, after `before_answer`, and keeps `received`. What it sends is the test's to set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.headers, self.body = 200, {"Content-Type": "application/json"}, b"{}"
        self.received: list[Received] = []
        self.asked = threading.Event()
        self.before_answer: Callable[[], object] = lambda: None
        self.before_header: Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v3"


class _Handler(BaseHTTPRequestHandler):
    server: Listener
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        listener = self.server
        listener.received.append(Received(self.command, self.path, dict(self.headers)))
        listener.asked.set()
        listener.before_answer()
        with contextlib.suppress(ConnectionError):  # who gave up does not hear the rest
            self._answer(listener)

    def _answer(self, listener: Listener) -> None:
        self.send_response(listener.status)
        for name, value in {**listener.headers, "Content-Length": str(len(listener.body))}.items():
            listener.before_header()
            self.send_header(name, value)
            self.flush_headers()
        self.end_headers()
        self.wfile.write(listener.body)

    do_CONNECT = do_POST = do_GET  # noqa: N815 - the names that BaseHTTPRequestHandler looks for

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """A listener, until the block ends."""
    with Listener() as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listener
        listener.shutdown()
        thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def closed_url() -> str:
    """The URL of an API on a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v3"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients of any URL, unpaced and quick to try again unless told otherwise; they are closed afterwards."""
    with ExitStack() as clients:

        def connect(url: str, key: str = KEY, **limits: Any) -> BillingoClient:
            quick = {"requests_per_minute": 0, "first_backoff_seconds": 0.001, "rate_limit_seconds": 0.001}
            bounds = Limits(**{**quick, **limits})
            return clients.enter_context(BillingoClient(api_url=url, api_key=SecretStr(key), limits=bounds))

        yield connect


@pytest.fixture
def company(world: World) -> Company:
    """The sandbox's company whose key the client holds."""
    return world.company("it-cardigan")


@pytest.fixture
def client(sandbox: SandboxServer, company: Company, connect: Connect) -> BillingoClient:
    return connect(sandbox.url, company.api_key)
