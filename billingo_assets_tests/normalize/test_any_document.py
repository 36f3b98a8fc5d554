"""Whatever Billingo, a gateway or a fault may send: a row or a rejection, never an exception."""

from decimal import Decimal
from typing import Any

import msgspec
import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from billingo_assets.streams.documents import DOCUMENTS, INVOICE_ITEMS, INVOICES, RELATED_DOCUMENTS
from billingo_assets.streams.stream import Column
from billingo_assets_tests.support.documents import as_json, document
from billingo_assets_tests.support.frames import Frames, normalize

TYPES = {"text": "str", "integer": "int", "amount": "Decimal", "date": "date", "boolean": "bool"}

NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,25})?",
    fullmatch=True,
    alphabet="0123456789.eE+-",
)
STRINGS = st.one_of(
    st.text(max_size=10),
    st.sampled_from(["", " ", "\0", "nan", "2026-01-31", "2026-02-30", "0000-00-00", "1e5", "12,5", "7" * 20]),
    NUMBERS,
)
ESCAPES = st.lists(st.sampled_from([r"\ud800", r"\udc00", r"\u0000", r"\ud83d\ude00", "a"]), max_size=3)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS.map(lambda text: msgspec.Raw(text.encode())),
    ESCAPES.map(lambda parts: msgspec.Raw(f'"{"".join(parts)}"'.encode())),
    STRINGS,
)
FIELDS = sorted({key for table in DOCUMENTS.tables for one in table.columns for key in one.source.split(".")})
VALUES = st.recursive(
    SCALARS,
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=3)), children, max_size=4),
    ),
    max_leaves=12,
)


@st.composite
def altered_documents(draw: st.DrawFn) -> str:
    """Draw the typical document with any JSON value in place of up to three of its values, at any depth."""
    altered: Any = document(2)
    for _ in range(draw(st.integers(1, 3))):
        holder = altered
        while True:
            key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
            if not isinstance(holder[key], dict | list) or not holder[key] or draw(st.booleans()):
                break
            holder = holder[key]
        holder[key] = draw(VALUES)
    return as_json(altered)


def check_rows(frame: pd.DataFrame, columns: tuple[Column, ...]) -> None:
    """Check that a database driver can store every value: its type, its bounds, its encoding."""
    for column in columns:
        for value in frame[column.name]:
            if value is None:
                assert column.nullable
                continue
            assert type(value).__name__ == TYPES[column.kind]
            if column.kind == "text":
                assert value.strip()
                assert "\0" not in value
                value.encode()
            if column.kind == "integer":
                assert -(2**63) <= value < 2**63
            if column.kind == "amount":
                assert value.is_finite()
                assert value.copy_abs() <= 10**400
                assert value.as_tuple().exponent >= -1_100


def check_batch(batch: Frames) -> None:
    check_rows(batch.invoices, INVOICES.columns)
    check_rows(batch.items, INVOICE_ITEMS.columns)
    check_rows(batch.related, RELATED_DOCUMENTS.columns)
    assert not batch.items.duplicated(["invoice_id", "position"]).any()
    assert not batch.related.duplicated(["invoice_id", "related_invoice_id"]).any()
    for _, reason in batch.rejections:
        assert 0 < len(reason) < 300
        assert reason.isprintable()
        reason.encode()


BEFORE, AFTER = as_json(document(1)), as_json(document(3))
UNAFFECTED = normalize([(1, BEFORE), (3, AFTER)])


def check_between_two_good_documents(text: str | bytes) -> None:
    """Check that a document gives a row or a rejection, and that its neighbours are as without it."""
    batch = normalize([(1, BEFORE), (2, text), (3, AFTER)])
    check_batch(batch)
    rejected = [document_id for document_id, _ in batch.rejections]
    assert sorted([*batch.invoices["id"], *rejected]) == [1, 2, 3]
    for frame, key, unaffected in [
        (batch.invoices, "id", UNAFFECTED.invoices),
        (batch.items, "invoice_id", UNAFFECTED.items),
        (batch.related, "invoice_id", UNAFFECTED.related),
    ]:
        others = frame[[value != 2 for value in frame[key]]].reset_index(drop=True)
        assert others.equals(unaffected)
        assert rejected == [] or len(others) == len(frame)


@given(altered_documents())
def test_any_value_in_any_field_gives_a_row_or_a_rejection(text: str) -> None:
    check_between_two_good_documents(text)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8))
def test_any_object_gives_a_row_or_a_rejection(value: dict[str, Any]) -> None:
    check_between_two_good_documents(as_json({"id": 2} | value))


@given(st.one_of(VALUES.map(as_json), st.text(), st.binary(), st.text(alphabet=["\ud800", '"', "{", "}"])))
def test_any_text_gives_a_row_or_a_rejection(text: str | bytes) -> None:
    check_between_two_good_documents(text)


@given(st.integers(1, 3_000), st.sampled_from([("[", "]"), ('{"summary":', "}"), ('{"items":[', "]}")]))
def test_any_depth_gives_a_row_or_a_rejection(depth: int, brackets: tuple[str, str]) -> None:
    opening, closing = brackets
    nested = opening * depth + "null" + closing * depth
    check_between_two_good_documents('{"id": 2, "ignored": ' + nested + "}")
    check_between_two_good_documents('{"id": 2, "summary": ' + nested + "}")


@given(NUMBERS, st.booleans())
@example("1", False)
@example("1.0", False)
@example("0.1", True)
@example("123456789012345678901234567890.123456789012345678901234567890", False)
@example("18446744073709551617", False)
def test_an_amount_within_the_bounds_keeps_its_value_and_digits_and_any_other_is_rejected(
    number: str, quoted: bool
) -> None:
    text = f'"{number}"' if quoted else number
    batch = normalize([(1, f'{{"id": 1, "gross_total": {text}, "items": [{{"quantity": {text}}}]}}')])
    try:
        sent = Decimal(number)
    except ArithmeticError:
        assert len(batch.rejections) == 1
        return
    exponent = sent.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -1_100 or sent.copy_abs() > 10**400:
        assert len(batch.rejections) == 1
        return
    for (stored,) in (batch.invoices[["gross_total"]].to_numpy(), batch.items[["quantity"]].to_numpy()):
        assert stored[0] == sent
        assert stored[0].as_tuple()[1:] == sent.as_tuple()[1:]  # the digits; JSON's integer -0 is read as 0
