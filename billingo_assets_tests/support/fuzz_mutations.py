"""Sound documents and bodies, made unsound in ways that are drawn from a seed. No tests here."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from billingo_assets.sandbox.world import World
from billingo_assets_tests.support.documents import as_json, document

SEEDS = [as_json(document(7)).encode()] + [
    as_json(sent).encode() for sent in World().company("ozon-bt").documents()[:20]
]

VALUES = (
    *(
        "null",
        "true",
        "false",
        '""',
        '" "',
        "0",
        "-0",
        "-0.0",
        "1",
        "-1",
        "7",
        '"7"',
        "7.0",
        "[]",
        "{}",
        "[null]",
        "[{}]",
    ),
    *("1e400", "1e-400", "1E+5", "0.1", "1.50", '"1.50"', "123456789012345678901234567890.5", "9" * 30, "9" * 4400),
    *("0." + "1" * 31, "0." + "3" * 5000, "1e30", "1.0e31", "NaN", "Infinity", "01", "1.", ".5", "+1", "0x10", "1_0"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e999999999999", "1e-1000000"),
    *('"0000-00-00"', '"9999-12-31"', '"2026-02-30"', '"2026-01-31T00:00:00Z"', '"20260131"', '"2026-W05-6"'),
    *('"true"', '"=1+1"', '"<b>"', '"12,5"', '"1e5"', '"\u0661"', '"\u200b"', '"\u00a0"', '"\ufeff"', '"\U0001f600"'),
    *(r'"\u0000"', r'"\\u0000"', r'"\\\u0000"', r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\u001b[2J"'),
    *("[" * 300 + "]" * 300, "[" * 1200 + "]" * 1200, '{"a":' * 400 + "1" + "}" * 400, '"' + "x" * 3000 + '"'),
)
PIECES = (
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\\",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"e",
        b"-",
        b".",
    ),
    *(b"\\u0000", b"\\ud800", b'"id":', b'"id":8,', b'"items":', b"null", b" ", b"\n", b"\x1b", b"0" * 20, b"\\u"),
)


def mutated_document(seed: int) -> bytes:
    """A sound document of which up to four values, names or bytes are others."""
    draw = random.Random(seed)
    text = draw.choice(SEEDS)
    tree: Any = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    for _ in range(draw.randint(0, 3)):
        name = draw.choice(sorted(tree))
        tree[name] = _altered(bytes(tree[name]), draw)
    members = [b"%b:%b" % (msgspec.json.encode(name), bytes(value)) for name, value in tree.items()]
    if draw.random() < 0.2:  # a name that stands there twice
        members.insert(draw.randint(0, len(members)), b'"%b":%b' % (draw.choice(sorted(tree)).encode(), _value(draw)))
    if draw.random() < 0.1:
        members.append(b'"%b":1' % draw.choice(PIECES))
    found = b"{" + b",".join(members) + b"}"
    return mutated_bytes(found, draw) if draw.random() < 0.15 else found


def mutated_bytes(text: bytes, draw: random.Random) -> bytes:
    """A text of which up to four places are others."""
    found = bytearray(text)
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(found))
        match draw.randint(0, 4):
            case 0:
                found[at:at] = draw.choice(PIECES)
            case 1:
                del found[at : at + draw.randint(1, 40)]
            case 2:
                found[at : at + 1] = bytes([draw.randint(0, 255)])
            case 3:
                found[at:at] = found[at : at + draw.randint(1, 200)]
            case _:
                del found[at + draw.randint(0, len(found)) :]
    return bytes(found)


def mutated_body(seed: int) -> bytes:
    """A page of a few documents, of which up to four places are others."""
    draw = random.Random(seed)
    documents = b",".join(draw.choices(SEEDS, k=draw.randint(0, 3)))
    counts = f'"total":{draw.choice(("3", "0", *VALUES))},"last_page":{draw.choice(("1", "2", *VALUES))}'
    return mutated_bytes(b'{"data":[%b],%b}' % (documents, counts.encode()), draw)


def _value(draw: random.Random) -> bytes:
    return draw.choice(VALUES).encode()


def _altered(value: bytes, draw: random.Random) -> bytes:
    """Another value, or the same with something else within it."""
    try:
        tree = msgspec.json.decode(value, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except msgspec.DecodeError:
        return _value(draw)
    if not tree or draw.random() < 0.3:
        return _value(draw)
    if isinstance(tree, dict):
        name = draw.choice(sorted(tree))
        tree[name] = msgspec.Raw(_altered(bytes(tree[name]), draw))
        inner = (b"%b:%b" % (msgspec.json.encode(key), bytes(one)) for key, one in tree.items())
        return b"{" + b",".join(inner) + b"}"
    at = draw.randrange(len(tree))
    tree[at] = msgspec.Raw(_altered(bytes(tree[at]), draw))
    return b"[" + b",".join(map(bytes, tree)) + b"]"
