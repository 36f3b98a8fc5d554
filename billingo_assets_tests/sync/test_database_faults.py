"""The database fails in the middle of a sync: it is told in words, and the next sync completes it."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from billingo_assets.errors import DatabaseError, DatabaseUnavailableError
from billingo_assets.sandbox import SandboxServer
from billingo_assets.settings import load_settings
from billingo_assets_tests.support.aftermath import (
    former_versions,
    recover,
    require_listing_is_stored,
    require_vouched_is_stored,
)
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.checkpoints import (
    CATCH_UP,
    FETCHED,
    LISTING_ADVANCES,
    NORMALIZATION_BEGINS,
    PAGE_IS_NOTED,
    PENDING_ARE_FETCHED,
    WATERMARK_IS_WRITTEN,
    page,
)
from billingo_assets_tests.support.own_server import TEMPLATE, Door, OwnServer, SmallDisk, own_server, small_disk
from billingo_assets_tests.support.victim import Trail, sync_as_the_assets_do

WORDLESS = ("Traceback", "psycopg", "sqlalchemy", "[SQL", "SELECT", "INSERT", "COPY")

MIDDLE_PAGE = (page(1), LISTING_ADVANCES)
IN_CATCH_UP = (page(3), CATCH_UP)
WATERMARK = (WATERMARK_IS_WRITTEN,)
REFRESH = (NORMALIZATION_BEGINS, PENDING_ARE_FETCHED, PENDING_ARE_FETCHED)

IN_A_SYNC = {
    "in a middle page": MIDDLE_PAGE,
    "in the catch-up": IN_CATCH_UP,
    "at the watermark": WATERMARK,
    "between fetch and refresh": (FETCHED,),
    "in the refresh": (NORMALIZATION_BEGINS,),
}


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with own_server() as server:
        yield server


@pytest.fixture
def database(server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[URL]:
    """A fresh database on the server that may be broken."""
    server.run(f"CREATE DATABASE test TEMPLATE {TEMPLATE}")
    url = server.url.set(database="test")
    monkeypatch.setenv("BILLINGO_DATABASE_URL", url.render_as_string(hide_password=False))
    load_settings.cache_clear()
    yield url
    server.run("DROP DATABASE test WITH (FORCE)")


@pytest.fixture(autouse=True)
def _settings(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_API_URL", sandbox.url)
    monkeypatch.setenv("BILLINGO_REQUESTS_PER_MINUTE", "0")
    monkeypatch.setenv("BILLINGO_CONCURRENT_REQUESTS", "1")
    load_settings.cache_clear()


def words_of_a_sync(books: Books, *checkpoints: str, then: Callable[[], object]) -> DatabaseError:
    """Sync, do something at a checkpoint, and return the error that comes of it, which has to be in words."""
    trail = Trail(*checkpoints, then=then)
    if not checkpoints:
        then()
    with pytest.raises(DatabaseError) as failed:
        sync_as_the_assets_do(books.company.key, on_event=trail)
    assert trail.was_walked
    assert not any(word in str(failed.value) for word in WORDLESS), failed.value
    assert "\n" not in str(failed.value)
    return failed.value


@pytest.mark.parametrize("at", IN_A_SYNC.values(), ids=IN_A_SYNC)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["fast", "killed"])
def test_after_the_server_was_stopped_and_started_the_next_sync_leaves_every_table_as_served(
    server: OwnServer, books: Books, how: signal.Signals, at: tuple[str, ...]
) -> None:
    error = words_of_a_sync(books, *at, then=lambda: server.stop(how))
    assert isinstance(error, DatabaseUnavailableError)
    assert "cannot be used" in str(error)
    server.start()
    require_vouched_is_stored(books)
    require_listing_is_stored(books)
    recover(books)
    assert former_versions(books) == {}


@pytest.fixture
def door(server: OwnServer, books: Books, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Through which the syncs come to the database, and nobody else."""
    with (
        tempfile.TemporaryDirectory(prefix="billingo-", dir="/tmp") as directory,
        Door(Path(directory), server.socket) as door,
    ):
        url = server.url.set(database="test", query={"host": directory})
        monkeypatch.setenv("BILLINGO_DATABASE_URL", url.render_as_string(hide_password=False))
        load_settings.cache_clear()
        yield door


