"""The quick way to read a document reads what the thorough one does, or leaves the document to it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billingo_assets.normalize.documents import read_thoroughly, read_usual
from billingo_assets.normalize.quick import UnusualError
from billingo_assets.normalize.reconciling import Totals, agree_exactly, gaps_of
from billingo_assets.normalize.thorough import RejectedError
from billingo_assets.sandbox.answers import encode
from billingo_assets.sandbox.world import World
from billingo_assets.streams.documents import DOCUMENTS
from billingo_assets_tests.support.documents import as_json, document, item, partner

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.sampled_from([10**400, 10**401, -(10**401)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "--", "0", "1.50", "1_000", " 5 ", "NaN", "1e3", "2026-01-31", "20260131", "2026-W05-6", "true", "\0"]
    ),
    st.sampled_from([[], {}, [{}], {"id": 7}]),
)
PATHS = sorted({column.source for table in DOCUMENTS.tables for column in table.columns} | {"items", "items[]"})


def put(value: Any, path: str, into: dict[str, Any]) -> None:
    """Put a value at a path of a document, into the first element of a list."""
    *holders, key = path.replace("[]", ".0").split(".")
    holder: Any = into
    for name in holders:
        holder = holder[int(name)] if isinstance(holder, list) else holder.setdefault(name, {})
        if not isinstance(holder, dict | list) or holder == []:
            return
    if isinstance(holder, list):
        holder[int(key)] = value
    else:
        holder[key] = value


@settings(max_examples=400)
@given(changes=st.lists(st.tuples(st.sampled_from(PATHS), ODD), min_size=1, max_size=3))
def test_both_ways_read_the_same(changes: list[tuple[str, Any]]) -> None:
    sent = document(items=[item(), item()], related_documents=[{"id": 5, "invoice_number": "A-1"}])
    for path, value in changes:
        put(value, path, sent)
    text = as_json(sent)
    try:
        quick = read_usual(text, sent["id"] if isinstance(sent["id"], int) else 1)
    except UnusualError:
        return
    assert quick == read_thoroughly(text, sent["id"])
    assert [list(map(type, quick.invoice))] == [list(map(type, read_thoroughly(text, sent["id"]).invoice))]


def test_every_document_of_the_sandbox_is_read_the_quick_way() -> None:
    documents = [one for company in World().companies for one in company.documents()]
    assert len(documents) > 400
    for one in documents:
        text = encode(one).decode()
        assert read_usual(text, one["id"]) == read_thoroughly(text, one["id"])


@pytest.mark.parametrize(
    "changes",
    [
        {"document_partner": None, "partner": partner()},
        {"document_partner": None, "partner": None},
        {"organization": None, "summary": None, "settings": None, "discount": None},
        {"items": None, "related_documents": None},
        {"items": [], "related_documents": [{"id": 5}, {"id": 5, "invoice_number": "again"}]},
        {"payment_status": "outstanding", "paid_date": "not even a date"},
        {"gross_total": Decimal("1.50"), "invoice_number": " "},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_the_quick_way_takes_what_is_usual(changes: dict[str, Any]) -> None:
    text = as_json(document(**changes))
    assert read_usual(text, 90_210_001) == read_thoroughly(text, 90_210_001)


@pytest.mark.parametrize(
    "changes",
    [
        {"invoice_date": "31.01.2026"},
        {"gross_total": "1_000"},
        {"gross_total": "NaN"},
        {"gross_total": 10**401},
        {"partner_id": 1.0, "document_partner": {"id": 1.0}},
        {"document_partner": {}},
        {"document_partner": []},
        {"invoice_number": 12},
        {"invoice_number": "a\0b"},
        {"cancelled": "yes"},
        {"items": {}},
        {"related_documents": [{}]},
        {"block_id": 2**63},
    ],
    ids=str,
)
def test_the_quick_way_leaves_the_rest_to_the_thorough_one(changes: dict[str, Any]) -> None:
    with pytest.raises(UnusualError):
        read_usual(as_json(document(**changes)), 90_210_001)


def test_the_quick_way_takes_no_document_under_another_id() -> None:
    with pytest.raises(UnusualError):
        read_usual(as_json(document()), 7)
    with pytest.raises(RejectedError):
        read_thoroughly(as_json(document()), 7)


AMOUNTS = st.one_of(st.none(), st.sampled_from([Decimal(0), Decimal(100), Decimal("27.00"), Decimal(127), 127, 100]))


@given(
    gross=AMOUNTS,
    net=AMOUNTS,
    vat=AMOUNTS,
    lines_gross=AMOUNTS,
    lines=st.integers(0, 2),
    discount=st.sampled_from([(None, None), ("percent", Decimal(10)), ("other", Decimal(10)), (None, Decimal(10))]),
    unreadable=st.sampled_from([None, "rounding", "discount_type"]),
)
def test_totals_that_agree_exactly_are_judged_as_the_rule_judges_them(
    gross: Any, net: Any, vat: Any, lines_gross: Any, lines: int, discount: tuple[Any, Any], unreadable: str | None
) -> None:
    totals = Totals(gross, net, vat, "HUF", "cash", None, *discount, lines, lines_gross if lines else None, unreadable)
    if agree_exactly(totals):
        gaps = gaps_of(totals)
        assert (gaps.unreconciled_by, gaps.are_judged) == (None, True)
