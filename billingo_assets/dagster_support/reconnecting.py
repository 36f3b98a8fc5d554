"""Helps Dagster's processes through a restart of PostgreSQL: checks connections, and logs an outage in two lines.

Dagster (1.13) does not check pooled connections before it uses them, so the first page after a restart was an error.
Its threads retry, each with a traceback for each try: over a hundred lines, several times a minute. The UI and the
daemon log an outage. Their code servers and runs do not, because many are started during a long outage.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import Engine, Pool, event
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import URL, CreateEnginePlugin, ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError

from billingo_assets.errors import DatabaseUnavailableError

PLUGIN = "billingo_reconnecting"
"""In a database URL, `?plugin=…` makes SQLAlchemy apply the class `Reconnecting` to each engine of that URL."""

AFTERMATH_SECONDS = 60
"""How long after an outage its errors may still be logged: retries fail later."""

UNREACHABLE = (DagsterPostgresException, DatabaseUnavailableError)
DATABASE_ERRORS = (OperationalError, InterfaceError, *UNREACHABLE)

SERVICES = {
    "billingo_assets.dagster_support.webserver": "The UI",
    "dagster_webserver": "The UI",
    "dagster-webserver": "The UI",
    "dagster._daemon": "The daemon",
    "dagster-daemon": "The daemon",
}
"""The programs and modules that log an outage, with their names for people."""

_log = logging.getLogger("dagster.database")


def service() -> str | None:
    """The service that this process is, by its command line."""
    return next((SERVICES[name] for word in sys.orig_argv if (name := Path(word).name) in SERVICES), None)


class Outage:
    """Whether PostgreSQL answers this process, and since when it does not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: float | None = None
        self._ended = float("-inf")
        self._cause: BaseException | None = None

    def cause(self) -> BaseException | None:
        """The error that the outage began with; None if PostgreSQL answers."""
        return self._cause

    def begin(self, error: BaseException) -> None:
        """Log that PostgreSQL does not answer, once until it does."""
        with self._lock:
            if self._began is not None:
                return
            self._began, self._cause = time.monotonic(), error
        if who := service():
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            _log.error("PostgreSQL does not answer: %s. %s keeps trying until it does.", reason, who)

    def end(self) -> None:
        """Log that PostgreSQL answers again, if it did not."""
        if self._began is None:  # without the lock: this runs for each connection
            return
        with self._lock:
            if self._began is None:
                return
            seconds = time.monotonic() - self._began
            self._began, self._cause, self._ended = None, None, time.monotonic()
        if who := service():
            _log.warning("PostgreSQL answers again, after %.0f seconds. %s continues.", seconds, who)

    def is_recent(self) -> bool:
        """Whether errors that are logged now may still come from an outage."""
        return self._began is not None or time.monotonic() - self._ended < AFTERMATH_SECONDS


_outage = Outage()
begin_outage = _outage.begin
end_outage = _outage.end
cause_of_outage = _outage.cause


class Reconnecting(CreateEnginePlugin):
    """Checks each pooled connection before it is used, and notices when PostgreSQL stops and starts to answer."""

    def update_url(self, url: URL) -> URL:
        """The plugin has no options."""
        return url

    def handle_pool_kwargs(self, pool_cls: type[Pool], pool_args: dict[str, Any]) -> None:
        """Have the pool replace connections that a restart has cut."""
        pool_args["pre_ping"] = True

    def engine_created(self, engine: Engine) -> None:
        """Listen for connections that are made and that fail."""
        event.listen(engine, "connect", lambda *_: _outage.end())
        event.listen(engine, "handle_error", _note_failure)


plugins.register(PLUGIN, __name__, Reconnecting.__name__)


def _note_failure(context: ExceptionContext) -> None:
    never_connected = context.connection is None
    # A connection that was idle may be cut without an outage: the pool makes another.
    if not context.is_pre_ping and (never_connected or context.is_disconnect):
        _outage.begin(context.original_exception)


@dataclass(frozen=True)
class _Records:
    """Makes log records. Errors of an outage become debug records, and so are not shown after the first."""

    make: Callable[..., logging.LogRecord]

    def __call__(self, /, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.make(*args, **kwargs)
        # `logging.makeLogRecord`, which Dagster uses, fills in the level afterwards.
        if (record.levelno or logging.NOTSET) >= logging.WARNING and record.name != _log.name:
            lines = _lines(record)
            if _outage.is_recent() and _naming(DATABASE_ERRORS, lines):
                record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
            elif reason := _naming(UNREACHABLE, lines):  # of another process, for example a code server
                record.msg = lines[0] if lines[0] == reason else f"{lines[0]} {reason}"
                record.args, record.exc_info, record.exc_text = None, None, None
        return record


def _lines(record: logging.LogRecord) -> list[str]:
    error = record.exc_info[1] if record.exc_info else None
    trace = "".join(traceback.format_exception(error)) if error else record.exc_text
    return f"{record.getMessage()}\n{trace or ''}".splitlines()


def _naming(errors: tuple[type[Exception], ...], lines: list[str]) -> str | None:
    """The last line that names one of the errors: the one finally raised."""
    return next((line for line in reversed(lines) if any(error.__name__ in line for error in errors)), None)


def _is_not_dagsters(record: logging.LogRecord) -> bool:
    return not record.name.startswith("dagster")


_installed = threading.Lock()


def install() -> None:
    """Make this process log an outage in two lines. To call it again changes nothing."""
    if not _installed.acquire(blocking=False):
        return
    # In makeRecord: handlers are made by Dagster later, and replaced.
    logging.setLogRecordFactory(_Records(logging.getLogRecordFactory()))
    root = logging.getLogger()
    if not root.handlers:
        # dagster-postgres logs to the root logger, which would give it a handler that prints Dagster's lines again.
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.addFilter(_is_not_dagsters)
        root.addHandler(handler)
