"""Why an address gave no answer, in words: each failure is one of a real connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx
import pytest

from billingo_assets.unreachable import why_unreachable


def why(url: str) -> str:
    with pytest.raises((httpx.HTTPError, httpx.InvalidURL)) as caught:
        httpx.get(url, timeout=httpx.Timeout(60, read=1), trust_env=False)
    return why_unreachable(caught.value)


@contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """A port where this is the answer to whatever comes: with None, nothing, and the connection stays open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            if answer is None:
                kept.append(connection)
            else:
                connection.sendall(answer)
                connection.close()

        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()
        for connection in kept:
            connection.close()


def test_a_port_where_nobody_listens_refuses_the_connection() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        assert why(f"http://127.0.0.1:{nobody_listens.getsockname()[1]}/") == "Connection refused"


def test_a_name_that_does_not_exist_is_unknown() -> None:
    assert why("http://no-such-host.invalid/") == "the host name is unknown here"


@pytest.mark.parametrize(
    ("scheme", "answer", "words"),
    [
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers there does not speak TLS"),
        ("http", b"", "the connection broke off"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "the connection broke off"),
        ("http", None, "no answer in time"),
    ],
)
def test_an_answer_that_is_none_is_described(scheme: str, answer: bytes | None, words: str) -> None:
    with answering(answer) as port:
        assert why(f"{scheme}://127.0.0.1:{port}/") == words


def test_what_is_no_web_address_is_called_so() -> None:
    assert why("gopher://127.0.0.1/") == "it is not a web address"
