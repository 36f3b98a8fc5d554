"""Decides on colours: none in a file, on a terminal without them, or with NO_COLOR."""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from typing import Any, TextIO


def are_wanted(stream: TextIO) -> bool:
    """Whether the stream is a terminal with colours, and NO_COLOR (https://no-color.org) is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def take_out_of_dagsters_logs() -> None:
    """Make this process of Dagster write plain lines. Dagster itself offers only colours everywhere, or JSON."""
    from dagster._utils.log import define_default_formatter

    coloredlogs: Any = import_module("coloredlogs")
    coloured = coloredlogs.ColoredFormatter
    if are_wanted(sys.stdout) or not isinstance(coloured, type):
        return
    coloredlogs.ColoredFormatter = _plain  # for loggers that are configured later
    for name in ("dagster", "dagster-webserver"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler.formatter, coloured):
                handler.setFormatter(define_default_formatter())


def _plain(fmt: str, datefmt: str, **_styles: object) -> logging.Formatter:
    return logging.Formatter(fmt, datefmt)
