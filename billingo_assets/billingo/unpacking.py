"""Reads the body of an answer, compressed or not, up to a size limit.

httpx decompresses a chunk as a whole: a thousand bytes for each that came, and a thousand times that where a body is
compressed twice. So the client asks for gzip alone, and this module decompresses it a piece at a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

ACCEPTED = "gzip"
"""The value of `Accept-Encoding`."""

PIECE_BYTES = 2**20
"""How much is decompressed between two checks of the size."""

_GZIP = 16 + zlib.MAX_WBITS


class DamagedError(Exception):
    """A body that cannot be decompressed, and why."""


class OverflowingError(Exception):
    """A body above the size limit."""


def read_body(chunks: Iterable[bytes], *, encoding: str, most: int) -> bytes:
    """Read a body of at most `most` bytes, both as sent and decompressed. `encoding` is its Content-Encoding.

    Raises:
        DamagedError: its encoding was not requested, or it is damaged or incomplete.
        OverflowingError: it is larger.
    """
    chunks = _at_most(chunks, most)
    match encoding.strip().lower():
        case "" | "identity":
            return _joined(chunks)
        case "gzip" | "x-gzip":
            return _joined(_at_most(_unzipped(chunks), most))
        case _:
            raise DamagedError("it is compressed in a way that was not requested")


def _joined(chunks: Iterable[bytes]) -> bytes:
    body = bytearray()  # not a list: a chunk may be a single byte, which costs forty in a list
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
        # All input was consumed, but a piece may have had no room for all the output.
        while piece := unzip.decompress(unzip.unconsumed_tail, PIECE_BYTES):
            yield piece
    except zlib.error as error:
        raise DamagedError(f"it cannot be decompressed: {error}") from None
    if not unzip.eof:
        raise DamagedError("it breaks off")
