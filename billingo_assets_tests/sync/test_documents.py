"""What makes a document storable, what makes two versions of one the same, and that PostgreSQL agrees."""

from __future__ import annotations

import hashlib
import json
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from billingo_assets.billingo.models import RecordsPage
from billingo_assets.companies.registry import Company
from billingo_assets.normalize.numbering import Numbering
from billingo_assets.streams import DOCUMENTS
from billingo_assets.sync.records import MAX_RECORD_BYTES, Unreadable, read_record, why_unstorable
from billingo_assets.sync.storing import RecordStore
from billingo_assets.warehouse.raw_records import Record
from billingo_assets_tests.support.documents import as_json, document


def readable(payload: str | bytes) -> Record:
    found = read_record(DOCUMENTS, payload if isinstance(payload, bytes) else payload.encode())
    assert isinstance(found, Record)
    return found


def unreadable(payload: str | bytes) -> Unreadable:
    found = read_record(DOCUMENTS, payload if isinstance(payload, bytes) else payload.encode())
    assert isinstance(found, Unreadable)
    return found


def nested(depth: int, *, beside: str = "null") -> str:
    return f'{{"id": 7, "deep": {"[" * depth}{"]" * depth}, "beside": {beside}}}'


def test_a_document_is_kept_byte_for_byte() -> None:
    payload = as_json(document(7)).encode()
    assert readable(payload).text.encode() == payload


@pytest.mark.parametrize(("written", "id_"), [("7", 7), ('"0042"', 42), (str(2**63 - 1), 2**63 - 1)])
def test_an_id_is_a_positive_whole_number_even_as_text(written: str, id_: int) -> None:
    assert readable(f'{{"id": {written}}}').id == id_


@pytest.mark.parametrize(
    "written",
    ["null", "0", "-7", "7.0", "true", '""', '"7a"', '"٧"', "[7]", str(2**63), "9" * 30, '"' + "9" * 25 + '"'],
)
def test_any_other_id_is_not_usable(written: str) -> None:
    found = unreadable(f'{{"id": {written}, "comment": "x"}}')
    assert (found.id, found.reason) == (None, "The document cannot be stored: it has no usable id.")


@pytest.mark.parametrize(("items", "number"), [("[{}, {}]", 2), ("[]", 0), ("null", 0), ('"text"', 0)])
def test_the_items_of_a_document_are_counted(items: str, number: int) -> None:
    assert readable(f'{{"id": 7, "items": {items}}}').item_count == number


@pytest.mark.parametrize("rest", ["", ', "comment": "a\\u0000b"'], ids=["sound", "unreadable"])
def test_the_number_of_a_document_is_read_whether_it_can_be_stored_or_not(rest: str) -> None:
    fields = '"block_id": 4, "invoice_number": "WEB-2026-7", "invoice_date": "2026-03-01", "type": "proforma"'
    found = read_record(DOCUMENTS, f'{{"id": 7, {fields}{rest}}}'.encode())
    assert isinstance(found, Unreadable) is bool(rest)
    assert found.numbering == Numbering(4, "WEB-2026", 2026, 7, True, gapless=False)


def test_a_number_of_what_a_document_refers_to_is_not_its_own() -> None:
    related = '"related_documents": [{"id": 1, "block_id": 4, "invoice_number": "2026-50"}]'
    assert unreadable(f'{{"id": 7, {related}, "comment": "a\\u0000b"}}').numbering == Numbering()


UNREADABLE = [
    pytest.param('{"id": 7, "a": "x\\u0000"}', "it holds a NUL character", id="NUL"),
    pytest.param('{"id": 7, "a": ["\\\\\\u0000"]}', "it holds a NUL character", id="NUL after a backslash"),
    pytest.param('{"id": 7, "\\u0000": 1}', "it holds a NUL character", id="NUL in a key"),
    pytest.param('{"id": 7, "a": "\\u0000", "a": 1}', "it holds a NUL character", id="NUL that is overwritten"),
    pytest.param(b'{"id": 7, "a": "\xff"}', "not well-formed JSON in UTF-8", id="not UTF-8"),
]


