"""Splits JSON at its brackets when a decoder cannot read the whole.

A lone surrogate or absurd nesting in one document must not cost the other 99 of its page. Values are returned as
spelt; callers decode them. Time and memory grow linearly with the text, even where it is hostile.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

MAX_MEMBERS = 1_000_000
"""How many members of an object are searched for a name."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
# Each skips to the next bracket. A lone quote opens a string that does not end.
_AHEAD = re.compile(rb'(?:[^"\[\]{},]++|' + _STRING + rb')*+(["\[\]{},])', re.DOTALL)
_DEEP = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb')*+(["\[\]{}])', re.DOTALL)
_MEMBER = re.compile(rb"(" + _STRING + rb")\s*+:\s*+(.*)", re.DOTALL)


def elements(text: bytes) -> Iterator[bytes]:
    """Yield the elements of an array, or the members of an object. Raises ValueError if it does not end."""
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
    """Return the members of an object with these names; of a repeated name, the last.

    Raises ValueError if it does not end, or has more members than MAX_MEMBERS.
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
