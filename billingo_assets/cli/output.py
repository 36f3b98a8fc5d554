"""Output that may be lost, and work that may not: a full disk or a closed pipe ends what is said, not what is done."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from billingo_assets.foreign import visible, visible_json, visible_lines


def say(text: str, *, err: bool = False, fg: str | None = None, bold: bool | None = None) -> None:
    """Print a line, or several. Whatever a terminal would obey in it, others wrote, and it is not printed."""
    click.echo(click.style(visible_lines(text), fg=fg, bold=bold) if fg or bold else visible_lines(text), err=err)


def say_parts(*parts: str | tuple[str, str]) -> None:
    """Print one line of several parts; one that is a pair is a text and its colour."""
    shown = (
        visible(part) if isinstance(part, str) else click.style(visible(part[0]), fg=part[1], bold=True)
        for part in parts
    )
    click.echo("".join(shown))


def say_json(value: Any) -> None:
    """Print one JSON object, its invisible characters as escapes."""
    click.echo(visible_json(json.dumps(value, ensure_ascii=False)))


@contextmanager
def losing_output() -> Iterator[None]:
    """Say what the block prints; where that is impossible, say so once on standard error and go on in silence."""
    try:
        yield
    except OSError as error:
        give_up_output(error, "; the work goes on")


def is_of_output(error: OSError) -> bool:
    """Whether it is what a write to a stream ends with; a file that is opened has its name in the error."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)


def give_up_output(error: OSError, consequence: str = "") -> None:
    """Say that standard output cannot be written, if that can be said, and print nothing more there."""
    _silence(sys.stdout)
    try:
        click.echo(f"billingo-assets: The output cannot be written ({error.strerror}){consequence}.", err=True)
    except OSError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Lead the stream nowhere, what it still holds included: the interpreter writes that at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
