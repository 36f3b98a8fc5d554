"""Tables that somebody else wrote to: the next sync that can know of it makes them right again."""

from __future__ import annotations

import pytest

from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth

A_LINE = "(SELECT min(invoice_id) FROM billingo.invoice_items WHERE company_id = :company)"


@pytest.fixture
def synced(one_page: Books) -> Books:
    one_page.sync()
    return one_page


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM billingo.invoices WHERE company_id = :company",
        f"DELETE FROM billingo.invoices WHERE company_id = :company AND id = {A_LINE}",
        "DELETE FROM billingo.invoices WHERE company_id = :company AND id IN"
        " (SELECT invoice_id FROM billingo.related_documents WHERE company_id = :company)",
        "UPDATE billingo.invoices SET content_hash = 'x' WHERE company_id = :company",
    ],
    ids=["all", "one with lines", "those with links", "out of date"],
)
def test_invoices_that_are_missing_are_made_again_by_any_sync(synced: Books, damage: str) -> None:
    synced.rows(damage)
    assert synced.sync(full=False).mode == "incremental"
    require_truth(synced)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM billingo.invoice_items WHERE company_id = :company",
        f"DELETE FROM billingo.invoice_items WHERE company_id = :company AND invoice_id = {A_LINE} AND position = 1",
        "INSERT INTO billingo.invoice_items (company_id, invoice_id, position)"
        f" VALUES (:company, {A_LINE}, 1000), (:company, 1, 1)",
    ],
    ids=["all are missing", "one is missing", "some are too many"],
)
def test_lines_that_are_not_those_of_the_documents_are_made_again_by_a_full_sync(synced: Books, damage: str) -> None:
    synced.rows(damage)
    synced.sync(full=True)
    require_truth(synced)


def test_a_full_sync_writes_no_sound_row_anew(synced: Books) -> None:
    written = synced.row_versions()
    synced.sync(full=True)
    assert synced.row_versions() == written