@pytest.mark.parametrize(("payload", "reason"), UNREADABLE)
def test_what_postgresql_could_not_hold_is_unreadable_for_a_reason(payload: str | bytes, reason: str) -> None:
    assert reason in unreadable(payload).reason


@pytest.mark.parametrize(("payload", "reason"), UNREADABLE)
def test_an_unreadable_document_is_known_by_its_id(payload: str | bytes, reason: str) -> None:
    assert unreadable(payload).id == 7


ABSURD = [
    pytest.param('{"id": 7, "a": 1e999999}', "out of all proportion", id="large exponent"),
    pytest.param('{"id": 7, "a": 1e-999999}', "out of all proportion", id="small exponent"),
    pytest.param('{"id": 7, "a": 1e99999999999999999999}', "out of all proportion", id="endless exponent"),
    pytest.param('{"id": 7, "a": 1e2001, "a": 1}', "out of all proportion", id="large exponent that is overwritten"),
    pytest.param(f'{{"id": 7, "a": 0.{"1" * 20_000}}}', "out of all proportion", id="long fraction"),
    pytest.param(f'{{"id": 7, "a": {"1" * 200_000}}}', "out of all proportion", id="long integer"),
]


@pytest.mark.parametrize(("payload", "reason"), ABSURD)
def test_a_number_out_of_all_proportion_is_told_once_postgresql_refuses_its_document(payload: str, reason: str) -> None:
    read = read_record(DOCUMENTS, payload.encode())
    found = why_unstorable(DOCUMENTS, read) if isinstance(read, Record) else read
    assert reason in found.reason
    assert (found.id, found.payload) == (7, payload.encode())


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("[7]", "it is not an object"),
        ("null", "it is not an object"),
        ('"7"', "it is not an object"),
        ("", "not well-formed JSON"),
        ('{"id": 7', "not well-formed JSON"),
        ('{"id": 7, "a": "\x00"}', "not well-formed JSON"),
        ('{"id": 7, "a": "\\ud800"}', "not well-formed JSON"),
        ('{"id": 7, "a": NaN}', "not well-formed JSON"),
    ],
)
def test_what_is_no_object_at_all_is_unreadable_for_a_reason(payload: str, reason: str) -> None:
    assert reason in unreadable(payload).reason


def test_a_document_that_is_nested_too_deeply_is_unreadable() -> None:
    assert "nested too deeply" in unreadable(nested(sys.getrecursionlimit() * 100)).reason


@pytest.mark.parametrize("depth", range(100, 1_100, 100))
def test_no_depth_raises_whatever_stands_beside_it(depth: int) -> None:
    read = read_record(DOCUMENTS, nested(depth, beside='"the text \\\\u0000"').encode())
    assert isinstance(read, Record) or "nested too deeply" in read.reason


def test_the_text_of_an_escape_is_no_nul() -> None:
    assert readable('{"id": 7, "a": "\\\\u0000"}').id == 7


