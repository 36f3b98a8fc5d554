"""Prints output that may be lost: a full disk or a closed pipe ends the output, not the work."""

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
"""How far a continuation line is indented, in columns."""


def say(text: str, *, err: bool = False, fg: str | None = None, bold: bool | None = None) -> None:
    """Print one line or several, without characters that a terminal would obey: they come from others."""
    shown = visible_lines(text)
    _print(click.style(shown, fg=fg, bold=bold) if fg or bold else shown, err=err)


def say_parts(*parts: str | tuple[str, str], hang: int = HANG) -> None:
    """Print one line of several parts; a pair is a text and its colour.

    On a terminal that is too narrow, the line continues on the next one, indented by `hang` columns.
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
    """The width of the terminal; 0 without one, so that lines stay whole for grep."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def _wrapped(line: str, columns: int, hang: int) -> str:
    """Break a line between words, never within one, so that links and commands can be copied."""
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
    """Print one JSON object, with invisible characters as escapes."""
    click.echo(visible_json(json.dumps(value, ensure_ascii=False)))


@contextmanager
def losing_output() -> Iterator[None]:
    """Print the block's output; if that is impossible, report it once on standard error and continue silently."""
    try:
        yield
    except OSError as error:
        give_up_output(error, "; the command continues without it")


def is_of_output(error: OSError) -> bool:
    """Whether writing to a stream raised it; an error of opening a file would contain a file name."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)


def give_up_output(error: OSError, consequence: str = "") -> None:
    """Print nothing more on standard output, and report why, if possible.

    A reader such as `head`, which has read enough, is not reported.
    """
    stop_output(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return
    try:
        click.echo(f"billingo-assets: The output cannot be written ({error.strerror}){consequence}.", err=True)
    except OSError:
        _silence(sys.stderr)


def stop_output(output: TextIO) -> None:
    """Discard the output, and standard error as well if it is closed, as by `2>&1 | head`."""
    _silence(output)
    try:
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Discard the stream, including its buffer, which the interpreter would write at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
