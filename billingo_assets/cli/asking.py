"""Asks before something is taken away, and says how not to be asked where nobody answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from billingo_assets.cli.output import say
from billingo_assets.errors import ConfigurationError


@contextmanager
def asking(without: str) -> Iterator[None]:
    """Let the block ask on standard input. Raises ConfigurationError, which tells `without`, if that has no answer."""
    nobody = ConfigurationError(f"No terminal for the confirmation. Pass {without} to skip it.")
    if sys.stdin is None:
        raise nobody
    try:
        yield
    except click.Abort:
        if sys.stdin.isatty():  # somebody is there, and pressed Ctrl-C
            raise
        say("")  # behind the question
        raise nobody from None