def test_a_document_larger_than_the_limit_is_unreadable_and_known_by_its_id() -> None:
    found = unreadable(f'{{"id": 7, "a": "{"x" * MAX_RECORD_BYTES}"}}')
    assert (found.id, found.reason) == (
        7,
        "The document cannot be stored: it is larger than 16 MiB (BILLINGO_MAX_DOCUMENT_MIB).",
    )


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,500})(\.[0-9]{1,500})?([eE][+-]?[0-9]{1,6})?", fullmatch=True)
PIECES = [
    r"\u0000",
    r"\u0001",
    r"\\",
    r"\"",
    r"\/",
    r"\ud83d\ude00",
    r"\ud800",
    r"\udc00",
    "u0000",
    "á",
    "😀",
    "\x7f",
    "a",
]
STRINGS = st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=4).map(lambda parts: f'"{"".join(parts)}"')
KEYS = STRINGS | st.sampled_from(['"id"', '"items"', '"a"'])
VALUES = st.recursive(
    st.sampled_from(["null", "true", "false", "01", "NaN", ""]) | NUMBERS | STRINGS,
    lambda parts: (
        st.lists(parts, max_size=4).map(lambda values: f"[{','.join(values)}]")
        | st.lists(st.tuples(KEYS, parts), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)
WITH_AN_ID = VALUES.map(lambda value: f'{{"id": 7, "a": {value}}}')
PAYLOADS = (VALUES | WITH_AN_ID).map(lambda text: text.encode(errors="replace")) | st.binary(max_size=30)


@given(PAYLOADS)
@example(b'{"id": 7, "a": "\\u0000", "a": 1}')
@example(f'{{"id": 7, "a": 0.{"1" * 16_384}}}'.encode())
@example(nested(900, beside='"\\\\u0000"').encode())
@example(('{"id": 7, "a": ' + "9" * 4_300 + "}").encode())
@example(b'{"id": 7, "a": 9.99e400}')
@example(b'{"id": 7, "a": 1e5000}')
# Each example is undone, so that they may share the database.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_whatever_a_page_shows_is_stored_without_changing_its_meaning_or_quarantined_for_a_reason(
    engine: Engine, companies: dict[str, Company], payload: bytes
) -> None:
    company_id = companies["ozon-bt"].id
    with engine.connect() as connection:
        shown = RecordStore(connection, DOCUMENTS, company_id).store([RecordsPage(1, 1, 1, [payload], 1)])
        stored = connection.execute(text("SELECT document_id, payload::text FROM billingo.raw_invoices")).one_or_none()
        reasons = list(connection.scalars(text("SELECT reason FROM billingo.rejected_documents")))
        connection.rollback()
    assert (stored is None) == bool(shown.broken) == bool(reasons)
    assert all(reason.isprintable() for reason in reasons)
    if stored is not None:
        again = readable(stored.payload)
        assert again.id == stored.document_id
        assert meaning(stored.payload.encode()) == meaning(payload)
        assert shown.items == {again.id: again.item_count}


def meaning(payload: bytes) -> Any:
    """What a JSON text says, whatever its spelling."""
    # Not msgspec: a number of more digits than it reads as one may be stored as well.
    return json.loads(payload, parse_int=Decimal, parse_float=Decimal)


TEXTS = ["paid_date", '"paid_date":"2026-01-01"', "", "\\", "é"]
SIMPLE = st.one_of(st.none(), st.integers(0, 99), st.sampled_from(TEXTS))
VALUES_AROUND = st.one_of(
    SIMPLE, st.lists(SIMPLE, max_size=2), st.dictionaries(st.sampled_from(["paid_date", "a"]), SIMPLE, max_size=2)
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "paid_date2", "items2"]), VALUES_AROUND),
    st.one_of(st.none(), st.just("2026-01-01"), VALUES_AROUND),
    st.dictionaries(st.sampled_from(["c", "d"]), VALUES_AROUND),
)
def test_the_content_of_an_unpaid_document_is_all_but_its_day_of_payment(
    before: dict[str, Any], paid_date: Any, after: dict[str, Any]
) -> None:
    compact: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")}
    whole = {"id": 7, **before, "paid_date": paid_date, **after}
    rest = {name: value for name, value in whole.items() if name != "paid_date"}
    for sent in (whole, dict(reversed(whole.items()))):
        left = {name: value for name, value in sent.items() if name != "paid_date"}
        found = read_record(DOCUMENTS, json.dumps(sent, **compact).encode())
        assert found.content_hash == hashlib.sha256(json.dumps(left, **compact).encode()).digest()
    assert read_record(DOCUMENTS, json.dumps(rest, **compact).encode()).content_hash == (
        read_record(DOCUMENTS, json.dumps(whole, **compact).encode()).content_hash
    )
