"""Keeps Dagster's threads and processes alive through an outage of PostgreSQL, without tracebacks.

Dagster (1.13) does not expect the database to go away:

- The thread of a code server that looks after its runs ended. A run that could not record its own end then counted as
  running for ever, and kept its company's place in the queue.
- The thread behind a run's page in the UI ended, and the page showed nothing new until the UI was restarted.
- The process of a run printed a traceback, and a line to standard error for each event that was not stored.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from dagster._core.event_api import EventLogCursor
from dagster._core.instance import types as instance_types
from dagster._core.storage.event_log import polling_event_watcher as watching
from dagster._core.storage.event_log.base import EventLogConnection

from billingo_assets.dagster_support.reconnecting import DATABASE_ERRORS

_installed = threading.Lock()


def install() -> None:
    """Make this process live through outages. To call it again changes nothing."""
    if not _installed.acquire(blocking=False):
        return
    # Where it prints that an event was not stored. It then raises the error, or stores it with the run.
    nowhere = SimpleNamespace(write=lambda _: None)
    vars(instance_types)["sys"] = SimpleNamespace(stderr=nowhere, exc_info=sys.exc_info)
    watch = watching.SqlPollingRunIdEventWatcherThread.run

    def watch_patiently(self: Any) -> None:
        self._event_log_storage = _PatientEventLog(self._event_log_storage)
        watch(self)

    watching.SqlPollingRunIdEventWatcherThread.run = watch_patiently  # type: ignore[method-assign]
    if "dagster._grpc.server" in sys.modules:  # of a code server and of programs that start one; a command does without
        _look_after_runs_patiently()


def _look_after_runs_patiently() -> None:
    from dagster._grpc import server

    look = server.DagsterApiServer._check_for_orphaned_runs

    def look_patiently(self: Any) -> None:
        with suppress(*DATABASE_ERRORS):  # it looks again in a moment
            look(self)

    server.DagsterApiServer._check_for_orphaned_runs = look_patiently  # type: ignore[method-assign]
    vars(server)["start_run_in_subprocess"] = run_in_subprocess


def run_in_subprocess(*arguments: Any) -> None:
    """Run as Dagster does; end with code 1 if the result cannot be stored. The code server records that later."""
    from dagster._grpc.impl import start_run_in_subprocess

    try:
        start_run_in_subprocess(*arguments)  # type: ignore[no-untyped-call]
    except DATABASE_ERRORS:
        sys.exit(1)


class _PatientEventLog:
    """An event log that returns nothing new while PostgreSQL does not answer."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def get_records_for_run(self, run_id: str, cursor: str | None = None, **options: Any) -> EventLogConnection:
        try:
            connection: EventLogConnection = self._storage.get_records_for_run(run_id, cursor=cursor, **options)
        except DATABASE_ERRORS:
            return EventLogConnection([], cursor or EventLogCursor.from_storage_id(0).to_string(), has_more=True)
        return connection
