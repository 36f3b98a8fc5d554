"""Documents that nobody sound would send: each ends stored as it is, or in quarantine for a reason, and alone there."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import pytest

from billingo_assets.billingo.errors import MalformedAnswerError, TooLargeAnswerError
from billingo_assets.sandbox import Fault
from billingo_assets.streams import DOCUMENTS
from billingo_assets.sync.listing import BATCH_BYTES, Listing
from billingo_assets.warehouse.normalized import BATCH_CHARACTERS, pending_records
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import as_json, document, item

ID = 777


class Case(NamedTuple):
    """A document as sent, and where it is to end: the stage that refuses it (None: stored), a word of the reason."""

    body: str | bytes
    stage: str | None
    reason: str = ""
    id: int | None = ID


def with_(**changes: Any) -> str:
    return as_json(document(ID, **changes))


def spelt(name: str, value: str) -> str:
    """The document with one member spelt by hand, after any other of that name."""
    return f'{with_()[:-1]},"{name}":{value}}}'


def within(value: str, *, name: str = "ignored") -> str:
    """The smallest document that holds a value."""
    return f'{{"id": {ID}, "{name}": {value}}}'


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


CASES = {
    # Nesting and size
    "nested 10,000 deep": Case(within(deep(10_000)), "fetch", "nested too deeply"),
    "objects nested 10,000 deep": Case(within('{"a":' * 10_000 + "1" + "}" * 10_000), "fetch", "nested too deeply"),
    "related documents nested deep": Case(within(deep(10_000), name="related_documents"), "fetch", "nested too deeply"),
    "related documents in lists": Case(within("[[[[{}]]]]", name="related_documents"), None),
    "a comment of 10 MB": Case(with_(comment="x" * 10_000_000), None),
    "a name of 10 MB": Case(with_(invoice_number="é" * 5_000_000), None),
    "a key of 10 MB": Case(f'{{"id": {ID}, "{"k" * 10_000_000}": 1}}', None),
    "beyond the limit": Case(with_(comment="x" * (17 * 2**20)), "fetch", "larger than 16 MiB"),
    "10,000 items": Case(with_(items=[item()] * 10_000), None),
    "10,000 related documents": Case(with_(related_documents=[{"id": n} for n in range(1, 10_001)]), None),
    "100,000 keys": Case(within("{" + ",".join(f'"{n}":{n}' for n in range(100_000)) + "}"), None),
    # Characters
    "NUL in a value": Case(spelt("comment", r'"a\u0000b"'), "fetch", "NUL"),
    "NUL in a key": Case(spelt(r"a\u0000b", "1"), "fetch", "NUL"),
    "NUL in an item": Case(spelt("items", r'[{"name": "\u0000"}]'), "fetch", "NUL"),
    "NUL as it is": Case(spelt("comment", '"\x00"'), "fetch", "well-formed"),
    "a lone high surrogate": Case(spelt("comment", r'"\ud800"'), "fetch", "well-formed"),
    "a lone low surrogate": Case(spelt("comment", r'"\udfff"'), "fetch", "well-formed"),
    "a lone surrogate in a key": Case(spelt(r"\ud800", "1"), "fetch", "well-formed"),
    "a surrogate in bytes": Case(spelt("comment", '"?"').encode().replace(b"?", b"\xed\xa0\x80"), "fetch", "UTF-8"),
    "not UTF-8": Case(spelt("comment", '"?"').encode().replace(b"?", b"\xff\xfe"), "fetch", "UTF-8"),
    "an overlong NUL": Case(spelt("comment", '"?"').encode().replace(b"?", b"\xc0\x80"), "fetch", "UTF-8"),
    "escapes, bells, bidi": Case(spelt("comment", r'"\u001b[2J\u0007\u202e\u009b31m"'), None),
    "an emoji by its surrogates": Case(spelt("comment", r'"\ud83d\ude00"'), None),
    "a noncharacter": Case(spelt("comment", r'"\uffff\ufffe"'), None),
    "an escape that is none": Case(spelt("comment", r'"\x41"'), "fetch", "well-formed"),
    "a raw line break": Case(spelt("comment", '"a\nb"'), "fetch", "well-formed"),
    # Numbers
    "1e401 as an amount": Case(spelt("gross_total", "1e401"), "normalize", "gross_total"),
    "1e-1101 as an amount": Case(spelt("gross_total", "1e-1101"), "normalize", "gross_total"),
    "1e400 where nobody looks": Case(within("1e400"), None),
    "1e999999": Case(spelt("gross_total", "1e999999"), "fetch", "out of all proportion"),
    "1e-999999": Case(spelt("gross_total", "1e-999999"), "fetch", "out of all proportion"),
    "an endless exponent": Case(spelt("gross_total", "1e" + "9" * 50), "fetch", "out of all proportion"),
    "NaN": Case(spelt("gross_total", "NaN"), "fetch", "well-formed"),
    "Infinity": Case(spelt("gross_total", "-Infinity"), "fetch", "well-formed"),
    "NaN as text": Case(spelt("gross_total", '"NaN"'), "normalize", "gross_total"),
    "Infinity as text": Case(spelt("gross_total", '"Infinity"'), "normalize", "gross_total"),
    "5,000 digits": Case(spelt("gross_total", "9" * 5_000), "normalize", "not readable JSON"),
    "5,000 digits as text": Case(spelt("gross_total", f'"{"9" * 5_000}"'), "normalize", "gross_total"),
    "a million digits": Case(spelt("gross_total", "9" * 1_000_000), "fetch", "out of all proportion"),
    "a million digits as text": Case(spelt("gross_total", f'"{"9" * 1_000_000}"'), "normalize", "gross_total"),
    "5,000 decimals": Case(spelt("gross_total", "0." + "1" * 5_000), "normalize", "gross_total"),
    "20,000 decimals": Case(spelt("gross_total", "0." + "1" * 20_000), "fetch", "out of all proportion"),
    "a million decimals": Case(spelt("gross_total", "0." + "1" * 1_000_000), "fetch", "out of all proportion"),
    "hexadecimal": Case(spelt("gross_total", "0x10"), "fetch", "well-formed"),
    "a leading zero": Case(spelt("gross_total", "012"), "fetch", "well-formed"),
    "other digits": Case(spelt("gross_total", '"١٢"'), "normalize", "gross_total"),
    "an amount with an underscore": Case(spelt("gross_total", '"1_000"'), "normalize", "gross_total"),
    "a quantity of a list": Case(spelt("items", '[{"quantity": [1]}]'), "normalize", "items[0].quantity"),
    # Ids
    "an id as text": Case(spelt("id", f'"{ID}"'), None),
    "an id beyond 64 bits": Case(spelt("id", str(2**63)), "fetch", "no usable id", None),
    "an id of 5,000 digits": Case(spelt("id", "9" * 5_000), "fetch", "out of all proportion", None),
    "a negative id": Case(spelt("id", "-777"), "fetch", "no usable id", None),
    "an id of zero": Case(spelt("id", "0"), "fetch", "no usable id", None),
    "a boolean id": Case(spelt("id", "true"), "fetch", "no usable id", None),
    "a fractional id": Case(spelt("id", "777.5"), "fetch", "no usable id", None),
    "an id with an exponent": Case(spelt("id", "7.77e2"), "fetch", "no usable id", None),
    "a null id": Case(spelt("id", "null"), "fetch", "no usable id", None),
    "two ids, the last counts": Case(f'{{"id": 776, {with_()[1:]}', None),
    "two ids, the last unusable": Case(spelt("id", '"x"'), "fetch", "no usable id", None),
    "a related id beyond 64 bits": Case(spelt("related_documents", f'[{{"id": {2**64}}}]'), None),
    # Dates
    "the zero date": Case(spelt("invoice_date", '"0000-00-00"'), "normalize", "invoice_date"),
    "the last date": Case(spelt("invoice_date", '"9999-12-31"'), None),
    "the year 10000": Case(spelt("invoice_date", '"10000-01-01"'), "normalize", "invoice_date"),
    "a day that is none": Case(spelt("due_date", '"2026-02-30"'), "normalize", "due_date"),
    "a time with a zone": Case(spelt("due_date", '"2026-02-03T00:00:00+02:00"'), "normalize", "due_date"),
    "seconds since 1970": Case(spelt("due_date", "1767225600"), "normalize", "due_date"),
    # Types
    "a boolean as text": Case(spelt("cancelled", '"true"'), "normalize", "cancelled"),
    "a boolean as a number": Case(spelt("cancelled", "1"), "normalize", "cancelled"),
    "items that are an object": Case(spelt("items", '{"0": {}}'), "normalize", "items"),
    "items that are null": Case(spelt("items", "null"), None),
    "items that are text": Case(spelt("items", '"none"'), "normalize", "items"),
    "an item that is null": Case(spelt("items", "[null]"), "normalize", "items[0]"),
    "a partner that is a list": Case(spelt("document_partner", "[1]"), None),
    "a list": Case("[777]", "fetch", "not an object", None),
    "nothing but a number": Case("777", "fetch", "not an object", None),
    "nothing but text": Case('"777"', "fetch", "not an object", None),
    "1e-1101 in an item": Case(spelt("items", '[{"quantity": 1e-1101}]'), "normalize", "items[0].quantity"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_document_is_stored_or_quarantined_and_costs_no_other(one_page: Books, name: str) -> None:
    case = CASES[name]
    ids = {sent["id"] for sent in one_page.served.documents()}
    body = case.body if isinstance(case.body, bytes) else case.body.encode()
    one_page.served.add_raw(body)
    one_page.sync()
    found = {row.id for row in one_page.rows("SELECT id FROM billingo.invoices WHERE company_id = :company")}
    quarantined = one_page.quarantine()
    if case.stage is None:
        assert quarantined == []
        assert found == {*ids, case.id}
        return
    assert found == ids
    ((id_, stage, reason),) = quarantined
    assert (id_, stage) == (case.id, case.stage)
    assert case.reason in reason
    assert len(reason) < 300
    assert reason.isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tindented",
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "[link](javascript:alert(1)) ![](http://example.com/x.png)",
        "\x1b[2J\x9b31m\u202e",
        "a\r\nb",
        "' OR 1=1; --",
        "\\N",
        "\\.",
        '{"a": 1}',
    ],
)
def test_names_are_stored_as_they_are_whatever_they_mean_to_others(one_page: Books, name: str) -> None:
    sent = document(ID, items=[item(name=name)], document_partner={"name": name}, comment=name)
    one_page.served.add_raw(sent)
    one_page.sync()
    invoice = one_page.invoice(ID)
    assert invoice is not None
    assert (invoice.partner_name, invoice.comment) == (name, name)
    assert one_page.items(ID) == [(1, name)]


def test_the_last_of_two_values_of_a_name_counts_everywhere(one_page: Books) -> None:
    # In what is stored, in what is counted and noted of it, and in the tables.
    first = with_(items=[item(), item()], gross_total=1, invoice_number="A-2026-1")[1:-1]
    last = '"gross_total": 2.50, "items": [{"name": "one"}], "invoice_number": "A-2026-9"'
    one_page.served.add_raw(f"{{{first}, {last}}}".encode())
    one_page.sync()
    raw, invoice = one_page.stored(ID), one_page.invoice(ID)
    assert invoice is not None
    assert (raw.payload["gross_total"], str(invoice.gross_total)) == (2.5, "2.50")
    assert (raw.item_count, one_page.items(ID)) == (1, [(1, "one")])
    assert (raw.number, invoice.invoice_number) == (9, "A-2026-9")


def test_the_size_of_a_document_is_a_setting(one_page: Books) -> None:
    one_page.served.add_raw(document(ID, comment="x" * 2**20))
    one_page.fetch(max_record_bytes=2**20)
    ((id_, stage, reason),) = one_page.quarantine()
    assert (id_, stage) == (ID, "fetch")
    assert "larger than 1 MiB (BILLINGO_MAX_DOCUMENT_MIB)" in reason


@pytest.mark.parametrize("value", [10**18, 2**63, -1, 0])
def test_a_last_page_that_lies_is_not_followed(three_pages: Books, value: int) -> None:
    three_pages.sandbox.faults.add(Fault(kind="last_page", value=value, times=None))
    report = three_pages.sync()
    assert (report.created, report.watermark is not None) == (282, True)
    assert report.api_calls < 40


@pytest.mark.parametrize("value", [10**18, 2**63, 2**31, -1])
def test_a_total_that_no_company_can_have_is_malformed_and_stores_nothing(three_pages: Books, value: int) -> None:
    three_pages.sandbox.faults.add(Fault(kind="total", value=value, times=None))
    with pytest.raises(MalformedAnswerError):
        three_pages.sync()
    assert three_pages.live() == set()


def test_a_listing_that_goes_on_behind_the_last_page_that_may_be_asked_for_is_an_error(three_pages: Books) -> None:
    with pytest.raises(TooLargeAnswerError, match=r"has more than 2 pages: 3\..*BILLINGO_MAX_PAGES"):
        three_pages.sync(max_pages=2)
    assert (len(three_pages.live()), three_pages.state()) == (200, None)
    assert three_pages.sync(max_pages=3).watermark is not None
    assert len(three_pages.live()) == 282


def test_pages_that_are_large_are_not_handed_out_together(three_pages: Books) -> None:
    # Four pages of 10 MB, of which two are more than is handed out at once; each has arrived when it is asked for.
    for number in range(400):
        three_pages.served.add_raw(document(ID + number, comment="x" * 10**5))
    sizes = []
    with three_pages.client() as client:
        for batch in Listing(client, "/documents").batches():
            sizes.append(sum(page.size for page in batch))
            time.sleep(0.5)
    assert sum(sizes) > 40 * 10**6
    assert max(sizes) <= BATCH_BYTES


def test_what_is_normalized_together_is_bounded_by_its_size(three_pages: Books) -> None:
    for number in range(5):
        three_pages.served.add_raw(document(ID + number, comment="x" * (5 * 10**6)))
    three_pages.fetch()
    with three_pages.engine.connect() as connection, connection.begin():
        batches = [
            [len(one.payload) for one in batch]
            for batch in pending_records(connection, DOCUMENTS, three_pages.company.id)
        ]
    assert sum(map(len, batches)) == 287
    assert max(map(sum, batches)) <= BATCH_CHARACTERS
    assert three_pages.refresh().records == 287
