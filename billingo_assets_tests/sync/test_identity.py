"""A company stays itself though its tax code changes in what changes in ordinary life; another company is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from billingo_assets.billingo.errors import IdentityMismatchError
from billingo_assets.companies.registry import Company, get_company
from billingo_assets_tests.support.asked import questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth


def registered(books: Books) -> Company:
    with books.engine.begin() as connection:
        return get_company(connection, books.company.key)


def records(books: Books) -> list[tuple[str, dict[str, Any]]]:
    query = "SELECT action, details FROM billingo.audit_log WHERE company_id = :company ORDER BY id"
    return [(action, details) for action, details in books.rows(query) if "tax code" in action]


def tell(books: Books, tax_code: Any) -> None:
    books.served.tax_code = tax_code


def digits(books: Books) -> str:
    return books.served.tax_code[:8]


@pytest.mark.parametrize("rest", ["-2-25", "-1-41", "225", "-4-41", "-5-51"])
@pytest.mark.parametrize("full", [True, False])
def test_a_change_of_the_last_digits_is_stored_recorded_and_told_once(one_page: Books, rest: str, full: bool) -> None:
    one_page.sync()
    before, now = one_page.served.tax_code, digits(one_page) + rest
    tell(one_page, now)
    report = one_page.sync(full=full)
    (note,) = report.notes
    assert before in note
    assert now in note
    assert registered(one_page).tax_code == now
    assert records(one_page) == [("tax code changed", {"from": before, "to": now})]
    assert one_page.sync(full=full, company=registered(one_page)).notes == []
    assert len(records(one_page)) == 1
    require_truth(one_page)


@pytest.mark.parametrize("spelling", ["{0}{1}{2}", "{0}", "HU{0}", "HU{0}-{1}-{2}", " {0}-{1}-{2} "])
def test_another_spelling_of_the_tax_code_is_no_change(one_page: Books, spelling: str) -> None:
    stored = one_page.served.tax_code
    tell(one_page, spelling.format(*stored.split("-")))
    assert one_page.sync().notes == []
    assert registered(one_page).tax_code == stored


def test_a_tax_code_that_is_a_number_is_read(one_page: Books) -> None:
    tell(one_page, int(one_page.served.tax_code.replace("-", "")))
    assert one_page.sync().watermark is not None


def test_another_taxpayer_is_refused_with_the_command_that_confirms_a_change(one_page: Books) -> None:
    tell(one_page, "17345678-5-41")
    with pytest.raises(IdentityMismatchError) as refused:
        one_page.sync()
    assert questions(one_page.sandbox) == ["organization"]
    assert f"company confirm-identity {one_page.company.key} --tax-code 17345678-5-41" in str(refused.value)


def test_a_tax_code_that_was_not_known_is_stored_once_it_is_told(one_page: Books) -> None:
    one_page.rows("UPDATE billingo.companies SET tax_code = NULL WHERE id = :company")
    report = one_page.sync(company=replace(one_page.company, tax_code=None))
    assert len(report.notes) == 1
    assert registered(one_page).tax_code == one_page.served.tax_code
    assert records(one_page) == [("tax code changed", {"from": None, "to": one_page.served.tax_code})]


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_tax_code_that_is_told_late_and_is_another_companys_too_is_told_with_what_to_do(
    books: Books, is_shared: bool
) -> None:
    if is_shared:
        books.rows("UPDATE billingo.companies SET tax_code = :code WHERE key = 'ozon-bt'", code=digits(books) + "-2-25")
    books.rows("UPDATE billingo.companies SET tax_code = NULL WHERE id = :company")
    (note,) = books.sync(company=replace(books.company, tax_code=None)).notes
    assert ("ozon-bt has the tax code" in note, "company remove" in note) == (is_shared, is_shared)


@pytest.mark.parametrize("told", [None, "", " ", "--", "-", "– –"])
def test_where_billingo_tells_no_tax_code_the_issuer_of_the_newest_document_stands_in(
    one_page: Books, told: str | None
) -> None:
    one_page.sync()
    stored = registered(one_page).tax_code
    tell(one_page, told)
    report = one_page.sync(full=False)
    assert (report.mode, report.notes, registered(one_page).tax_code) == ("incremental", [], stored)
    require_truth(one_page)


@pytest.mark.parametrize(
    "issuer", [{"tax_number": "17345678-2-41"}, {"tax_number": None}, {"tax_number": "--"}, {}, None, "x"]
)
def test_where_nothing_says_whose_the_books_are_nothing_is_read(one_page: Books, issuer: Any) -> None:
    tell(one_page, None)
    one_page.served.change(one_page.served.documents()[0]["id"], organization=issuer)
    with pytest.raises(IdentityMismatchError, match="Nothing was read"):
        one_page.sync()
    assert one_page.live() == set()
