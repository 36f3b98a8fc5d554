"""JSON taken apart by its brackets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingo_assets.billingo.salvage import elements, members

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.lists(ANY_JSON))
def test_the_elements_of_any_array_are_those_a_decoder_finds(array: list[object]) -> None:
    assert [json.loads(element) for element in elements(json.dumps(array).encode())] == array


@given(st.dictionaries(st.sampled_from(["data", "total", "id", "a b"]), ANY_JSON))
def test_the_members_of_any_object_are_those_a_decoder_finds(thing: dict[str, object]) -> None:
    found = members(json.dumps(thing, indent=1).encode())
    assert {name: json.loads(value) for name, value in found.items()} == thing


def test_a_value_that_no_decoder_reads_is_handed_out_as_it_is_spelt() -> None:
    broken = b'{"id": 7, "x": "\\ud800 ] } \\" , [", "y": ' + b"[" * 9000 + b"]" * 9000 + b"}"
    assert elements(b"[1, " + broken + b", 2]") == [b"1", broken, b"2"]


@pytest.mark.parametrize("text", [b"", b"[1, 2", b'{"data": [1, {"a": 2}', b'["[1, 2]'])
def test_what_breaks_off_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="breaks off"):
        elements(text)
