"""Keeps secrets out of log records, tracebacks, error messages and Dagster's event log.

A secret is remembered where it is read or decrypted, and from then on no log record of this process contains it. All
other text of an error that is shown or stored goes through `redact`. Callers name the secrets. No Dagster.
"""

from __future__ import annotations

import html
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

SHOWN = "***"

SHORTEST = 6
"""The shortest secret, in characters: shorter text is part of too many words, and is easily guessed."""

LONG = 12
"""From this many characters on, a secret is also found within a word."""


_HEXADECIMAL = re.compile("%..")


class Redactor:
    """Remembers secrets, and removes them from texts."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def remember(self, *secrets: SecretStr | str | None) -> None:
        """Remember these, and their spellings in URLs, in HTML, and in quoted Python and JSON."""
        forms = set()
        for secret in secrets:
            text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
            if text is not None and len(text) >= SHORTEST:
                quoted = {quote(text, safe=""), quote(text), quote(text, safe=" +"), quote_plus(text)}
                forms |= {text, repr(text)[1:-1], json.dumps(text)[1:-1], html.escape(text), *quoted}
                forms |= {_HEXADECIMAL.sub(lambda digits: digits[0].lower(), form) for form in quoted}
        with self._lock:
            # The longest first, or part of a secret that contains another would remain.
            self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))

    def forget(self) -> None:
        """Forget all secrets."""
        with self._lock:
            self._forms = ()

    def redact(self, text: str) -> str:
        """Return the text with `***` in place of each secret."""
        for form in self._forms:
            if form in text:  # quicker than one pattern of all, which would have to be compiled for each company
                is_long = len(form) >= LONG
                text = text.replace(form, SHOWN) if is_long else re.sub(_word(form), SHOWN, text)
        return text


def _word(form: str) -> str:
    return rf"(?<!\w){re.escape(form)}(?!\w)"


_known = Redactor()
remember = _known.remember
forget = _known.forget
redact = _known.redact


def traceback_of(error: BaseException) -> str:
    """Format the traceback as Python prints it, without secrets."""
    return redact("".join(traceback.format_exception(error)))


def install() -> None:
    """From now on, keep secrets out of all log records of this process, for any logger and handler.

    The same holds for tracebacks that end the process or a thread. To call it again changes nothing.
    """
    # Not a filter on each handler: we do not see all handlers created, for example those of Dagster and the web server.
    # Python makes every record here.
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _RedactedRecords):
        logging.setLogRecordFactory(_RedactedRecords(factory))
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _print_uncaught_in_thread


@dataclass(frozen=True)
class _RedactedRecords:
    """Makes log records without secrets."""

    make: Callable[..., logging.LogRecord]

    def __call__(self, /, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.make(*args, **kwargs)
        try:
            said = record.getMessage()
        except Exception:  # of any type: its arguments do not fit. The handler reports that, and shows them.
            record.msg, record.args, said = f"{record.msg} {record.args}", None, f"{record.msg} {record.args}"
        if (clean := redact(said)) != said:
            record.msg, record.args = clean, None
        if record.exc_info and record.exc_info[1]:
            written = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            if (clean := redact(written)) != written:
                # As text, which a formatter prints as it is; it would format the exception itself once more.
                record.exc_info, record.exc_text = None, clean
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return record


def _print_uncaught(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    if sys.stderr is not None:
        sys.stderr.write(traceback_of(error))


def _print_uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and ended.exc_type is not SystemExit and sys.stderr is not None:
        name = ended.thread.name if ended.thread else "?"
        sys.stderr.write(f"Exception in thread {name}:\n{traceback_of(ended.exc_value)}")
