import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.connecting import connect
from billingo_assets.billingo.errors import BillingoError
from billingo_assets.settings import Settings
from billingo_assets_tests.billingo.conftest import KEY, Listener
from billingo_assets_tests.support.patience import PATIENCE_SECONDS

ConnectWith = Callable[..., BillingoClient]


@pytest.fixture
def connect_with(listener: Listener) -> Iterator[ConnectWith]:
    """Make clients of the listener as settings want them."""
    with ExitStack() as clients:

        def connect_with(**settings: Any) -> BillingoClient:
            return clients.enter_context(connect(listener.url, SecretStr(KEY), Settings(**settings)))

        yield connect_with


def test_the_settings_bound_the_tries(listener: Listener, connect_with: ConnectWith) -> None:
    listener.status = 503
    client = connect_with(request_attempts=2)
    with pytest.raises(BillingoError):
        client.identity()
    assert client.calls == 2


def test_the_settings_bound_how_long_tries_go_on(listener: Listener, connect_with: ConnectWith) -> None:
    listener.status, listener.headers["Retry-After"] = 503, "3"
    client = connect_with(request_seconds=2)
    with pytest.raises(BillingoError):
        client.identity()
    assert client.calls == 1


def test_the_settings_bound_the_size_of_an_answer(listener: Listener, connect_with: ConnectWith) -> None:
    listener.body = b" " * (2**20 + 1)
    with pytest.raises(BillingoError, match="larger than 1 MiB"):
        connect_with(request_attempts=1, max_response_mib=1).identity()


def test_the_settings_bound_how_long_an_answer_may_be_silent(listener: Listener, connect_with: ConnectWith) -> None:
    given_up = threading.Event()
    listener.before_answer = lambda: given_up.wait(timeout=PATIENCE_SECONDS)
    with pytest.raises(BillingoError, match="did not answer in time"):
        connect_with(request_attempts=1, read_timeout_seconds=0.1).identity()
    given_up.set()


def test_the_settings_bound_how_long_a_connection_may_take() -> None:
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # enough to fill a queue that nobody takes from
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v3"
        settings = Settings(request_attempts=1, connect_timeout_seconds=0.1, read_timeout_seconds=60)
        client = opened.enter_context(connect(url, SecretStr(KEY), settings))
        started = time.monotonic()
        with pytest.raises(BillingoError, match="did not answer in time"):
            client.identity()
        assert time.monotonic() - started < 30


def test_the_settings_say_how_many_requests_are_under_way_at_once(connect_with: ConnectWith) -> None:
    assert connect_with(concurrent_requests=7).concurrent_requests == 7


def test_the_settings_pace_the_requests(connect_with: ConnectWith, listener: Listener) -> None:
    client = connect_with(requests_per_minute=1)
    client.identity()
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(client.identity)
        with pytest.raises(TimeoutError):
            second.result(timeout=0.3)
        client.close()
    assert len(listener.received) == 1
