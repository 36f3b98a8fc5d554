"""Colours only where they are wanted: not in a file, not on a terminal that has none, not with NO_COLOR."""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from typing import Any, TextIO


def are_wanted(stream: TextIO) -> bool:
    """Whether the stream is a terminal that has colours, of one who has not declined them (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def take_out_of_dagsters_logs() -> None:
    """Have this process of Dagster write plain lines; it colours them wherever they go, or offers JSON."""
    from dagster._utils.log import define_default_formatter

    coloredlogs: Any = import_module("coloredlogs")
    coloured = coloredlogs.ColoredFormatter
    if are_wanted(sys.stdout) or not isinstance(coloured, type):
        return
    coloredlogs.ColoredFormatter = _plain  # for what is yet to be configured
    for name in ("dagster", "dagster-webserver"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler.formatter, coloured):
                handler.setFormatter(define_default_formatter())


def _plain(fmt: str, datefmt: str, **_styles: object) -> logging.Formatter:
    return logging.Formatter(fmt, datefmt)
