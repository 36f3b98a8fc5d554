"""A new column is one line and a migration: the reader, the table, the masked view and the export follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from billingo_assets_tests.support.checkout import Checkout, copied

COLUMNS = """
        Column("partner_city", "text", "City of the partner", "document_partner.address.city", personal=True),
        Column(
            "partner_country", "text", "Country of the partner", "document_partner.address.country_code", personal=False
        ),
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout of its own, with two columns more, and the migration for them."""
    checkout = copied(tmp_path_factory.mktemp("checkout"))
    end = "    ),\n)\n\nINVOICE_ITEMS"
    checkout.edit("billingo_assets/streams/documents.py", end, COLUMNS.lstrip("\n") + end)
    checkout.run("-m", "tools.make_migration", "partner_place")
    checkout.program("demo")
    return checkout


def test_the_migration_adds_the_columns_with_their_comments(checkout: Checkout) -> None:
    [path] = (checkout.folder / "billingo_assets/warehouse/migrations/versions").glob("*_partner_place.py")
    text = path.read_text(encoding="utf-8")
    assert "ALTER TABLE billingo.invoices ADD COLUMN partner_city TEXT;" in text
    assert "COMMENT ON COLUMN billingo.invoices.partner_country IS 'Country of the partner';" in text
    assert "DROP" not in text


def test_there_is_nothing_more_to_migrate(checkout: Checkout) -> None:
    assert "Nothing to migrate" in checkout.run("-m", "tools.make_migration", "nothing", exit_code=1)


def test_a_sync_fills_them_and_the_masked_view_shows_what_is_not_personal(checkout: Checkout) -> None:
    [counted] = checkout.query(
        "SELECT count(DISTINCT partner_city), count(DISTINCT partner_country) FROM billingo.invoices"
    )
    cities, countries = map(int, counted.split("|"))
    assert cities > 3
    assert countries > 1
    masked = checkout.query(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'billingo_masked' AND table_name = 'invoices' ORDER BY ordinal_position"
    )
    assert masked[-1] == "partner_country"
    assert "partner_city" not in masked


def test_an_export_has_them(checkout: Checkout, tmp_path: Path) -> None:
    [key, *_] = checkout.query("SELECT key FROM billingo.companies")
    checkout.program("company", "export", key, "--to", str(tmp_path), "--format", "csv")
    header, *_ = (tmp_path / "invoices.csv").read_text(encoding="utf-8-sig").splitlines()
    assert {"partner_city", "partner_country"} <= set(header.split(","))
