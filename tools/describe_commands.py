"""Writes docs/commands.md from the help of every command: `python -m tools.describe_commands`; or `--check`s it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from billingo_assets.cli import cli

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
WIDTH = 100

OPENING = """# Commands

Generated from the commands' help by `python -m tools.describe_commands`; do not edit it by hand.

In a checkout, the program is `.venv/bin/billingo-assets`. `--verbose` before a command adds the traceback of an error.
"""


def describe() -> str:
    """The page, as text."""
    return "\n".join([OPENING, *_chapters(cli, "billingo-assets", None)])


def _chapters(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    shape = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **shape)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from _chapters(found, child, context)


def main() -> None:
    """Write the page, or say that it is out of date."""
    text = describe()
    if "--check" in sys.argv[1:]:
        sys.exit(
            "docs/commands.md is out of date: python -m tools.describe_commands" if PAGE.read_text() != text else 0
        )
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
