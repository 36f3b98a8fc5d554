"""Keeps secrets out of whatever is said: log records, tracebacks, error messages, Dagster's event log.

A secret is remembered where it is read or decrypted, and from then on no log record of this process holds it. What
else is shown or stored of an error goes through `redact`. Nothing here knows which secrets there are, nor Dagster.
"""

from __future__ import annotations

import html
import json
import logging
import re
import sys
import threading
import traceback
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

SHOWN = "***"

SHORTEST = 6
"""Characters. Shorter text is part of too many words, and is easily guessed."""

LONG = 12
"""Characters from which on a secret is found within a word too."""


_HEXADECIMAL = re.compile("%..")


class Redactor:
    """The secrets that are known, and texts without them."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def remember(self, *secrets: SecretStr | str | None) -> None:
        """Know these from now on, and the forms that they take in URLs, in HTML, in Python's and in JSON's quotes."""
        forms = set()
        for secret in secrets:
            text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
            if text is not None and len(text) >= SHORTEST:
                quoted = {quote(text, safe=""), quote(text), quote(text, safe=" +"), quote_plus(text)}
                forms |= {text, repr(text)[1:-1], json.dumps(text)[1:-1], html.escape(text), *quoted}
                forms |= {_HEXADECIMAL.sub(lambda digits: digits[0].lower(), form) for form in quoted}
        with self._lock:
            # The longest first, or what holds another would be left in part.
            self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))

    def forget(self) -> None:
        """Know none any more."""
        with self._lock:
            self._forms = ()

    def redact(self, text: str) -> str:
        """Return the text with `***` in place of each secret."""
        for form in self._forms:
            if form in text:  # quicker than one pattern of all, which would be compiled again for each company
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
    """The traceback, as Python prints it, without secrets."""
    return redact("".join(traceback.format_exception(error)))


def install() -> None:
    """From now on, let no log record that this process makes hold a secret, whichever logger or handler it is for.

    Nor a traceback that ends the process or a thread. To call it again changes nothing.
    """
    # Not a filter on each handler: there are handlers that we do not see made, Dagster's and the web server's among
    # them. Python makes every record here.
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _RedactedRecords):
        logging.setLogRecordFactory(_RedactedRecords(factory))
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _print_uncaught_in_thread


class _RedactedRecords(partial[logging.LogRecord]):
    """Makes log records, and takes the secrets out of them."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = super().__call__(*args, **kwargs)
        try:
            said = record.getMessage()
        except Exception:  # of any type: its arguments do not fit. The handler says so, and shows them.
            record.msg, record.args, said = f"{record.msg} {record.args}", None, f"{record.msg} {record.args}"
        if (clean := redact(said)) != said:
            record.msg, record.args = clean, None
        if record.exc_info and record.exc_info[1]:
            told = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            if (clean := redact(told)) != told:
                # As text, of which a formatter makes the same; the exception itself would be formatted once more.
                record.exc_info, record.exc_text = None, clean
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return record


def _print_uncaught(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    if sys.stderr is not None:
        sys.stderr.write(traceback_of(error))


def _print_uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and told.exc_type is not SystemExit and sys.stderr is not None:
        name = told.thread.name if told.thread else "?"
        sys.stderr.write(f"Exception in thread {name}:\n{traceback_of(told.exc_value)}")
