"""Explains in words why an address did not answer; HTTP libraries have only class names and numbers."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

import httpx

_BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError)


def why_unreachable(error: BaseException) -> str:
    """Why a request got no answer: the system's message, or the fate of the connection."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "the host name is unknown here"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {cause.verify_message.rstrip('.')}"
        if isinstance(cause, ssl.SSLError):
            return "what answers there does not speak TLS"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.TooManyRedirects):
        return "it redirects without end"
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return "it is not a web address"
    return "the connection broke off" if isinstance(error, _BROKEN) else "no connection"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
