"""Output that may be lost, and work that may not: a full disk or a closed pipe ends what is said, not what is done."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from billingo_assets import colours
from billingo_assets.text import visible, visible_json, visible_lines

HANG = 2
"""How far what goes on in a new line stands to the right of where it began."""


def say(text: str, *, err: bool = False, fg: str | None = None, bold: bool | None = None) -> None:
    """Print a line, or several. Whatever a terminal would obey in it, others wrote, and it is not printed."""
    shown = visible_lines(text)
    _print(click.style(shown, fg=fg, bold=bold) if fg or bold else shown, err=err)


def say_parts(*parts: str | tuple[str, str], hang: int = HANG) -> None:
    """Print one line of several parts; one that is a pair is a text and its colour.

    On a terminal that is too narrow for it, the line goes on `hang` columns to the right of where it begins.
    """
    shown = (
        visible(part) if isinstance(part, str) else click.style(visible(part[0]), fg=part[1], bold=True)
        for part in parts
    )
    _print("".join(shown), hang=hang)


def _print(text: str, *, err: bool = False, hang: int = HANG) -> None:
    stream = sys.stderr if err else sys.stdout
    if not colours.are_wanted(stream):
        text = click.unstyle(text)
    if columns := _columns(stream):
        text = "\n".join(_wrapped(line, columns, hang) for line in text.split("\n"))
    click.echo(text, err=err)


def _columns(stream: TextIO) -> int:
    """How wide the terminal is. 0 where there is none: for grep, a line is whole."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def _wrapped(line: str, columns: int, hang: int) -> str:
    """Break a line between words, and none of them: a link or a command can still be copied."""
    plain = click.unstyle(line)
    if len(plain) <= columns:
        return line
    indent = " " * (len(plain) - len(plain.lstrip(" ")) + hang)
    wrapped, used = "", 0
    for word in re.findall(" *[^ ]+", line):
        if used and used + len(click.unstyle(word)) > columns:
            word = indent + word.lstrip(" ")
            wrapped, used = wrapped + "\n", 0
        wrapped, used = wrapped + word, used + len(click.unstyle(word))
    return wrapped


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
    """Print nothing more on standard output, and say why, if that can be said.

    Nothing is said of a reader such as `head`, which has what it wanted and is gone.
    """
    stop_output(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return
    try:
        click.echo(f"billingo-assets: The output cannot be written ({error.strerror}){consequence}.", err=True)
    except OSError:
        _silence(sys.stderr)


def stop_output(output: TextIO) -> None:
    """Lead the output nowhere, and standard error as well where that is closed, as by `2>&1 | head`."""
    _silence(output)
    try:
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Lead the stream nowhere, what it still holds included: the interpreter writes that at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
