"""`database dump` under row-level security: an owner's is whole, loads elsewhere, and the roles work there."""

from __future__ import annotations

import subprocess

from sqlalchemy import URL

from billingo_assets.embedded_postgres.cluster import programs
from billingo_assets_tests.support.embedded_users import throwaway_server
from billingo_assets_tests.warehouse.conftest import Books, SyncedBooks, ask, refusal

COUNTS = """
SELECT (SELECT count(*) FROM billingo.raw_invoices), (SELECT count(*) FROM billingo.invoice_items),
       (SELECT count(*) FROM billingo.audit_log), (SELECT count(*) FROM dagster.runs),
       (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_views WHERE schemaname = 'billingo_masked')
"""


def load(target: URL, dumped: str) -> None:
    psql = [programs().bin / "psql", target.render_as_string(hide_password=False)]
    options = ["--quiet", "--output", "/dev/null", "--single-transaction", "-v", "ON_ERROR_STOP=1"]
    subprocess.run([*psql, *options], input=dumped, text=True, check=True)


def test_a_dump_of_a_plain_owner_loads_for_another_with_all_rows_and_the_roles_work(
    synced: SyncedBooks, own_server: URL
) -> None:
    anna = synced.books.login("anna")
    synced.books.done(synced.books.owner, "company", "grant", "ozon-bt", "--to", str(anna.username))
    dumped = synced.books.done(synced.books.owner, "database", "dump")
    elsewhere = Books(own_server, "moved_books")
    try:
        load(elsewhere.owner, dumped)
        assert ask(elsewhere.owner, COUNTS) == ask(synced.books.owner, COUNTS)
        there = anna.set(database="moved_books")
        assert ask(there, "SELECT key FROM billingo.companies") == [("ozon-bt",)]
        assert "permission denied" in refusal(there, "SELECT api_key_encrypted FROM billingo.companies")
        assert "only ever added to" in refusal(elsewhere.owner, "DELETE FROM billingo.audit_log")
        elsewhere.environment = synced.books.environment
        pipeline = elsewhere.login("pipeline", "IN ROLE billingo_sync")
        elsewhere.done(pipeline, "sync", "ozon-bt")
    finally:
        elsewhere.close()
        synced.books.done(synced.books.owner, "company", "revoke", "ozon-bt", "--from", str(anna.username))


def test_a_dump_makes_the_roles_where_there_are_none(synced: SyncedBooks) -> None:
    dumped = synced.books.done(synced.books.owner, "database", "dump")
    with throwaway_server() as target:
        load(target, dumped)
        assert ask(target, COUNTS) == ask(synced.books.owner, COUNTS)
        ask(target, "CREATE ROLE reader IN ROLE billingo_reader")
        as_reader = target.update_query_dict({"options": "-c role=reader"})
        assert ask(as_reader, "SELECT count(*) FROM billingo.invoices") == [(0,)]


def test_who_may_read_the_tables_but_not_every_row_gets_no_dump(synced: SyncedBooks) -> None:
    backup = synced.books.login("backup")
    for statement in ("USAGE ON SCHEMA billingo", "SELECT ON ALL TABLES IN SCHEMA billingo"):
        ask(synced.books.owner, f"GRANT {statement} TO {backup.username}")
    answer = synced.books.run(backup, "database", "dump")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "does not see every company" in answer.stderr
