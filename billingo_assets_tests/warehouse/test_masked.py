"""`billingo_masked`: what may be read by those who have no need of personal data."""

from __future__ import annotations

import re

import psycopg
import pytest
from sqlalchemy import URL, NullPool, Text, create_engine, text, update

from billingo_assets.warehouse.tables import metadata
from billingo_assets_tests.warehouse.conftest import SyncedBooks, ask, refusal

VIEWS = ("companies", "invoices", "invoice_items", "related_documents")


@pytest.fixture(scope="module")
def masked(synced: SyncedBooks) -> URL:
    """A login to which one company is granted, masked."""
    made = synced.books.login("masked")
    synced.books.done(synced.books.owner, "company", "grant", "ozon-bt", "--to", str(made.username), "--masked")
    return made


def dump(who: URL) -> str:
    return "\n".join(str(row) for view in VIEWS for row in ask(who, f"SELECT * FROM billingo_masked.{view}"))


def test_the_views_show_the_granted_company_alone(synced: SyncedBooks, masked: URL) -> None:
    [(company_id,)] = ask(synced.books.owner, "SELECT id FROM billingo.companies WHERE key = 'ozon-bt'")
    assert ask(masked, "SELECT id FROM billingo_masked.companies") == [(company_id,)]
    for view in VIEWS[1:]:
        query = f"SELECT count(*) FROM billingo.{view} WHERE company_id = {company_id}"
        [(own,)] = ask(synced.books.owner, query)
        assert ask(masked, f"SELECT company_id, count(*) FROM billingo_masked.{view} GROUP BY 1") == [
            (company_id, own)
        ] * (own > 0)


def test_nothing_but_the_views_can_be_read(synced: SyncedBooks, masked: URL) -> None:
    tables = ask(
        synced.books.owner,
        "SELECT schemaname || '.' || relname FROM pg_stat_user_tables WHERE schemaname IN ('billingo', 'dagster')",
    )
    assert len(tables) > 30
    for (table,) in tables:
        assert "permission denied" in refusal(masked, f"SELECT count(*) FROM {table}"), table
    assert "permission denied" in refusal(masked, "SELECT count(*) FROM billingo.raw_invoice_history")


def test_no_personal_data_of_the_documents_is_in_the_views(synced: SyncedBooks, masked: URL) -> None:
    shown = dump(masked)
    assert len(shown) > 10_000
    personal = ask(
        synced.books.owner,
        """
        SELECT DISTINCT value FROM (
            SELECT unnest(ARRAY[partner_name, partner_tax_number, partner_iban, partner_swift, partner_account_number,
                                comment, organization_tax_number, organization_bank_account_number,
                                organization_bank_account_iban, organization_swift]) AS value FROM billingo.invoices
            UNION ALL SELECT unnest(ARRAY[comment, name]) FROM billingo.invoice_items
            UNION ALL SELECT jsonb_path_query(payload, '$.partner.** ? (@.type() == "string")') #>> '{}'
            FROM billingo.raw_invoices
        ) AS held WHERE length(value) > 5
        """,
    )
    assert len(personal) > 200
    assert [value for (value,) in personal if value in shown] == []


def test_no_email_iban_or_account_number_is_in_the_views(synced: SyncedBooks, masked: URL) -> None:
    patterns = (r"[\w.]+@[\w.]+", r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b", r"\d{8}-\d{8}(-\d{8})?", r"\d{8}-\d-\d{2}")
    for pattern in patterns:
        assert re.findall(pattern, dump(masked)) == []
    held = str(ask(synced.books.owner, "SELECT payload::text FROM billingo.raw_invoices"))
    assert all(re.search(pattern, held) for pattern in patterns)


def test_of_what_others_wrote_only_numbers_and_words_of_lists_are_shown(
    synced: SyncedBooks, masked: URL, own_server: URL
) -> None:
    superuser = own_server.set(database=synced.books.owner.database)
    engine = create_engine(superuser.set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name in VIEWS[1:]:
                marked = {one.name: f"?! {one.name}" for one in table.c if isinstance(one.type, Text)}
                connection.execute(update(table).values(marked))
        connection.execute(text(f"SET LOCAL ROLE {masked.username}"))
        shown = str([connection.execute(text(f"SELECT * FROM billingo_masked.{view}")).all() for view in VIEWS[1:]])
        connection.rollback()
    assert set(re.findall(r"\?! (\w+)", shown)) == {
        "invoice_number",
        "related_invoice_number",
        "type",
        "correction_type",
        "payment_status",
        "payment_method",
        "currency",
        "language",
        "online_szamla_status",
        "notification_status",
        "rounding",
        "discount_type",
        "vat",
        "entitlement",
    }


def test_of_a_partners_name_the_first_letter_is_left_whatever_its_length(synced: SyncedBooks, masked: URL) -> None:
    names = ask(masked, "SELECT DISTINCT partner_name FROM billingo_masked.invoices WHERE partner_name IS NOT NULL")
    assert names
    assert all(re.fullmatch(r".\*\*\*", name) for (name,) in names)
    partners = "SELECT count(DISTINCT partner_id) FROM {}.invoices WHERE company_id IN (SELECT id FROM {}.companies)"
    [(told_apart,)] = ask(masked, partners.format("billingo_masked", "billingo_masked"))
    assert told_apart > 1


def test_a_function_of_the_reader_sees_no_row_that_is_not_granted(synced: SyncedBooks, masked: URL) -> None:
    role = masked.username
    synced.books.administer(f"GRANT TEMPORARY ON DATABASE {masked.database} TO {role}")
    leak = """
        CREATE FUNCTION pg_temp.tell(company INT) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
        $$ BEGIN PERFORM set_config('own.seen', current_setting('own.seen', true) || ' ' || company, false);
        RETURN true; END $$;
        SELECT set_config('own.seen', '', false);
        SELECT count(*) FROM billingo_masked.invoices WHERE pg_temp.tell(company_id);
        SELECT current_setting('own.seen')
    """
    with psycopg.connect(masked.render_as_string(hide_password=False)) as connection:
        for statement in leak.split(";\n        SELECT"):
            cursor = connection.execute(statement if "CREATE" in statement else f"SELECT {statement}")
        seen = cursor.fetchone()
    [(company_id,)] = ask(masked, "SELECT id FROM billingo_masked.companies")
    assert seen is not None
    assert set(seen[0].split()) == {str(company_id)}


def test_what_is_granted_masked_is_not_shown_in_full_to_who_reads_another_in_full(synced: SyncedBooks) -> None:
    both = synced.books.login("both")
    owner, name = synced.books.owner, str(both.username)
    synced.books.done(owner, "company", "grant", "it-cardigan", "--to", name)
    synced.books.done(owner, "company", "grant", "ozon-bt", "--to", name, "--masked")
    assert ask(both, "SELECT key FROM billingo.companies") == [("it-cardigan",)]
    assert ask(both, "SELECT key FROM billingo_masked.companies ORDER BY 1") == [("it-cardigan",), ("ozon-bt",)]
    synced.books.done(owner, "company", "grant", "it-cardigan", "--to", name, "--masked")
    assert "permission denied" in refusal(both, "SELECT key FROM billingo.companies")
