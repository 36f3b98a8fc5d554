"""What an invoice number says, in every form that a block can give it, and when it says nothing certain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billingo_assets.normalize.numbering import (
    MAX_ID,
    InvoiceNumber,
    Numbering,
    YearOfNumbers,
    numbering_of,
    read_number,
    runs_of,
)

FORMS = [
    ("003301", "", 3301),
    ("17/", "", 17),
    ("A/17/", "A", 17),
    ("17.", "", 17),
    ("1", "", 1),
    ("INV003301", "INV", 3301),
    ("INV-3301", "INV", 3301),
    ("INV / 3301", "INV", 3301),
    ("2026-5", "2026", 5),
    ("2026-000123", "2026", 123),
    ("2026/1", "2026", 1),
    ("2026.17", "2026", 17),
    ("2026 - 5", "2026", 5),
    ("2026/2026", "2026", 2026),
    ("2026-4027", "2026", 4027),
    ("INV-2026-244", "INV-2026", 244),
    ("INV / 2026-000244", "INV-2026", 244),
    ("ABC2026/000001", "ABC-2026", 1),
    ("ABC 2026/000001", "ABC-2026", 1),
    ("Számla-2026-9", "SZÁMLA-2026", 9),
    ("A1-2026-9", "A-1-2026", 9),
    ("1/2026", "2026", 1),
    ("000001/2026", "2026", 1),
    ("E-000017/2026", "E-2026", 17),
    ("2025/2026", "2026", 2025),
    ("E-26-0001", "E-26", 1),
    ("26/5", "26", 5),
    ("26-2600", "26", 2600),
    ("26/26", "26", 26),
    ("26/2026", "2026", 26),
    ("2026-03-15", "2026-03", 15),
    ("202603-15", "202603", 15),
    ("20260331-15", "20260331", 15),
    ("BP-01-17", "BP-01", 17),
]


@pytest.mark.parametrize(("printed", "series", "number"), FORMS)
def test_a_number_is_read_in_every_form_that_a_block_can_give_it(printed: str, series: str, number: int) -> None:
    assert read_number(printed, 2026) == InvoiceNumber(series, 2026, number)


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        (["003301", "003302", "003305"], [3303, 3304]),
        (["2026/1", "2026/2", "2026/7"], [3, 4, 5, 6]),
        (["ABC2026/000001", "ABC2026/000009"], [2, 3, 4, 5, 6, 7, 8]),
        (["E-26-0001", "E-26-0004"], [2, 3]),
        (["1/2026", "5/2026"], [2, 3, 4]),
        (["INV / 2026-000009", "INV-2026-11"], [10]),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) else "",
)
def test_numbers_of_one_block_are_one_series(numbers: Sequence[str], missing: list[int]) -> None:
    read = [read_number(one, 2026) for one in numbers]
    found = [one for one in read if one is not None and one.is_certain]
    assert len(found) == len(numbers)
    assert len({one.series for one in found}) == 1
    whole = range(found[0].number, found[-1].number)
    assert sorted(set(whole) - {one.number for one in found}) == missing


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("2026000001", "2026 and 1, or more than two thousand million"),
        ("ABC2026000001", "the same behind a prefix"),
        ("202617", "2026 and 17, or two hundred thousand"),
        ("260001", "26 and 1, or 260,001"),
        ("E26001", "26 and 1, or 26,001"),
        ("5/26", "5 of the year 26, or 26 of a series 5"),
        ("A-5-26", "5 of the year 26, or 26 of a series A-5"),
        ("5/2025", "5 of the year before, or 2,025 of a series 5"),
        ("A-1-1999", "1 of the year 1999, or 1,999 of a series A-1"),
    ],
    ids=lambda value: value.split()[0],
)
def test_a_number_that_can_be_read_in_two_ways_is_not_certain(printed: str, why: str) -> None:
    found = read_number(printed, 2026)
    assert found is not None
    assert not found.is_certain, why


@pytest.mark.parametrize(
    "printed",
    [
        "",
        " ",
        "-",
        "ABC",
        "2026-",
        "2026/",
        "A/2026.",
        "2026-12a",
        "2026-000123/A",
        "2026-٧",
        f"2026-{'9' * 19}",
        "A" * 200 + "1",
        "a\nb-1",
    ],
)
def test_a_number_of_a_form_that_is_not_known_is_not_read(printed: str) -> None:
    assert read_number(printed, 2026) is None


@pytest.mark.parametrize(
    ("printed", "issued_in", "expected"),
    [
        # The year in the number counts; a document may be dated in the next.
        ("2025-17", 2026, InvoiceNumber("2025", 2025, 17)),
        ("2026-17", None, InvoiceNumber("2026", 2026, 17)),
        ("E-25-0017", 2026, InvoiceNumber("E-25", 2026, 17)),
        ("17/2026", None, InvoiceNumber("17", None, 2026, is_certain=False)),
        ("003301", None, InvoiceNumber("", None, 3301)),
        ("2026000001", None, InvoiceNumber("", None, 2026000001, is_certain=False)),
        ("26001", 2025, InvoiceNumber("", 2025, 26001)),
        ("E-26-0017", 2027, InvoiceNumber("E-26", 2027, 17)),
    ],
)
def test_the_date_of_a_document_says_which_digits_are_the_year(
    printed: str, issued_in: int | None, expected: InvoiceNumber
) -> None:
    assert read_number(printed, issued_in) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["", "A", "INV-", "Á / ", "X1-"]),
    st.integers(1000, 10**6),
    st.booleans(),
    st.sampled_from(["-", "/", " / ", ""]),
    st.integers(2000, 2099),
    st.sampled_from(["first", "last"]),
)
def test_no_number_is_taken_for_another_of_its_series(
    prefix: str, number: int, padded: bool, separator: str, year: int, place: str
) -> None:
    digits = f"{number:09}" if padded else str(number)
    printed = prefix + (f"{year}{separator}{digits}" if place == "first" else f"{digits}{separator}{year}")
    found = read_number(printed, year)
    assert found is not None
    assert not found.is_certain or found.number == number or not separator


def fields(**changes: Any) -> dict[str, Any]:
    return {"block_id": 4, "invoice_number": "2026-7", "invoice_date": "2026-03-01", "type": "invoice"} | changes


def test_the_number_of_a_document_is_read_with_its_block_and_its_date() -> None:
    assert numbering_of(fields()) == Numbering(4, "2026", 2026, 7, True, gapless=True)
    assert numbering_of(fields(invoice_number="003301")) == Numbering(4, "", 2026, 3301, True, gapless=True)


@pytest.mark.parametrize("printed", [None, "", "  "])
def test_a_document_without_a_number_is_neither_judged_nor_not(printed: object) -> None:
    assert numbering_of(fields(invoice_number=printed)) == Numbering(4)


@pytest.mark.parametrize(
    "changes",
    [
        {"invoice_number": 2026},
        {"invoice_number": ["2026-7"]},
        {"invoice_number": "2026-7a"},
        {"invoice_number": "5/26"},
        {"invoice_number": "003301", "invoice_date": None},
        {"invoice_number": "003301", "invoice_date": "tomorrow"},
    ],
)
def test_a_number_that_tells_nothing_certain_is_not_judged(changes: dict[str, Any]) -> None:
    assert numbering_of(fields(**changes)).number_judged is False


@pytest.mark.parametrize("block", [None, "4", -4, True, MAX_ID + 1, 4.0, [4]])
def test_a_number_without_a_block_is_not_judged(block: object) -> None:
    found = numbering_of(fields(block_id=block))
    assert (found.block_id, found.number_judged) == (None, False)


@pytest.mark.parametrize(
    ("type_", "gapless"),
    [
        ("invoice", True),
        ("receipt", True),
        ("advance", True),
        ("modification", True),
        ("cancellation", True),
        ("receipt_cancellation", True),
        ("a type of next year", True),
        (None, True),
        ("proforma", False),
        ("offer", False),
        ("order_form", False),
        ("waybill", False),
        ("dossier", False),
        ("cert_of_completion", False),
    ],
)
def test_invoices_and_receipts_have_to_be_numbered_without_gaps_and_others_not(type_: object, gapless: bool) -> None:
    assert numbering_of(fields(type=type_)).gapless is gapless


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(list(fields())), st.one_of(st.none(), st.text(), st.integers(), st.booleans())))
def test_nothing_that_a_document_holds_keeps_its_number_from_being_read(changes: dict[str, Any]) -> None:
    found = numbering_of(fields() | changes)
    assert found.number is None or found.number < 10**18


def years(*of: set[int]) -> list[YearOfNumbers]:
    """What is known of a series whose documents of 2021 and the years after it have these numbers."""
    numbered = dict(enumerate(of, 2021))
    return [
        YearOfNumbers(year, min(own), max(own), frozenset(y for y in numbered if y < year and numbered[y] & own))
        for year, own in numbered.items()
    ]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ([], []),
        ([{3, 4}], [(0, True)]),
        ([{1, 2, 3}, {4, 6}], [(0, True), (0, True)]),
        ([{1, 2, 3}, {1, 2}], [(0, True), (1, True)]),
        ([{1, 2, 3}, {2, 9}, {1, 2}], [(0, True), (1, True), (2, True)]),
        ([{7, 8, 9}, {1, 2}], [(0, True), (1, True)]),
        ([{1, 2}, {3, 4}, {1, 2}, {3, 4}], [(0, True), (0, True), (1, True), (1, True)]),
        ([{1, 2, 4}, {3, 5}], [(0, False), (0, False)]),
        ([{1, 2, 4}, {3, 5}, {6, 7}], [(0, False), (0, False), (0, True)]),
        ([{1, 2, 4}, {3, 5}, {1, 2}], [(0, False), (0, False), (1, True)]),
        ([{7, 8, 9}, {2, 3}], [(0, False), (0, False)]),
        ([{7, 9}, {1, 8}], [(0, False), (0, False)]),
        ([{9}, {8, 10}], [(0, False), (0, False)]),
    ],
    ids=str,
)
def test_a_series_without_a_year_is_divided_where_its_numbers_show_that_it_began_again(
    of: list[set[int]], expected: list[tuple[int, bool]]
) -> None:
    assert [run[1:] for run in runs_of(years(*of))] == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sets(st.integers(1, 30), min_size=1), max_size=5))
def test_years_of_one_run_that_are_judged_have_no_number_twice_and_follow_each_other(of: list[set[int]]) -> None:
    runs = runs_of(years(*of))
    for (one, own), (other, others) in itertools.combinations(zip(runs, of, strict=True), 2):
        if one.run == other.run and other.is_judged:
            assert max(own) < min(others)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 20), min_size=2, max_size=6), st.booleans())
def test_whole_years_are_judged_whether_they_begin_again_or_go_on(sizes: list[int], begin_again: bool) -> None:
    ends = sizes if begin_again else list(itertools.accumulate(sizes))
    of = [set(range(end - size + 1, end + 1)) for size, end in zip(sizes, ends, strict=True)]
    runs = runs_of(years(*of))
    assert all(run.is_judged for run in runs)
    assert [run.run for run in runs] == (list(range(len(of))) if begin_again else [0] * len(of))
