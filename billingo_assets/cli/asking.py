"""Asks for confirmations, and says how to skip one if there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from billingo_assets.cli.output import say
from billingo_assets.errors import ConfigurationError


@contextmanager
def asking(without: str) -> Iterator[None]:
    """Let the block ask on standard input. Without an answer, raise a ConfigurationError that names `without`."""
    nobody = ConfigurationError(f"No terminal for the confirmation. Pass {without} to skip it.")
    if sys.stdin is None:
        raise nobody
    try:
        yield
    except click.Abort:
        if sys.stdin.isatty():  # a person pressed Ctrl-C
            raise
        say("")  # end the question's line
        raise nobody from None
