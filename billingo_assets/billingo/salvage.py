"""Takes JSON apart by its brackets alone, where something in it keeps a decoder from reading the whole.

A lone surrogate or absurd nesting in one document must not cost the other 99 of its page. Values are handed out as
they are spelt; what they mean is for others to find out.
"""

from __future__ import annotations

import re

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TOKEN = re.compile(_STRING + rb"|[\[\]{},]", re.DOTALL)
_MEMBER = re.compile(rb"\s*(" + _STRING + rb")\s*:\s*(.*?)\s*", re.DOTALL)


def elements(text: bytes) -> list[bytes]:
    """The elements of an array, or the members of an object. Raises ValueError when it does not end."""
    found = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        if token[0] in b"{[":
            depth += 1
            start = token.end() if depth == 1 else start
        elif token[0] in b"}]":
            depth -= 1
            if depth == 0:
                found.append(text[start : token.start()].strip())
                return [element for element in found if element]
        elif token[0] == b"," and depth == 1:
            found.append(text[start : token.start()].strip())
            start = token.end()
    raise ValueError("it breaks off")


def members(text: bytes) -> dict[str, bytes]:
    """The members of an object by name. Raises ValueError when it does not end."""
    found = (_MEMBER.fullmatch(element) for element in elements(text))
    return {match[1][1:-1].decode(errors="replace"): match[2] for match in found if match}
