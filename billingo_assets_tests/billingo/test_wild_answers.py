"""Answers that nobody sound would send: each ends in an error that says so, in little memory and in time."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

import pytest

from billingo_assets.billingo.errors import MalformedAnswerError, TooLargeAnswerError
from billingo_assets_tests.billingo.conftest import KEY, Connect, Listener
from billingo_assets_tests.support.patience import PATIENCE_SECONDS
from billingo_assets_tests.support.wild_server import head, sized, wild_server, zipped

MIB = 2**20
PAGE = b'{"data":[{"id":1}],"total":1,"last_page":1}'
GZIP = "Content-Encoding: gzip"
GZIP_HEAD = b"\x1f\x8b\x08" + bytes(7)
CHUNKED = "Transfer-Encoding: chunked"


def bomb() -> bytes:
    """4 GiB in 4 MiB, without an end, which nobody is to reach: packed MiB by MiB, each is the same again."""
    packer = zlib.compressobj(9, wbits=-15)
    mebibyte = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return GZIP_HEAD + mebibyte * 4096


def zipped_once(body: bytes) -> bytes:
    return b"".join(zipped([body]))


def many() -> bytes:
    return page_of(b"0," * (20 * MIB) + b"0")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def first_then(first: bytes, ever_after: bytes) -> Iterator[bytes]:
    yield first
    yield from repeat(ever_after)


def page_of(documents: bytes) -> bytes:
    return b'{"data":[' + documents + b'],"total":1,"last_page":1}'


WILD: dict[str, Callable[[], Iterable[bytes]]] = {
    "an endless body": lambda: first_then(head(), bytes(MIB)),
    "5 GB that were announced": lambda: first_then(head(f"Content-Length: {5 * 2**30}"), bytes(MIB)),
    "endless chunks": lambda: first_then(head(CHUNKED), chunk(bytes(MIB))),
    "endless chunks of one byte": lambda: first_then(head(CHUNKED), chunk(b" ") * 10_000),
    "a gzip bomb": lambda: sized(bomb(), GZIP),
    "a gzip bomb packed twice": lambda: sized(zipped_once(bomb()), "Content-Encoding: gzip, gzip"),
    "a gzip bomb packed twice, told once": lambda: sized(zipped_once(bomb()), GZIP),
    "gzip that unpacks to nothing for ever": lambda: first_then(head(GZIP) + GZIP_HEAD, b"\0\0\0\xff\xff" * 200_000),
    "twenty million documents": lambda: sized(many()),
    "gzip of twenty million documents": lambda: sized(zipped_once(many()), GZIP),
    "twenty million members": lambda: sized(b'{"a":0' + b',"a":0' * (6 * MIB) + b"]"),
    "nothing but brackets": lambda: sized(b"[" * (8 * MIB)),
    "quotes that do not end": lambda: sized(b'{"data":["' + b'\\"' * (8 * MIB)),
}

TOO_LARGE = {name for name in WILD if name not in ("nothing but brackets", "quotes that do not end")} - {
    "a gzip bomb packed twice",
    "a gzip bomb packed twice, told once",
    "twenty million members",
    "endless chunks of one byte",
}

ASKING = """
import json, sys
from pydantic import SecretStr
from billingo_assets.billingo.client import BillingoClient, Limits
from billingo_assets.billingo.errors import BillingoError

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))

limits = Limits(requests_per_minute=0, attempts=1, total_seconds=5)
before = peak()
with BillingoClient(api_url=sys.argv[1], api_key=SecretStr(sys.argv[2]), limits=limits) as client:
    try:
        client.records("/documents", page=1)
        error = None
    except BillingoError as raised:
        error = type(raised).__name__
