"""What the API answers, as bytes on the wire: the documented error shapes, and answers broken on purpose."""

import asyncio
import contextlib
import math
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from billingo_assets.sandbox.faults import RetryAfter
from billingo_assets.sandbox.record import encode

_MESSAGES = {
    202: "The PDF is being made.",
    400: "The request is malformed.",
    401: "Unauthenticated.",
    402: "You have no active subscription.",
    403: "This action is unauthorized.",
    404: "Not found.",
    405: "Method not allowed.",
    429: "Too many requests",
    500: "Internal server error.",
    503: "Service unavailable.",
}
TRACE_ID = "5e1f7a30b2c94d6e8f00c0ffee123456"
_SLICES = 20  # of a slow body


def json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON; bytes are taken as already encoded."""
    body = content if isinstance(content, bytes) else encode(content)
    return Response(body, status, headers, media_type="application/json")


def error(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Answer an error in the shape Billingo documents for its status."""
    if status == 422:
        return invalid([("page", "The page must be an integer.")])
    content: dict[str, Any] = {"message": _MESSAGES.get(status, f"Error {status}.")}
    if status == 500:
        content["trace_id"] = TRACE_ID
    return json({"error": content}, status, headers)


def pdf(number: str) -> Response:
    """Answer with a PDF of one empty page, of which the title is the document's number."""
    title = number.encode("utf-16").hex().upper()
    parts = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
        f"<< /Title <{title}> >>",
    )
    body, starts = "%PDF-1.4\n", []
    for index, part in enumerate(parts, 1):
        starts.append(len(body))
        body += f"{index} 0 obj\n{part}\nendobj\n"
    table = "".join(f"{start:010d} 00000 n \n" for start in starts)
    size, at = len(parts) + 1, len(body)
    body += f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    body += f"trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{at}\n%%EOF\n"
    return Response(body.encode(), media_type="application/pdf")


def invalid(problems: Iterable[tuple[str, str]]) -> Response:
    """Answer 422; `problems` are (field, message) pairs."""
    errors = [{"field": field, "message": message} for field, message in problems]
    return json({"message": "Validation Failed", "errors": errors}, 422)


def gateway(status: int) -> Response:
    """Answer as a proxy in front of the API does: HTML."""
    title = f"{status} Bad Gateway" if status == 502 else str(status)
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>nginx</body></html>"
    return Response(body, status, media_type="text/html")


def too_many_requests(mode: RetryAfter, wait_seconds: float, server_now: float) -> Response:
    """Answer 429 with the Retry-After that `mode` asks for; `server_now` is seconds since the epoch."""
    # A client that waits until the HTTP date, or for the seconds, must find the window open.
    seconds = math.ceil(wait_seconds)
    values = {
        "none": None,
        "seconds": str(seconds),
        "http-date": formatdate(math.ceil(server_now + wait_seconds), usegmt=True),
        "zero": "0",
        "nonsense": "soon, but not too soon",
    }
    value = str(mode) if isinstance(mode, int) else values[mode]
    return error(429, {"Retry-After": value} if value is not None else None)


class Silent(Response):
    """No answer: the connection is closed instead, after some seconds of silence."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be silent until the client leaves or the time is over, close the connection and wait until it is gone."""
        transport: asyncio.Transport = Request(scope).app.state.transports[scope["client"]]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await _gone(receive)
        transport.close()
        # Returning earlier would make the server try to send a 500 of its own.
        await _gone(receive)


class Truncated(Response):
    """Half of the body that Content-Length announces; the server then closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the first half and close the connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        # The half must have left before the connection goes, or the client sees no answer at all.
        Request(scope).app.state.transports[scope["client"]].close()
        await _gone(receive)


class Slow(Response):
    """The whole body, evenly over some seconds."""

    def __init__(self, whole: Response, seconds: float) -> None:
        super().__init__(whole.body, whole.status_code, media_type=whole.headers["content-type"])
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body in slices."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        step = math.ceil(len(self.body) / _SLICES)
        # A body shorter than the slices are many has fewer of them, and takes its time all the same.
        starts = range(0, len(self.body), step)
        for start in starts:
            await asyncio.sleep(self.seconds / len(starts))
            part = bytes(self.body[start : start + step])
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Wait until the connection is closed, by whichever side."""
    while (await receive())["type"] != "http.disconnect":
        pass
