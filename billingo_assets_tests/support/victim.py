"""Syncs a company as the assets do, in this process or in one that is killed on the way. No tests here."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import sqlalchemy
from sqlalchemy import event

from billingo_assets.dagster_support.resources import BillingoResource, WarehouseResource
from billingo_assets.settings import load_settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.sync.context import SyncContext
from billingo_assets.sync.engine import sync_company
from billingo_assets.sync.refresh import refresh_tables
from billingo_assets.sync.report import SyncReport
from billingo_assets.warehouse.database import database_url, engine_for
from billingo_assets_tests.support.checkpoints import COMMIT, FETCHED, is_passed, page

RUN_ID = "1f0c"


_warehouse, _billingo = WarehouseResource(), BillingoResource()

# One process imports the engine, and forks each victim: an import takes longer than a sync.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


class Trail:
    """Calls `then` once, when the last of some checkpoints is passed, each of them after the one before it."""

    def __init__(self, *checkpoints: str, then: Callable[[], object]) -> None:
        self._ahead = deque(checkpoints)
        self._then = then

    def __call__(self, event: str) -> None:
        if self._ahead and is_passed(self._ahead[0], event):
            self._ahead.popleft()
            if not self._ahead:
                self._then()

    @property
    def was_walked(self) -> bool:
        """Whether the last checkpoint was passed."""
        return not self._ahead


def sync_as_the_assets_do(
    key: str, *, full: bool = False, on_event: Callable[[str], None] = lambda event: None
) -> SyncReport:
    """Fetch under the company's lock, take the lock again, refresh; all as the settings say."""
    with _statements_told_to(on_event):
        with (
            _warehouse.locked_company(key, run_id=RUN_ID) as work,
            _billingo.client(work.company, work.api_key) as client,
        ):
            report = sync_company(
                SyncContext(
                    client=client,
                    connection=work.connection,
                    stream=DOCUMENTS,
                    company=work.company,
                    run_id=RUN_ID,
                    on_page=lambda progress: on_event(page(progress.page)),
                    full=full,
                    lookback=load_settings().lookback,
                )
            )
        report.require_settled(key)
        on_event(FETCHED)
        with _warehouse.locked_company(key, run_id=RUN_ID) as work:
            refresh_tables(work.connection, DOCUMENTS, work.company.id)
    return report


@contextmanager
def _statements_told_to(on_event: Callable[[str], None]) -> Iterator[None]:
    def before_statement(
        connection: sqlalchemy.Connection,
        cursor: object,
        statement: str,
        parameters: object,
        context: object,
        many: bool,
    ) -> None:
        on_event(" ".join(statement.split()))

    def before_commit(connection: sqlalchemy.Connection) -> None:
        on_event(COMMIT)

    settings = load_settings()
    engine = engine_for(database_url(settings), settings)
    event.listen(engine, "before_cursor_execute", before_statement)
    event.listen(engine, "commit", before_commit)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before_statement)
        event.remove(engine, "commit", before_commit)


def kill_a_sync(key: str, *, at: tuple[str, ...], full: bool = False) -> None:
    """Let a process sync the company that kills itself at the last of these checkpoints, see `Trail`."""
    victim = _process(_sync_until_death, key, full, at)
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL, f"it ended with {victim.exitcode} before it came to {at}"


def kill_a_sync_after(events: int, seconds: float, key: str, *, full: bool = False) -> None:
    """Let a process sync the company, and kill it so long after so many events, unless it has ended before."""
    reading, writing = _processes.Pipe(duplex=False)
    victim = _process(_sync_and_tell, key, full, writing)
    victim.start()
    writing.close()
    with suppress(EOFError):
        for _ in range(events):
            reading.recv_bytes()
    victim.join(timeout=seconds)
    victim.kill()
    victim.join()
    reading.close()
    assert victim.exitcode in (0, -signal.SIGKILL)


def _process(target: Callable[..., None], *arguments: object) -> BaseProcess:
    environment = {name: value for name, value in os.environ.items() if name.startswith("BILLINGO_")}
    return _processes.Process(target=target, args=(environment, *arguments))


def _sync_until_death(environment: Mapping[str, str], key: str, full: bool, at: tuple[str, ...]) -> None:
    os.environ.update(environment)
    sync_as_the_assets_do(key, full=full, on_event=Trail(*at, then=lambda: os.kill(os.getpid(), signal.SIGKILL)))


def _sync_and_tell(environment: Mapping[str, str], key: str, full: bool, events: Connection) -> None:
    os.environ.update(environment)
    sync_as_the_assets_do(key, full=full, on_event=lambda event: events.send_bytes(event.encode()))