COMMITS = {
    "of the first page": (PAGE_IS_NOTED,),
    "of a middle page": MIDDLE_PAGE,
    "of the catch-up": IN_CATCH_UP,
    "of the watermark": WATERMARK,
    "of the rows": REFRESH,
}


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("at", COMMITS.values(), ids=COMMITS)
def test_after_the_connection_was_cut_at_a_commit_the_next_sync_leaves_every_table_as_served(
    books: Books, door: Door, where: str, at: tuple[str, ...]
) -> None:
    error = words_of_a_sync(books, *at, then=lambda: door.cut_next_commit(where))
    assert isinstance(error, DatabaseUnavailableError)
    require_vouched_is_stored(books)
    require_listing_is_stored(books)
    recover(books)
    assert former_versions(books) == {}


@pytest.mark.parametrize(("where", "is_there"), [("before", False), ("after", True)])
def test_a_watermark_is_there_if_its_commit_was_done_though_nobody_was_told(
    books: Books, door: Door, where: str, is_there: bool
) -> None:
    words_of_a_sync(books, *WATERMARK, then=lambda: door.cut_next_commit(where))
    assert (books.state() is not None) == is_there


LOCKED = {
    "the documents": (page(1), "billingo.raw_invoices"),
    "the listing": (page(1), "billingo.listings"),
    "the watermark": (page(3), "billingo.sync_state"),
    "the invoices": (FETCHED, "billingo.invoices"),
    "the lines": (FETCHED, "billingo.invoice_items"),
}


@pytest.mark.parametrize(("checkpoint", "table"), LOCKED.values(), ids=LOCKED)
def test_a_statement_that_takes_too_long_is_told_in_words_and_the_next_sync_completes_it(
    books: Books, monkeypatch: pytest.MonkeyPatch, checkpoint: str, table: str
) -> None:
    with ExitStack() as others, pytest.MonkeyPatch.context() as impatient:
        other = others.enter_context(books.engine.connect())
        impatient.setenv("BILLINGO_STATEMENT_TIMEOUT_SECONDS", "1")
        load_settings.cache_clear()
        error = words_of_a_sync(
            books, checkpoint, then=lambda: other.exec_driver_sql(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        )
        assert "statement timeout" in str(error)
        assert "BILLINGO_STATEMENT_TIMEOUT_SECONDS" in str(error)
    load_settings.cache_clear()
    require_vouched_is_stored(books)
    recover(books)
    assert former_versions(books) == {}


class Crowd:
    """Other programs, which take every connection that the server has left."""

    def __init__(self, server: OwnServer) -> None:
        self._server = server
        self._sessions = ExitStack()

    def come(self) -> None:
        with suppress(psycopg.OperationalError):
            while True:
                self._sessions.enter_context(self._server.connect())

    def leave(self) -> None:
        self._sessions.close()


@pytest.fixture
def crowd(server: OwnServer) -> Iterator[Crowd]:
    server.run("ALTER SYSTEM SET max_connections = 12")
    server.stop()
    server.start()
    crowd = Crowd(server)
    yield crowd
    crowd.leave()
    server.run("ALTER SYSTEM RESET max_connections")
    server.stop()
    server.start()


@pytest.mark.parametrize("checkpoints", [(), (FETCHED,)], ids=["at the start", "between fetch and refresh"])
def test_a_server_out_of_connections_is_told_in_words_and_the_next_sync_completes_it(
    crowd: Crowd, books: Books, checkpoints: tuple[str, ...]
) -> None:
    def come() -> None:
        books.engine.dispose()  # each step of a run is a process of its own, which has no connection yet
        crowd.come()

    assert "too many clients" in str(words_of_a_sync(books, *checkpoints, then=come))
    crowd.leave()
    require_vouched_is_stored(books)
    recover(books)
    assert former_versions(books) == {}


@pytest.fixture
def disk(server: OwnServer, books: Books) -> Iterator[SmallDisk]:
    """Where the test's database lies."""
    with small_disk(server) as disk:
        books.engine.dispose()
        server.run("ALTER DATABASE test SET TABLESPACE small")
        yield disk
        disk.empty()
        books.engine.dispose()
        server.run("ALTER DATABASE test SET TABLESPACE pg_default")


@pytest.mark.parametrize(
    "checkpoint",
    ["pg_advisory_lock", page(1), FETCHED],
    ids=["at the start", "between two pages", "before the refresh"],
)
def test_a_disk_that_is_full_is_told_in_words_and_the_next_sync_completes_it(
    books: Books, disk: SmallDisk, checkpoint: str
) -> None:
    error = words_of_a_sync(books, checkpoint, then=disk.fill)
    assert str(error).startswith("The database's disk is full. Free some space")
    disk.empty()
    require_vouched_is_stored(books)
    require_listing_is_stored(books)
    recover(books)
    assert former_versions(books) == {}
