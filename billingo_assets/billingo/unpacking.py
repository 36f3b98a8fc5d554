"""Reads the body of an answer, packed or not, and never more of it than is allowed.

What httpx unpacks it hands out whole: a thousand bytes for each that came, and a thousand times that where a body is
packed twice. So only gzip is asked for, and it is unpacked here, a piece at a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

ACCEPTED = "gzip"
"""What `Accept-Encoding` says."""

PIECE_BYTES = 2**20
"""How much is unpacked before its size is looked at."""

_GZIP = 16 + zlib.MAX_WBITS


class DamagedError(Exception):
    """A body that cannot be unpacked, and why."""


class OverflowingError(Exception):
    """A body that is larger than allowed."""


def read_body(chunks: Iterable[bytes], *, encoding: str, most: int) -> bytes:
    """Read a body of at most `most` bytes, as sent and unpacked. `encoding` is its Content-Encoding.

    Raises:
        DamagedError: it is packed as nobody asked for, or damaged, or breaks off.
        OverflowingError: it is larger.
    """
    chunks = _at_most(chunks, most)
    match encoding.strip().lower():
        case "" | "identity":
            return _joined(chunks)
        case "gzip" | "x-gzip":
            return _joined(_at_most(_unzipped(chunks), most))
        case _:
            raise DamagedError("it is packed in a way that was not asked for")


def _joined(chunks: Iterable[bytes]) -> bytes:
    body = bytearray()  # not a list: a chunk may be a single byte, and each in a list costs forty
    for chunk in chunks:
        body += chunk
    return bytes(body)


def _at_most(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise OverflowingError
        yield chunk


def _unzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unzip = zlib.decompressobj(_GZIP)
    try:
        for chunk in chunks:
            packed = chunk
            while packed:
                if unzip.eof:
                    raise DamagedError("something follows its end")
                yield unzip.decompress(packed, PIECE_BYTES)
                packed = unzip.unconsumed_tail or unzip.unused_data
        # What a piece had no room for is there still although all that came was taken in.
        while piece := unzip.decompress(unzip.unconsumed_tail, PIECE_BYTES):
            yield piece
    except zlib.error as error:
        raise DamagedError(f"it cannot be unpacked: {error}") from None
    if not unzip.eof:
        raise DamagedError("it breaks off")
