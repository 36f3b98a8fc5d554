"""A server that writes to the socket whatever a test wants, sound HTTP or not. No tests here."""

from __future__ import annotations

import socketserver
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[], Iterable[bytes]]
"""What goes out, piece by piece, for as long as somebody listens."""


class WildServer(socketserver.ThreadingTCPServer):
    """Answers every request with what `answer` yields, then hangs up. `asked` counts the requests."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v3"


class _Handler(socketserver.StreamRequestHandler):
    server: WildServer

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.server.asked += 1
        with suppress(OSError):
            for piece in self.server.answer():
                self.wfile.write(piece)


@contextmanager
def wild_server(answer: Answer) -> Iterator[WildServer]:
    with WildServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def head(*headers: str, status: str = "200 OK") -> bytes:
    """The beginning of an answer; without a length its body goes on until the server hangs up."""
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *headers, "", ""]).encode()


def sized(body: bytes, *headers: str) -> list[bytes]:
    """A whole answer."""
    return [head(f"Content-Length: {len(body)}", *headers), body]


def zipped(pieces: Iterable[bytes], *, wbits: int = 31) -> Iterator[bytes]:
    """Pack a body; 31 is gzip, 15 what HTTP calls deflate."""
    packer = zlib.compressobj(9, wbits=wbits)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
