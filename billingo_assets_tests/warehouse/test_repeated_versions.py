"""Versions that were kept because the clock had moved, and nothing else, are dropped by the upgrade."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, Connection, Engine, make_url, text

from billingo_assets.settings import Settings
from billingo_assets.warehouse import migrations
from billingo_assets.warehouse.database import engine_for, upgrade_database
from billingo_assets_tests.warehouse.conftest import Books, ask


class Content(NamedTuple):
    """A content of a document, the days of November from which and to which it held, and how it is paid."""

    since: int
    until: int | None
    status: str | None
    comment: str = ""
    paid_date: str | None = None

    def payload(self) -> dict[str, Any]:
        status = {} if self.status is None else {"payment_status": self.status}
        return {"id": 7, **status, "comment": self.comment, "paid_date": self.paid_date or f"2026-11-{self.since:02}"}


U, E, P = "outstanding", "expired", "paid"

HISTORIES = {
    "of one content": ([Content(1, None, U)], [(1, None, 1)]),
    "unpaid on three days": ([Content(1, 2, U), Content(2, 3, U), Content(3, None, U)], [(1, None, 3)]),
    "without a status": ([Content(1, 2, None), Content(2, None, None)], [(1, None, 2)]),
    "of a status nobody knows": ([Content(1, 2, "owed"), Content(2, None, "owed")], [(1, None, 2)]),
    "outstanding, then expired": (
        [Content(1, 2, U), Content(2, 3, U), Content(3, 4, E), Content(4, None, E)],
        [(1, 3, 2), (3, None, 4)],
    ),
    "paid in the end": (
        [Content(1, 2, U), Content(2, 3, U), Content(3, None, P)],
        [(1, 3, 2), (3, None, 3)],
    ),
    "paid on another day than was said": (
        [Content(1, 2, P, paid_date="2026-10-01"), Content(2, None, P, paid_date="2026-10-02")],
        [(1, 2, 1), (2, None, 2)],
    ),
    "edited in between": (
        [Content(1, 2, U), Content(2, 3, U), Content(3, 4, U, "new"), Content(4, 5, U, "new"), Content(5, None, U)],
        [(1, 3, 2), (3, 5, 4), (5, None, 5)],
    ),
    "paid, and the payment taken back": (
        [Content(1, 2, U), Content(2, 3, P), Content(3, 4, U), Content(4, None, U)],
        [(1, 2, 1), (2, 3, 2), (3, None, 4)],
    ),
    "deleted at last": ([Content(1, 2, U), Content(2, 9, U)], [(1, 9, 2)]),
    "gone for a while": (
        [Content(1, 2, U), Content(2, 3, U), Content(5, 6, U), Content(6, None, U)],
        [(1, 3, 2), (5, None, 6)],
    ),
}


def day(number: int) -> datetime:
    return datetime(2026, 11, number, 3, tzinfo=UTC)


IN_USE = f"""
INSERT INTO billingo.number_gaps (company_id, block_id, year, first_number, last_number, asked_at)
SELECT id, 3, 2026, 4, 6, '{day(1)}' FROM billingo.companies ORDER BY id LIMIT 1;
INSERT INTO billingo.rejected_documents (company_id, content_hash, document_id, stage, reason, payload)
SELECT id, 'x', 9, 'fetch', 'It cannot be read.', '{{' FROM billingo.companies ORDER BY id LIMIT 1;
INSERT INTO billingo.invoices (company_id, id, content_hash, normalizer_version)
SELECT id, 7, 'x', 1 FROM billingo.companies ORDER BY id LIMIT 1;
INSERT INTO billingo.sync_state (company_id, watermark, run_id, api_total)
SELECT id, now(), 'r', 1 FROM billingo.companies ORDER BY id LIMIT 1;
INSERT INTO billingo.listings (company_id, started_at, total, next_page)
SELECT id, now(), 1, 2 FROM billingo.companies ORDER BY id LIMIT 1;
"""


@pytest.fixture
def before(empty_database: URL) -> Engine:
    """A database of the revision before the one that drops them."""
    settings = Settings(database_url=SecretStr(empty_database.render_as_string(hide_password=False)))
    engine = engine_for(make_url(empty_database.render_as_string(hide_password=False)), settings)
    with engine.begin() as connection:
        migrations.upgrade(connection, to="0007")
    return engine


def keep(connection: Connection, company: str, contents: list[Content]) -> None:
    """Have a company hold one document with this history."""
    insert = "INSERT INTO billingo.companies (key, name) VALUES (:key, 'Kft.') RETURNING id"
    values = {"company": connection.scalar(text(insert), {"key": company})}
    *former, present = contents
    for version, content in enumerate(former, 1):
        connection.execute(
            text(
                "INSERT INTO billingo.raw_invoice_versions VALUES"
                " (:company, 7, :version, CAST(:payload AS jsonb), :hash, :since, :until)"
            ),
            values
            | {"version": version, "payload": json.dumps(content.payload()), "hash": b"%d" % content.since}
            | {"since": day(content.since), "until": day(content.until or 0)},
        )
    connection.execute(
        text(
            "INSERT INTO billingo.raw_invoices (company_id, document_id, payload, content_hash, item_count,"
            " first_synced_at, changed_at, deleted_at, version)"
            " VALUES (:company, 7, CAST(:payload AS jsonb), :hash, 0, :first, :since, :until, :version)"
        ),
        values
        | {"payload": json.dumps(present.payload()), "hash": b"%d" % present.since, "version": len(contents)}
        | {"first": day(contents[0].since), "since": day(present.since)}
        | {"until": None if present.until is None else day(present.until)},
    )


def require_histories(connection: Connection) -> None:
    """What is left of each history is what is expected."""
    for name, (contents, expected) in HISTORIES.items():
        history = connection.execute(
            text(
                "SELECT key, version, valid_from, valid_to, payload, content_hash FROM ("
                " SELECT company_id, version, valid_from, valid_to, payload, content_hash"
                " FROM billingo.raw_invoice_versions UNION ALL"
                " SELECT company_id, version, changed_at, deleted_at, payload, content_hash FROM billingo.raw_invoices"
                ") AS history JOIN billingo.companies ON id = company_id WHERE key = :name ORDER BY version"
            ),
            {"name": name},
        ).all()
        sent = {content.since: content.payload() for content in contents}
        assert [row[1:] for row in history] == [
            (version, day(since), until and day(until), sent[from_day], b"%d" % from_day)
            for version, (since, until, from_day) in enumerate(expected, 1)
        ], name


def test_what_is_left_of_a_history_is_every_content_for_as_long_as_it_held(before: Engine) -> None:
    with before.begin() as connection:
        for name, (contents, _) in HISTORIES.items():
            keep(connection, name, contents)
        migrations.upgrade(connection)
        require_histories(connection)


def test_an_owner_who_is_no_superuser_upgrades_a_database_that_is_in_use(books: Books) -> None:
    settings = Settings(database_url=SecretStr(books.owner.render_as_string(hide_password=False)))
    engine = engine_for(books.owner, settings)
    with engine.begin() as connection:
        migrations.upgrade(connection, to="0007")
        for name, (contents, _) in HISTORIES.items():
            keep(connection, name, contents)
        connection.execute(text(IN_USE))
    forced = "SELECT relname FROM pg_class WHERE relnamespace = 'billingo'::regnamespace AND relforcerowsecurity"
    with engine.begin() as connection:
        before = set(connection.scalars(text(forced)))
    upgrade_database(settings)
    with engine.begin() as connection:
        require_histories(connection)
        assert set(connection.scalars(text(forced))) >= before
        gaps = "SELECT series, year, first_number, last_year, last_number, asked_at FROM billingo.number_gaps"
        assert connection.execute(text(gaps)).all() == [("2026", 2026, 4, 2026, 6, day(1))]
        for table in ("rejected_documents", "invoices", "sync_state", "listings"):
            assert connection.scalar(text(f"SELECT count(*) FROM billingo.{table}")) == 1
    pipeline = books.login("pipeline", "IN ROLE billingo_sync")
    assert ask(pipeline, "SELECT count(*) FROM billingo.raw_invoices") == [(len(HISTORIES),)]
    engine.dispose()


def test_row_level_security_is_forced_as_before(before: Engine) -> None:
    forced = "SELECT relname, relforcerowsecurity FROM pg_class WHERE relnamespace = 'billingo'::regnamespace"
    with before.begin() as connection:
        earlier = set(connection.execute(text(forced)).all())
        migrations.upgrade(connection, to="0008")
        assert set(connection.execute(text(forced)).all()) == earlier
