"""Behind a connection pooler: in session mode all works; in another, nothing begins that needs a session of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import URL, create_engine, text

from billingo_assets.dagster_support.storage import dagster_url
from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import World
from billingo_assets.settings import Settings
from billingo_assets.warehouse.database import connecting, engine_for, open_database
from billingo_assets.warehouse.locks import CompanyBusyError, company_lock
from billingo_assets.warehouse.sessions import SharedSessionError
from billingo_assets_tests.support.pooler import pooler
from billingo_assets_tests.warehouse.conftest import Books, ask

LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


def settings_on(url: URL) -> Settings:
    return Settings.model_validate({"database_url": url.render_as_string(hide_password=False)})


def another_program(url: URL) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


@pytest.fixture(params=["transaction", "statement"])
def shared(request: pytest.FixtureRequest, books: Books) -> Iterator[URL]:
    """The owner's URL through a pooler that gives each transaction, or statement, whichever session is free."""
    with pooler(books.owner, request.param) as port:
        yield books.owner.set(port=port)


@pytest.fixture
def through(books: Books) -> Iterator[URL]:
    """The owner's URL through a pooler in session mode."""
    with pooler(books.owner, "session") as port:
        yield books.owner.set(port=port)


def test_a_lone_client_that_always_gets_the_same_session_is_refused(shared: URL) -> None:
    with pytest.raises(SharedSessionError, match=r"pooler in transaction or statement mode.* pool_mode = session"):
        open_database(settings_on(shared))


@pytest.mark.parametrize("number", [2, 3])
def test_clients_that_take_turns_on_several_sessions_are_refused(books: Books, number: int) -> None:
    with pooler(books.owner, "transaction", round_robin=True) as port:
        through = books.owner.set(port=port)
        busy = [another_program(through) for _ in range(number)]
        for statement in ("BEGIN", "COMMIT"):  # all at once, so that there are as many sessions
            for connection in busy:
                connection.execute(statement)
        with pytest.raises(SharedSessionError):
            open_database(settings_on(through))
        for connection in busy:
            connection.close()


def test_the_sessions_of_others_stay_as_they_were(books: Books, shared: URL) -> None:
    with another_program(shared) as other:
        other.execute("SET timezone = 'Asia/Tokyo'")
        with pytest.raises(SharedSessionError):
            open_database(settings_on(shared))
        assert other.execute("SHOW timezone").fetchone() == ("Asia/Tokyo",)
        assert other.execute("SELECT count(*) FROM pg_listening_channels()").fetchone() == (0,)
    assert ask(books.owner, LOCKS) == [(0,)]


def test_dagsters_own_connections_are_refused_as_well(shared: URL) -> None:
    with pytest.raises(SharedSessionError):
        create_engine(dagster_url(shared)).connect()


@pytest.mark.parametrize(
    "words",
    [
        ["sync"],
        ["company", "remove", "ozon-bt", "--yes"],
        ["company", "erase", "ozon-bt", "--yes-erase", "ozon-bt"],
        ["database", "upgrade"],
        ["doctor"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_command_says_what_to_set_instead(books: Books, words: list[str]) -> None:
    with pooler(books.owner, "transaction") as port:
        answer = books.run(books.owner.set(port=port), *words)
    assert answer.returncode == 2
    told = answer.stdout + answer.stderr
    assert "Set BILLINGO_DATABASE_URL to the server itself or to a pooler in session mode" in told
    assert "Traceback" not in told


def test_a_session_through_a_pooler_in_session_mode_has_our_settings(through: URL) -> None:
    with engine_for(through, settings_on(through)).connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "10min"
    with create_engine(dagster_url(through)).connect() as connection:
        assert connection.scalar(text("SHOW search_path")) == "dagster"


def test_a_company_is_locked_through_a_pooler_in_session_mode(through: URL) -> None:
    engine = engine_for(through, settings_on(through))
    with connecting(engine) as one, connecting(engine) as other:
        with (
            company_lock(one, 1, company="it-cardigan", by="run first", wait_seconds=0),
            pytest.raises(CompanyBusyError, match="is in use by run first"),
            company_lock(other, 1, company="it-cardigan", by="run second", wait_seconds=0),
        ):
            pass
        with company_lock(other, 1, company="it-cardigan", by="run second", wait_seconds=0):
            pass
    engine.dispose()


def test_everything_works_through_a_pooler_in_session_mode_and_leaves_no_lock(
    books: Books, through: URL, world: World, sandbox: SandboxServer
) -> None:
    books.environment = {"BILLINGO_API_URL": sandbox.url, "BILLINGO_REQUESTS_PER_MINUTE": "0"}
    company = world.company("ozon-bt")
    books.done(through, "database", "upgrade")
    words = ("company", "add", company.key, "--name", company.name, "--api-key-stdin")
    books.done(through, *words, stdin=company.api_key)
    (outcome,) = json.loads(books.done(through, "sync", "--json"))["companies"]
    assert (outcome["status"], outcome["created"]) == ("success", company.ledger().documents)
    assert ask(books.owner, LOCKS) == [(0,)]
