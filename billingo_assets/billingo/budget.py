"""The time that all tries of a request have together, and connections that keep to it.

The timeouts of httpx bound each wait for the network alone: an answer that drips passes every one of them. Here each
wait is bounded by what is left of the request's time as well.
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
    """The seconds that all tries of a request have together; waiting for one's turn is not counted."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """What is left of them; below 0 when it is spent."""
        return self._deadline - time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time that the block takes."""
        since = time.monotonic()
        try:
            yield
        finally:
            self._deadline += time.monotonic() - since

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let what this thread waits for on a bounded transport raise httpx.TimeoutException once nothing is left."""
        token = _kept.set(self)
        try:
            yield
        finally:
            _kept.reset(token)


_kept: ContextVar[Budget | None] = ContextVar("budget", default=None)


def bounded_transport(*, verify: ssl.SSLContext, limits: httpx.Limits) -> httpx.HTTPTransport:
    """A transport of httpx whose connections keep to the budget of the thread that uses them. It knows no proxy."""
    transport = httpx.HTTPTransport(verify=verify, limits=limits, trust_env=False)
    # httpx leaves no choice of how its pool connects.
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