print(json.dumps([error, peak() - before]))
"""


@pytest.mark.parametrize("name", WILD)
def test_a_wild_answer_ends_in_an_error_and_in_little_memory(name: str) -> None:
    answer = WILD[name]()  # made before it is asked for: to pack it takes longer than the client waits
    with wild_server(lambda: answer) as server:
        command = [sys.executable, "-c", ASKING, server.url, KEY]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    kind, mebibytes = json.loads(asked.stdout)
    assert (kind == "TooLargeAnswerError") == (name in TOO_LARGE)
    assert mebibytes < 300


DAMAGED: dict[str, Callable[[], Iterable[bytes]]] = {
    "a body shorter than announced": lambda: [head(f"Content-Length: {len(PAGE) + 1}"), PAGE],
    "a body longer than announced": lambda: [head(f"Content-Length: {len(PAGE) - 1}"), PAGE],
    "two lengths": lambda: sized(PAGE, "Content-Length: 3"),
    "a length below zero": lambda: [head("Content-Length: -1"), PAGE],
    "a length that is none": lambda: [head("Content-Length: 1e3"), PAGE],
    "chunks that break off": lambda: [head(CHUNKED), chunk(PAGE)],
    "a chunk of a length that is none": lambda: [head(CHUNKED), b"zz\r\n"],
    "headers without end": lambda: first_then(b"HTTP/1.1 200 OK\r\n", b"X-Very: long\r\n" * 1000),
    "no HTTP": lambda: [b"SSH-2.0-OpenSSH\r\n"],
    "no HTTP, with an escape": lambda: [b"HTTP/1.1 200 \x1b[2J\x07\r\n", b"\x1b[31m: \x1b\r\n\r\n"],
    "gzip that is none": lambda: sized(PAGE, GZIP),
    "gzip that breaks off": lambda: sized(zipped_once(PAGE)[:-9], GZIP),
    "gzip with a wrong sum": lambda: sized(zipped_once(PAGE)[:-8] + bytes(8), GZIP),
    "gzip with something behind it": lambda: sized(zipped_once(PAGE) + b"more", GZIP),
    "deflate": lambda: sized(b"".join(zipped([PAGE], wbits=15)), "Content-Encoding: deflate"),
    "brotli": lambda: sized(PAGE, "Content-Encoding: br"),
    "zstandard": lambda: sized(PAGE, "Content-Encoding: zstd"),
    "a packing with an escape": lambda: sized(PAGE, "Content-Encoding: \x1b[2J"),
    "UTF-16": lambda: sized(PAGE.decode().encode("utf-16")),
    "UTF-32": lambda: sized(PAGE.decode().encode("utf-32-le")),
    "NULs around it": lambda: sized(b"\0" + PAGE + b"\0"),
    "an envelope nested 10,000 deep": lambda: sized(b'{"a":' * 10_000 + PAGE + b"}" * 10_000),
    "data nested 10,000 deep": lambda: sized(b'{"data":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
    "data that is an object": lambda: sized(b'{"data":{"0":{"id":1}},"total":1,"last_page":1}'),
    "data that is text": lambda: sized(b'{"data":"[]","total":1,"last_page":1}'),
    "a total below zero": lambda: sized(b'{"data":[],"total":-1,"last_page":1}'),
    "a total beyond 32 bits": lambda: sized(b'{"data":[],"total":2147483648,"last_page":1}'),
    "a total of 1e18": lambda: sized(b'{"data":[],"total":1e18,"last_page":1}'),
    "a total of 1e400": lambda: sized(b'{"data":[],"total":1e400,"last_page":1}'),
    "a total of 5,000 digits": lambda: sized(b'{"data":[],"total":%b,"last_page":1}' % (b"9" * 5000)),
    "a total in words": lambda: sized(b'{"data":[],"total":"many","last_page":1}'),
    "a last page of 5,000 digits": lambda: sized(b'{"data":[],"total":1,"last_page":%b}' % (b"9" * 5000)),
    "a last page of 1e400": lambda: sized(b'{"data":[],"total":1,"last_page":1e400}'),
    "a last page of NaN": lambda: sized(b'{"data":[],"total":1,"last_page":NaN}'),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_answer_is_malformed_and_told_in_one_line_that_any_terminal_can_show(
    name: str, connect: Connect
) -> None:
    with wild_server(DAMAGED[name]) as server:
        with pytest.raises(MalformedAnswerError) as raised:
            connect(server.url, attempts=1).records("/documents", page=1)
        assert server.asked == 1
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


SOUND: dict[str, Callable[[], Iterable[bytes]]] = {
    "gzip": lambda: sized(zipped_once(PAGE), GZIP),
    "gzip by its old name": lambda: sized(zipped_once(PAGE), "Content-Encoding: X-GZip"),
    "gzip in pieces": lambda: [head(CHUNKED, GZIP), *(chunk(bytes([one])) for one in _gzipped), b"0\r\n\r\n"],
    "nothing packed, and said so": lambda: sized(PAGE, "Content-Encoding: identity"),
    "until the server hangs up": lambda: [head(), PAGE],
    "an id that stands there twice": lambda: sized(PAGE.replace(b'{"id":1}', b'{"id":2,"id":1}')),
    "Latin-2 beside the documents": lambda: sized('{"data":[1],"total":1,"last_page":1,"é":1}'.encode("latin2")),
    "a mark of byte order": lambda: sized(b"\xef\xbb\xbf" + PAGE),
    "a total as text": lambda: sized(PAGE.replace(b'"total":1', b'"total":"1"')),
}
_gzipped = zipped_once(PAGE)


@pytest.mark.parametrize("name", SOUND)
def test_an_answer_may_be_packed_with_gzip_or_not_at_all(name: str, connect: Connect) -> None:
    with wild_server(SOUND[name]) as server:
        page = connect(server.url, attempts=1).records("/documents", page=1)
    assert (page.total, page.last_page, len(page.records)) == (1, 1, 1)


def test_as_much_as_is_allowed_is_read_packed_or_not(connect: Connect) -> None:
    body = page_of(b'{"id":1,"a":"' + b"x" * MIB + b'"}')
    for answer in (sized(body), sized(b"".join(zipped([body])), GZIP)):
        with wild_server(lambda answer=answer: answer) as server:  # type: ignore[misc]
            assert connect(server.url, max_response_bytes=len(body)).records("/documents", page=1).total == 1
            with pytest.raises(TooLargeAnswerError, match="BILLINGO_MAX_RESPONSE_MIB"):
                connect(server.url, max_response_bytes=len(body) - 1).records("/documents", page=1)


def test_only_gzip_is_asked_for(listener: Listener, connect: Connect) -> None:
    listener.body = PAGE
    connect(listener.url).records("/documents", page=1)
    assert listener.received[0].headers["Accept-Encoding"] == "gzip"


def test_a_page_of_more_documents_than_allowed_is_not_read(listener: Listener, connect: Connect) -> None:
    listener.body = page_of(b",".join([b"0"] * 101))
    with pytest.raises(TooLargeAnswerError, match=r"more than 100 documents.*BILLINGO_MAX_PAGE_DOCUMENTS"):
        connect(listener.url, max_page_records=100).records("/documents", page=1)
    assert len(connect(listener.url, max_page_records=101).records("/documents", page=1).records) == 101


def test_a_page_of_too_many_documents_of_which_one_is_broken_is_not_read_either(
    listener: Listener, connect: Connect
) -> None:
    listener.body = page_of(b",".join([b'"\\ud800"'] * 101))
    with pytest.raises(TooLargeAnswerError, match="more than 100 documents"):
        connect(listener.url, max_page_records=100).records("/documents", page=1)


@pytest.mark.parametrize("tax_code", [b"\\u0000", b"\\u001b[2J", b"\\ud800", b"1" * 65, b"a\\nb"])
def test_a_tax_code_that_nobody_can_have_is_malformed(listener: Listener, connect: Connect, tax_code: bytes) -> None:
    listener.body = b'{"tax_code": "%b"}' % tax_code
    with pytest.raises(MalformedAnswerError):
        connect(listener.url, attempts=1).identity()
