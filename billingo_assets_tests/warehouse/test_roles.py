"""Who may do what: the pipeline's role, the readers, those without personal data; each logs in as people do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import URL

from billingo_assets.embedded_postgres.cluster import programs
from billingo_assets.errors import DatabaseError
from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import World
from billingo_assets.settings import Settings
from billingo_assets.warehouse.database import engine_for, libpq_url, upgrade_database
from billingo_assets_tests.support.embedded_users import throwaway_server
from billingo_assets_tests.warehouse.conftest import Books, SyncedBooks, ask, refusal

# Whoever reads needs these and no more; rows of other companies are the policies' matter.
READABLE = {
    "companies",
    "raw_invoices",
    "raw_invoice_versions",
    "raw_invoice_history",
    "invoices",
    "invoice_items",
    "related_documents",
    "rejected_documents",
    "sync_state",
    "number_gaps",
    "listing_differences",
    "accepted_faults",
    "ambiguous_numbers",
    "company_readers",
}


def settings_for(who: URL) -> Settings:
    return Settings(database_url=SecretStr(who.render_as_string(hide_password=False)))


def upgrade(who: URL) -> None:
    upgrade_database(settings_for(who))
    engine_for(who, settings_for(who)).dispose()


@pytest.fixture
def grants(synced: SyncedBooks) -> Iterator[None]:
    """Takes back what a test grants, and the roles it makes."""
    yield
    synced.books.drop_logins(keep=("owner", "pipeline"))
    ask(synced.books.owner, "DELETE FROM billingo.company_readers")


@pytest.fixture
def anna(synced: SyncedBooks, grants: None) -> URL:
    """A login that nothing was granted to yet."""
    return synced.books.login("anna")


@pytest.fixture
def reader(synced: SyncedBooks, grants: None) -> URL:
    """A login that is a reader of no company."""
    return synced.books.login("reader", "IN ROLE billingo_reader")


def test_a_whole_sync_runs_as_a_login_that_owns_nothing(synced: SyncedBooks) -> None:
    assert [one["status"] for one in synced.outcomes] == ["success", "success"]
    assert [one["created"] for one in synced.outcomes] == [
        len(synced.world.company(one["key"]).documents()) for one in synced.outcomes
    ]
    owned = "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = current_user"
    assert ask(synced.pipeline, owned) == [(0,)]


def test_so_does_a_full_one_that_finds_a_document_gone(synced: SyncedBooks) -> None:
    company = synced.world.company("ozon-bt")
    company.delete(next(document["id"] for document in company.documents() if document["type"] == "draft"))
    again = json.loads(synced.books.done(synced.pipeline, "sync", "ozon-bt", "--full", "--json"))
    assert again["companies"][0]["deleted"] == 1
    assert "ozon-bt" in synced.books.done(synced.pipeline, "status")
    assert "ozon-bt" in synced.books.done(synced.pipeline, "history")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE billingo.invoices",
        "ALTER TABLE billingo.invoices ADD COLUMN x INT",
        "ALTER TABLE billingo.invoices NO FORCE ROW LEVEL SECURITY",
        "TRUNCATE billingo.invoice_items",
        "DELETE FROM billingo.raw_invoices",
        "DELETE FROM billingo.raw_invoice_versions",
        "UPDATE billingo.raw_invoice_versions SET version = 9",
        "DELETE FROM billingo.companies",
        "CREATE TABLE billingo.mine (id INT)",
        "INSERT INTO billingo.company_readers VALUES (current_user, 1)",
        "UPDATE billingo.audit_log SET actor = 'nobody'",
        "DELETE FROM billingo.audit_log",
        "TRUNCATE billingo.audit_log",
        "INSERT INTO billingo.audit_log (at, actor, action) VALUES ('2020-01-01', 'x', 'y')",
        "INSERT INTO billingo.audit_log (actor, action, database_role) VALUES ('x', 'y', 'somebody else')",
        "SELECT setval('billingo.audit_log_id_seq', 1)",
        "DROP TABLE dagster.runs",
    ],
)
def test_the_pipelines_login_cannot(synced: SyncedBooks, statement: str) -> None:
    assert any(word in refusal(synced.pipeline, statement) for word in ("permission denied", "must be owner"))


def test_a_plain_owner_syncs_and_sees_everything(books: Books, world: World, sandbox: SandboxServer) -> None:
    upgrade(books.owner)
    company = world.company("ozon-bt")
    added = books.run(books.owner, "company", "add", "ozon-bt", "--name", "x", "--api-key-stdin", stdin=company.api_key)
    assert added.returncode == 0, added.stderr
    assert books.run(books.owner, "sync").returncode == 0
    held = ask(books.owner, "SELECT count(*) FROM billingo.raw_invoices")
    assert held == [(len(company.documents()),)]


@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'nobody'", "DELETE FROM {}", "TRUNCATE {}"])
def test_not_even_the_owner_changes_the_audit_log(books: Books, statement: str) -> None:
    upgrade(books.owner)
    ask(books.owner, "INSERT INTO billingo.audit_log (actor, action) VALUES ('x', 'y')")
    assert "the audit log is only ever added to" in refusal(books.owner, statement.format("billingo.audit_log"))
    assert ask(books.owner, "SELECT actor, action FROM billingo.audit_log") == [("x", "y")]


def test_a_reader_sees_the_granted_company_and_no_other(synced: SyncedBooks, anna: URL) -> None:
    owner = synced.books.owner
    assert "permission denied" in refusal(anna, "SELECT count(*) FROM billingo.invoices")
    synced.books.done(owner, "company", "grant", "ozon-bt", "--to", str(anna.username))
    [(company_id,)] = ask(owner, "SELECT id FROM billingo.companies WHERE key = 'ozon-bt'")
    for table in sorted(READABLE - {"companies", "company_readers"}):
        [(everything, own)] = ask(
            owner, f"SELECT count(*), count(*) FILTER (WHERE company_id = {company_id}) FROM billingo.{table}"
        )
        assert ask(anna, f"SELECT count(*) FROM billingo.{table}") == [(own,)], table
        if table in ("invoices", "raw_invoices", "raw_invoice_history", "invoice_items", "sync_state"):
            assert 0 < own < everything
    assert ask(anna, "SELECT key FROM billingo.companies") == [("ozon-bt",)]
    assert ask(anna, "SELECT role_name, company_id FROM billingo.company_readers") == [(anna.username, company_id)]


def test_a_reader_without_a_grant_sees_nothing(synced: SyncedBooks, anna: URL, reader: URL) -> None:
    synced.books.done(synced.books.owner, "company", "grant", "ozon-bt", "--to", str(anna.username))
    for table in sorted(READABLE):
        column = "id" if table == "companies" else "company_id"
        assert ask(reader, f"SELECT count({column}) FROM billingo.{table}") == [(0,)], table


def test_what_is_revoked_is_seen_no_more(synced: SyncedBooks, anna: URL) -> None:
    owner, name = synced.books.owner, str(anna.username)
    synced.books.done(owner, "company", "grant", "it-cardigan", "ozon-bt", "--to", name)
    assert ask(anna, "SELECT count(DISTINCT company_id) FROM billingo.invoices") == [(2,)]
    synced.books.done(owner, "company", "revoke", "ozon-bt", "--from", name)
    assert ask(anna, "SELECT key FROM billingo.companies") == [("it-cardigan",)]
    synced.books.done(owner, "company", "revoke", "it-cardigan", "--from", name)
    assert "permission denied" in refusal(anna, "SELECT count(*) FROM billingo.invoices")


def test_members_of_a_team_see_what_was_granted_to_it(synced: SyncedBooks, reader: URL) -> None:
    team = synced.books.login("team")
    member = synced.books.login("member", f"IN ROLE {team.username}")
    synced.books.done(synced.books.owner, "company", "grant", "ozon-bt", "--to", str(team.username))
    assert ask(member, "SELECT key FROM billingo.companies") == [("ozon-bt",)]
    assert ask(reader, "SELECT key FROM billingo.companies") == []


def test_the_grant_of_a_role_that_is_gone_harms_nobody(synced: SyncedBooks, anna: URL) -> None:
    gone, owner = synced.books.login("gone"), synced.books.owner
    for role in (gone, anna):
        synced.books.done(owner, "company", "grant", "ozon-bt", "--to", str(role.username))
    synced.books.administer(f"DROP ROLE {gone.username}")
    assert ask(anna, "SELECT key FROM billingo.companies") == [("ozon-bt",)]
    shown = synced.books.done(owner, "company", "readers")
    assert f"{gone.username}  in full  ozon-bt  (this role no longer exists)" in shown
    assert f"{anna.username}  in full  ozon-bt\n" in shown


def test_what_was_granted_to_a_role_is_not_granted_to_a_later_one_of_its_name(
    synced: SyncedBooks, anna: URL, own_server: URL
) -> None:
    name, owner = str(anna.username), synced.books.owner
    synced.books.done(owner, "company", "grant", "ozon-bt", "--to", name)
    password = str(anna.password).replace("'", "''")
    synced.books.administer(f"DROP ROLE {name}; CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    synced.books.done(owner, "company", "grant", "it-cardigan", "--to", name)
    assert ask(anna, "SELECT key FROM billingo.companies") == [("it-cardigan",)]
    assert ask(anna, "SELECT DISTINCT company_id FROM billingo.company_readers") == ask(
        owner, "SELECT id FROM billingo.companies WHERE key = 'it-cardigan'"
    )
    assert f"{name}  in full  ozon-bt  (this role no longer exists)" in synced.books.done(owner, "company", "readers")
    synced.books.done(owner, "company", "grant", "ozon-bt", "--to", name)
    assert ask(anna, "SELECT count(*) FROM billingo.companies") == [(2,)]


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("nobody_of_that_name", "has no role 'nobody_of_that_name'"),
        ("billingo_reader", "is a group"),
        ("{pipeline}", "sees every company as it is"),
        ("{owner}", "sees every company as it is"),
        ("owner", "sees every company as it is"),
    ],
)
def test_a_grant_that_would_mean_nothing_is_refused(synced: SyncedBooks, role: str, words: str) -> None:
    name = role.format(pipeline=synced.pipeline.username, owner=synced.books.owner.username)
    answer = synced.books.run(synced.books.owner, "company", "grant", "ozon-bt", "--to", name)
    assert answer.returncode == 2
    assert words in answer.stderr
    assert ask(synced.books.owner, "SELECT * FROM billingo.company_readers") == []


def test_who_may_not_let_a_role_in_is_told_what_an_administrator_runs(synced: SyncedBooks, anna: URL) -> None:
    answer = synced.books.run(synced.pipeline, "company", "grant", "ozon-bt", "--to", str(anna.username))
    assert answer.returncode == 2
    assert "permission denied for table company_readers" in answer.stderr
    synced.books.administer(f"REVOKE billingo_reader FROM {synced.books.owner.username} CASCADE")
    answer = synced.books.run(synced.books.owner, "company", "grant", "ozon-bt", "--to", str(anna.username))
    synced.books.administer(f"GRANT billingo_reader TO {synced.books.owner.username} WITH ADMIN OPTION")
    assert answer.returncode == 2
    assert f"administrator run: GRANT billingo_reader TO {anna.username}" in answer.stderr


@pytest.mark.parametrize("words", [["status"], ["company", "list"], ["sync"]], ids=" ".join)
def test_a_reader_is_told_which_login_a_command_takes(synced: SyncedBooks, reader: URL, words: list[str]) -> None:
    assert told_to(synced.books.run(reader, *words)).startswith("Set BILLINGO_DATABASE_URL to a login that is in")


@pytest.mark.parametrize(
    "words",
    [["grant", "ozon-bt", "--to", "{anna}"], ["erase", "ozon-bt", "--yes-erase", "ozon-bt"]],
    ids=lambda w: w[0],
)
def test_the_pipelines_login_is_told_what_takes_the_owner(synced: SyncedBooks, anna: URL, words: list[str]) -> None:
    answer = synced.books.run(synced.pipeline, "company", *(word.format(anna=anna.username) for word in words))
    assert told_to(answer).endswith("to upgrade, grant, revoke and erase, to the tables' owner.")


def told_to(answer: subprocess.CompletedProcess[str]) -> str:
    """What to do about a right that is missing; to make tables is of no use."""
    assert answer.returncode == 2
    advice = answer.stderr.partition("permission denied for table ")[2].partition(". ")[2].strip()
    assert "GRANT CREATE" not in advice
    return advice


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT api_key_encrypted FROM billingo.companies",
        "SELECT * FROM billingo.companies",
        "SELECT * FROM billingo.alert_messages",
        "SELECT * FROM billingo.alert_deliveries",
        "SELECT * FROM billingo.audit_log",
        "SELECT * FROM billingo.outages",
        "SELECT * FROM billingo.listings",
        "SELECT * FROM billingo_masked.invoices",
        "SELECT * FROM dagster.runs",
        "INSERT INTO billingo.company_readers VALUES (current_user, 1)",
        "UPDATE billingo.company_readers SET company_id = 1",
        "DELETE FROM billingo.invoices",
        "UPDATE billingo.invoices SET comment = ''",
    ],
)
def test_a_reader_cannot(reader: URL, statement: str) -> None:
    assert "permission denied" in refusal(reader, statement)


def test_a_query_asks_for_the_grants_once(reader: URL) -> None:
    plan = [row[0].strip() for row in ask(reader, "EXPLAIN (COSTS off) SELECT * FROM billingo.invoices")]
    assert re.fullmatch(r"(Filter|Index Cond): \(company_id = ANY \((\(InitPlan \d+\).col1|\$\d+)\)\)", plan[1])


@pytest.mark.parametrize("who", ["owner", "pipeline"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT document_id FROM billingo.raw_invoices WHERE company_id = 1 AND document_id = ANY('{1,2}')",
        "SELECT count(*) FROM billingo.invoices WHERE company_id = 1 AND deleted_at IS NULL",
        "UPDATE billingo.invoices SET deleted_at = now() WHERE company_id = 1 AND id = 7",
        "DELETE FROM billingo.invoice_items WHERE company_id = 1 AND invoice_id = 7",
    ],
)
def test_the_pipelines_queries_are_planned_as_if_there_were_no_policy(
    synced: SyncedBooks, own_server: URL, who: str, query: str
) -> None:
    books = synced.books
    superuser = own_server.set(database=books.owner.database)
    plain = ask(superuser, f"EXPLAIN (COSTS off) {query}")
    assert ask(books.owner if who == "owner" else synced.pipeline, f"EXPLAIN (COSTS off) {query}") == plain


def test_every_table_of_a_company_is_secured_for_everybody(synced: SyncedBooks) -> None:
    rows = ask(
        synced.books.owner,
        """
        SELECT relname, relrowsecurity AND relforcerowsecurity,
               (SELECT jsonb_agg(jsonb_build_array(p.polname, p.polroles::regrole[]::text, p.polcmd, p.polpermissive,
                                                   pg_get_expr(p.polqual, p.polrelid),
                                                   pg_get_expr(p.polwithcheck, p.polrelid)) ORDER BY p.polname)
                FROM pg_policy AS p WHERE p.polrelid = c.oid)
        FROM pg_class AS c WHERE relnamespace = 'billingo'::regnamespace AND relkind IN ('r', 'p')
          AND (relname = 'companies' OR EXISTS (
              SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'company_id' AND NOT attisdropped))
        """,
    )
    assert len(rows) >= 14
    granted = set()
    for table, is_secured, (readers, sync) in rows:
        assert is_secured, table
        assert sync == ["sync", "{billingo_sync}", "*", True, "true", "true"], table
        *policy, readable, writable = readers
        assert (policy, writable) == (["readers", "{billingo_reader}", "r", True], None), table
        if table == "company_readers":  # its own grants, whichever company's
            assert "pg_has_role(CURRENT_USER" in readable
        else:
            granted.add(readable.replace("(id = ANY", "(company_id = ANY") if table == "companies" else readable)
    [of_every_table] = granted
    assert of_every_table.startswith("(company_id = ANY (ARRAY( SELECT granted.company_id")
    assert "pg_has_role(CURRENT_USER" in of_every_table


def test_readers_have_rights_on_nothing_but_what_they_need(synced: SyncedBooks) -> None:
    query = """
        SELECT relnamespace::regnamespace || '.' || relname FROM pg_class
        WHERE relnamespace::regnamespace::text IN ('billingo', 'billingo_masked', 'dagster')
          AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND (
            has_table_privilege('{0}', oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
            OR CASE relkind WHEN 'S' THEN has_sequence_privilege('{0}', oid, 'USAGE, SELECT, UPDATE')
               ELSE has_any_column_privilege('{0}', oid, 'SELECT, INSERT, UPDATE, REFERENCES') END)
    """
    readable = {row[0] for row in ask(synced.books.owner, query.format("billingo_reader"))}
    assert readable == {f"billingo.{table}" for table in READABLE}
    views = {"companies", "invoices", "invoice_items", "related_documents"}
    masked = {row[0] for row in ask(synced.books.owner, query.format("billingo_masked"))}
    assert masked == {f"billingo_masked.{view}" for view in views}
    assert {row[0] for row in ask(synced.books.owner, query.format("pg_monitor"))} == set()


def test_roles_that_are_there_already_do_not_stand_in_the_way(books: Books) -> None:
    upgrade(books.owner)
    upgrade(books.owner)
    assert ask(books.owner, "SELECT count(*) FROM billingo.companies") == [(0,)]


def test_databases_of_one_server_are_upgraded_at_once() -> None:
    with throwaway_server() as server:
        urls = [server.set(database=f"at_once_{number}") for number in range(4)]
        for url in urls:
            psql = [programs().bin / "psql", libpq_url(server), "-qc"]
            subprocess.run([*psql, f"CREATE DATABASE {url.database}"], check=True)
        # Processes: Alembic works in one thread at a time.
        program = (
            "import sys, sqlalchemy; from billingo_assets_tests.warehouse.test_roles import upgrade;"
            " upgrade(sqlalchemy.make_url(sys.argv[1]))"
        )
        upgrades = [subprocess.Popen([sys.executable, "-c", program, libpq_url(url)]) for url in urls]
        assert [one.wait() for one in upgrades] == [0] * len(urls)
        assert ask(urls[0], "SELECT count(*) FROM pg_roles WHERE rolname ~ '^billingo_'") == [(3,)]


def test_an_owner_who_may_make_no_role_is_told_what_an_administrator_does_first(books: Books) -> None:
    books.administer(f"ALTER ROLE {books.owner.username} NOCREATEROLE")
    books.administer(f"REVOKE billingo_sync FROM {books.owner.username}")
    with pytest.raises(DatabaseError, match="Have an administrator of the server run first: ") as refused:
        upgrade(books.owner)
    assert f"GRANT billingo_sync TO {books.owner.username}" in str(refused.value)
    for statement in str(refused.value).partition("run first: ")[2].rstrip(".").split(";"):
        if statement.strip():
            books.administer(statement)
    upgrade(books.owner)
    assert ask(books.owner, "SELECT count(*) FROM billingo.companies") == [(0,)]
