"""An upgrade brings the masked views up to the columns' declarations, and leaves what others built on them in peace."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from sqlalchemy import URL

from billingo_assets.errors import DatabaseError
from billingo_assets.settings import Settings
from billingo_assets.streams import STREAMS
from billingo_assets.warehouse.database import upgrade_database
from billingo_assets.warehouse.masking import MASKED_VIEWS
from billingo_assets_tests.warehouse.conftest import Books, ask

LINES = """
CREATE OR REPLACE VIEW billingo_masked.invoice_items AS
SELECT company_id, invoice_id, position, product_id, quantity, net_unit_amount, net_amount, vat_amount, gross_amount,
       vat, entitlement{more} FROM billingo.invoice_items
"""


def upgrade(who: URL) -> None:
    upgrade_database(Settings(database_url=SecretStr(who.render_as_string(hide_password=False))))


def columns(who: URL, view: str) -> list[str]:
    found = ask(
        who,
        "SELECT column_name FROM information_schema.columns"
        f" WHERE table_schema = 'billingo_masked' AND table_name = '{view}' ORDER BY ordinal_position",
    )
    return [name for (name,) in found]


def test_the_views_have_the_columns_that_are_declared(books: Books) -> None:
    upgrade(books.owner)
    for view in MASKED_VIEWS:
        assert set(columns(books.owner, view.name)) == set(view.columns)


def test_every_text_column_that_is_shown_says_that_it_is_not_personal_or_is_masked() -> None:
    shown = {(view.name, name): sql for view in MASKED_VIEWS for name, sql in view.columns.items()}
    for stream in STREAMS:
        for table in stream.tables:
            for column in table.columns:
                assert (column.personal is True) == (shown.get((table.name, column.name)) != column.name)


def test_a_new_column_comes_to_the_end_and_what_others_built_on_the_view_stays(books: Books) -> None:
    upgrade(books.owner)
    before = columns(books.owner, "invoice_items")
    ask(books.owner, "DROP VIEW billingo_masked.invoice_items")
    ask(books.owner, LINES.format(more="").replace("vat, entitlement", "vat"))
    ask(books.owner, "CREATE SCHEMA theirs")
    ask(books.owner, "CREATE VIEW theirs.lines AS SELECT * FROM billingo_masked.invoice_items")
    upgrade(books.owner)
    assert columns(books.owner, "invoice_items") == before
    assert ask(books.owner, "SELECT count(*) FROM theirs.lines") == [(0,)]


def test_a_column_that_is_personal_by_now_goes(books: Books) -> None:
    upgrade(books.owner)
    before = columns(books.owner, "invoice_items")
    ask(books.owner, LINES.format(more=", name"))
    assert columns(books.owner, "invoice_items")[-1] == "name"
    upgrade(books.owner)
    assert columns(books.owner, "invoice_items") == before
    rights = "SELECT has_table_privilege('billingo_masked', 'billingo_masked.invoice_items', 'SELECT')"
    assert ask(books.owner, rights) == [(True,)]


def test_a_column_that_is_masked_by_now_no_longer_shows_all_of_it(books: Books) -> None:
    upgrade(books.owner)
    definition = "SELECT pg_get_viewdef('billingo_masked.invoices'::regclass)"
    [(masked,)] = ask(books.owner, definition)
    plain = ", ".join(columns(books.owner, "invoices"))
    ask(books.owner, f"CREATE OR REPLACE VIEW billingo_masked.invoices AS SELECT {plain} FROM billingo.invoices")
    assert ask(books.owner, definition) != [(masked,)]
    upgrade(books.owner)
    assert ask(books.owner, definition) == [(masked,)]


def test_a_column_that_has_to_go_and_that_somebody_uses_is_named(books: Books) -> None:
    upgrade(books.owner)
    ask(books.owner, LINES.format(more=", name"))
    ask(books.owner, "CREATE SCHEMA theirs")
    ask(books.owner, "CREATE VIEW theirs.names AS SELECT name FROM billingo_masked.invoice_items")
    with pytest.raises(DatabaseError, match=r"must drop a personal column.*theirs\.names"):
        upgrade(books.owner)
    ask(books.owner, "DROP VIEW theirs.names")
    upgrade(books.owner)
    assert "name" not in columns(books.owner, "invoice_items")
