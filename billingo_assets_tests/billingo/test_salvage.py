"""JSON taken apart by its brackets."""

from __future__ import annotations

import contextlib
import json
import time

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
    found = members(json.dumps(thing, indent=1).encode(), thing)
    assert {name: json.loads(value) for name, value in found.items()} == thing


def test_a_value_that_no_decoder_reads_is_handed_out_as_it_is_spelt() -> None:
    broken = b'{"id": 7, "x": "\\ud800 ] } \\" , [", "y": ' + b"[" * 9000 + b"]" * 9000 + b"}"
    assert list(elements(b"[1, " + broken + b", 2]")) == [b"1", broken, b"2"]


@pytest.mark.parametrize("text", [b"", b"[1, 2", b'{"data": [1, {"a": 2}', b'["[1, 2]'])
def test_what_breaks_off_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="breaks off"):
        list(elements(text))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"data":["' + b'\\"' * 2_000_000, id="quotes in text that does not end"),
        pytest.param(b'{"data":1' + b" " * 4_000_000 + b"1}", id="white space within a value"),
        pytest.param(b'{"data"' + b" " * 4_000_000 + b"1}", id="white space behind a name"),
        pytest.param(b"[" * 2_000_000, id="brackets that never close"),
        pytest.param(b'{"data":' + b'"\\' * 2_000_000, id="backslashes"),
    ],
)
def test_the_time_it_takes_grows_with_the_text_and_no_faster(text: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(ValueError):
        members(text, {"data"})
    assert time.process_time() - began < 60


def test_of_a_name_that_stands_there_twice_the_last_value_counts_as_with_any_decoder() -> None:
    assert members(b'{"id": 1, "a": 2, "id": 3}', {"id"}) == {"id": b"3"}
