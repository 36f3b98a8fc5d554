"""Reads whether Dagster's daemon runs, and how far it has come with retries of failed runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

SILENCE = timedelta(minutes=2)
"""How long all parts of a running daemon may be silent: each reports every half minute that it is alive.

A single part may be busy for longer. Dagster judges each part, and allows half an hour.
"""

RETRIER = EventLogConsumerDaemon.daemon_type()
"""The part that reads the event log for failed runs, and retries them."""
RETRIER_CURSOR = f"EVENT_LOG_CONSUMER_CURSOR-{dg.DagsterEventType.RUN_FAILURE.value}"


@dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon at a moment.

    `unhealthy` are the parts that should run and do not. `retried_until` is the storage id of the last failure of a
    run that the daemon has dealt with; None where it retries nothing: retries are off, or it never ran.
    `retries_break` when the part that retries reports errors.
    """

    runs: bool
    unhealthy: tuple[str, ...] = ()
    retried_until: int | None = None
    retries_break: bool = False


def read_daemon(instance: dg.DagsterInstance, now: datetime) -> Daemon:
    """Read the state of the daemon from Dagster's storage."""
    statuses = instance.get_daemon_statuses()
    beats = [status.last_heartbeat.timestamp for status in statuses.values() if status.last_heartbeat]
    cursor = instance.daemon_cursor_storage.get_cursor_values({RETRIER_CURSOR}).get(RETRIER_CURSOR)
    heartbeat = statuses[RETRIER].last_heartbeat if RETRIER in statuses else None
    return Daemon(
        runs=bool(beats) and datetime.fromtimestamp(max(beats), UTC) > now - SILENCE,
        unhealthy=tuple(sorted(name.lower() for name, status in statuses.items() if not status.healthy)),
        retried_until=int(cursor) if cursor is not None and instance.run_retries_enabled else None,
        retries_break=bool(heartbeat and heartbeat.errors),
    )
