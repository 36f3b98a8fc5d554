"""Every number that a JSON document can hold is stored exactly, added up exactly, and leaves again."""

from __future__ import annotations

import math
import struct
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from billingo_assets.companies.exporting import export_company
from billingo_assets.companies.formats import FORMATS
from billingo_assets.normalize.values import MOST_DIGITS
from billingo_assets.warehouse.sums import sums_by_currency
from billingo_assets.warehouse.totals import reconciled_totals, totals_as_normalized
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.frames import normalize

NUMERALS = (
    "5.551115123125783e-17",
    "8.9e-16",
    "4e-324",
    "5E-324",
    "2.2250738585072014e-308",
    "1.7976931348623157e308",
    "-1.7976931348623157E+308",
    "0.1",
    "-0",
    "-0.0",
    "1E+2",
    "25e-2",
    "18446744073709551616",
    "0.30000000000000004",
    str(Decimal.from_float(5e-324)),
    str(Decimal.from_float(0.1)),
    f"{Decimal.from_float(1.7976931348623157e308):f}",
)


def with_number(id_: int, numeral: str) -> str:
    """A document with a number in every place where an amount can be."""
    item = ", ".join(
        f'"{name}": {numeral}' for name in ("quantity", "net_unit_amount", "net_amount", "vat_amount", "gross_amount")
    )
    summary = f'{{"net_amount": {numeral}, "vat_amount": 0, "net_amount_local": {numeral}}}'
    return (
        f'{{"id": {id_}, "currency": "XTS", "gross_total": {numeral}, "conversion_rate": {numeral},'
        f' "summary": {summary}, "items": [{{"name": "a", {item}}}]}}'
    )


@pytest.fixture
def wide(one_page: Books) -> Books:
    for id_, numeral in enumerate(NUMERALS, 1):
        one_page.served.add_raw(with_number(id_, numeral).encode())
    one_page.sync()
    return one_page


def test_every_number_is_stored_as_it_was_sent(wide: Books) -> None:
    assert wide.quarantine() == []
    for id_, numeral in enumerate(NUMERALS, 1):
        sent, invoice = Decimal(numeral), wide.invoice(id_)
        assert invoice is not None
        assert (invoice.gross_total, invoice.net_total, invoice.conversion_rate) == (sent, sent, sent)
        (line,) = wide.rows(
            "SELECT quantity, net_unit_amount, net_amount, vat_amount, gross_amount FROM billingo.invoice_items"
            " WHERE company_id = :company AND invoice_id = :id",
            id=id_,
        )
        assert tuple(line) == (sent,) * 5
        raw = wide.value(
            "SELECT payload -> 'gross_total' = to_jsonb(CAST(:numeral AS numeric)) FROM billingo.raw_invoices"
            " WHERE company_id = :company AND document_id = :id",
            id=id_,
            numeral=numeral,
        )
        assert raw
    with localcontext(prec=MOST_DIGITS), wide.engine.connect() as connection:
        assert sums_by_currency(connection, wide.company.id)["XTS"].gross == sum(map(Decimal, NUMERALS))


def test_totals_of_any_size_are_compared_exactly(one_page: Books) -> None:
    largest, smallest = "1.7976931348623157e308", "4e-324"
    one_page.served.add_raw(with_number(1, largest).encode())
    one_page.served.add_raw(with_number(2, largest).replace('gross_amount": 1', 'gross_amount": 2').encode())
    one_page.served.add_raw(with_number(3, "0").replace('gross_amount": 0', f'gross_amount": {smallest}').encode())
    one_page.sync()
    found = one_page.rows(
        "SELECT id, unreconciled_by FROM billingo.invoices WHERE company_id = :company AND id < 4 ORDER BY id"
    )
    assert [(row.id, row.unreconciled_by) for row in found] == [(1, None), (2, Decimal("1e308")), (3, None)]
    with one_page.engine.connect() as connection:
        for judge in (reconciled_totals, totals_as_normalized):
            (only,) = judge(connection, one_page.company.id).at_fault
            assert (only["document"], only["gross - lines"]) == ("2", "1.00000000000e+308 XTS")


@pytest.mark.parametrize("name", FORMATS)
def test_every_number_leaves_in_every_format(wide: Books, tmp_path: Path, name: str) -> None:
    with wide.engine.connect() as connection:
        tables = export_company(connection, wide.company, tmp_path / "out", [name])
    assert tables["invoices"].rows == 61 + len(NUMERALS)
    if name == "parquet":
        table = parquet.read_table(tmp_path / "out" / "invoices.parquet")
        assert table["gross_total"].null_count < len(NUMERALS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_every_double_is_an_amount_in_its_shortest_and_in_its_full_form(bits: int) -> None:
    (number,) = struct.unpack("d", struct.pack("Q", bits))
    if not math.isfinite(number):
        return
    for numeral in (repr(number), str(Decimal.from_float(number)), f"{Decimal.from_float(number):f}"):
        batch = normalize([(1, with_number(1, numeral))])
        assert batch.rejections == []
        assert list(batch.invoices["gross_total"]) == [Decimal(numeral)]
