"""Text that others wrote, as it is shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingo_assets import redaction
from billingo_assets.text import MAX_EXCERPT, excerpt, visible, visible_json, visible_lines


@pytest.mark.parametrize("text", ["Kötött kardigán, kék", "=1+1", "<b>", "日本", "😀", "`a` | *b*"])
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == visible_lines(text) == excerpt(text) == visible_json(text) == text


@given(st.text(alphabet=st.characters()))
def test_nothing_that_a_terminal_obeys_or_hides_is_left(text: str) -> None:
    assert visible(text).isprintable()
    assert len(visible(text)) == len(text)
    assert all(line.isprintable() for line in visible_lines(text).split("\n"))
    assert excerpt(text).isprintable()
    assert len(excerpt(text)) <= MAX_EXCERPT


def test_no_part_of_a_secret_is_told_where_the_text_is_cut() -> None:
    redaction.remember("1a5e5be2-b29c-4191-82ff-bac050ba0000")
    for before in range(2 * MAX_EXCERPT):
        assert "b29c" not in excerpt("x" * before + "1a5e5be2-b29c-4191-82ff-bac050ba0000")


@given(st.text(alphabet=st.characters()))
def test_json_means_the_same_without_what_cannot_be_seen(text: str) -> None:
    shown = visible_json(json.dumps({text: text}, ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == {text: text}
