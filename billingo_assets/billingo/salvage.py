"""Takes JSON apart by its brackets alone, where something in it keeps a decoder from reading the whole.

A lone surrogate or absurd nesting in one document must not cost the other 99 of its page. Values are handed out as
they are spelt; what they mean is for others to find out. Time and memory grow with the text and no faster, whatever
it holds: most of what comes here was not written to be read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

MAX_MEMBERS = 1_000_000
"""Members that an object is searched for those that bear a name."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
# Each goes to the next bracket at once. A quote by itself opens a string that does not end.
_AHEAD = re.compile(rb'(?:[^"\[\]{},]++|' + _STRING + rb')*+(["\[\]{},])', re.DOTALL)
_DEEP = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb')*+(["\[\]{}])', re.DOTALL)
_MEMBER = re.compile(rb"(" + _STRING + rb")\s*+:\s*+(.*)", re.DOTALL)


def elements(text: bytes) -> Iterator[bytes]:
    """Yield the elements of an array, or the members of an object. Raises ValueError when it does not end."""
    depth = start = at = 0
    while token := (_DEEP if depth > 1 else _AHEAD).match(text, at):
        at = token.end()
        found = token[1]
        if found in b"{[":
            depth += 1
            start = at if depth == 1 else start
        elif found == b'"':
            break
        elif found == b"," and depth == 1:
            if element := text[start : at - 1].strip():
                yield element
            start = at
        elif found in b"}]":
            depth -= 1
            if depth == 0:
                if element := text[start : at - 1].strip():
                    yield element
                return
    raise ValueError("it breaks off")


def members(text: bytes, names: Collection[str]) -> dict[str, bytes]:
    """The members of an object that bear these names, the last of each.

    Raises ValueError when it does not end, or has more members than MAX_MEMBERS.
    """
    named = {}
    for number, element in enumerate(elements(text)):
        if number == MAX_MEMBERS:
            raise ValueError("it has too many members")
        match = _MEMBER.fullmatch(element)
        name = match[1][1:-1].decode(errors="replace") if match else ""
        if match and name in names:
            named[name] = match[2]
    return named
