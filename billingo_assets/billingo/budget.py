"""Limits the time of all tries of a request together, and makes connections that keep to it.

The timeouts of httpx bound each single wait for the network, so an answer that drips in never runs into them. Here the
time left for the request bounds each wait as well.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx


class Budget:
    """The seconds that all tries of a request have together; time spent waiting for a turn does not count."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds left; below 0 once they are spent."""
        return self._deadline - time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock while the block runs."""
        since = time.monotonic()
        try:
            yield
        finally:
            self._deadline += time.monotonic() - since

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Make this thread's waits on a bounded transport raise httpx.TimeoutException once nothing is left."""
        token = _kept.set(self)
        try:
            yield
        finally:
            _kept.reset(token)


_kept: ContextVar[Budget | None] = ContextVar("budget", default=None)


def bounded_transport(*, verify: ssl.SSLContext, limits: httpx.Limits) -> httpx.HTTPTransport:
    """Make a transport of httpx with connections that keep to the budget of their thread. It uses no proxy."""
    transport = httpx.HTTPTransport(verify=verify, limits=limits, trust_env=False)
    # httpx does not let callers choose how its pool connects.
    transport._pool = httpcore.ConnectionPool(
        ssl_context=verify,
        max_connections=limits.max_connections,
        max_keepalive_connections=limits.max_keepalive_connections,
        keepalive_expiry=limits.keepalive_expiry,
        network_backend=_BoundedBackend(),
    )
    return transport


def _bounded(timeout: float | None) -> float | None:
    budget = _kept.get()
    if budget is None:
        return timeout
    left = budget.left
    if left <= 0:
        raise httpcore.ReadTimeout("nothing is left of the request's time")
    return left if timeout is None else min(timeout, left)


class _BoundedBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _BoundedStream(super().connect_tcp(host, port, _bounded(timeout), local_address, socket_options))


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _bounded(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _bounded(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, _bounded(timeout)))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
