"""The command `billingo-assets`: for the terminal, for cron, for the set-up. Runs make their own decisions.

A command's module is loaded when it is called: `--help` must not wait for Dagster.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import click

import billingo_assets
from billingo_assets import redaction
from billingo_assets.cli.output import give_up_output, is_of_output, say, stop_output
from billingo_assets.errors import BillingoAssetsError, ConfigurationError
from billingo_assets.startup import loading

COMMANDS = {
    "alert": "billingo_assets.cli.alert:alert",
    "audit": "billingo_assets.cli.audit:audit",
    "company": "billingo_assets.cli.company:company",
    "database": "billingo_assets.cli.database:database",
    "demo": "billingo_assets.cli.demo:demo",
    "dev": "billingo_assets.cli.dev:dev",
    "doctor": "billingo_assets.cli.doctor:doctor",
    "history": "billingo_assets.cli.history:history",
    "sandbox": "billingo_assets.cli.sandbox:sandbox",
    "status": "billingo_assets.cli.status:status",
    "sync": "billingo_assets.cli.sync:sync",
}

READER_GONE = 128 + signal.SIGPIPE
"""The exit code if a reader such as `head` closed the pipe, as a shell shows it for any other program."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        with loading():
            command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Every Billingo invoice of every company in one PostgreSQL.",
)
@click.version_option(billingo_assets.__version__, prog_name="billingo-assets")
@click.option("--verbose", is_flag=True, help="Show tracebacks.")
def cli(verbose: bool) -> None:
    """Hold the commands. `--verbose` is for `main`, which prints the errors of them all."""


def main() -> None:
    """Entry point: run the command, and print a foreseeable error in words on standard error."""
    os.umask(0o077)  # files and sockets of commands and their services are for this user alone
    output = sys.stdout
    try:
        _run()
    except SystemExit:
        if sys.stdout is output:
            raise
        stop_output(output)  # it is closed: click noticed, and has replaced it
        sys.exit(READER_GONE)
    except OSError as error:
        if not is_of_output(error):
            raise
        give_up_output(error)
        sys.exit(READER_GONE if isinstance(error, BrokenPipeError) else 1)


def _run() -> None:
    verbose = "--verbose" in sys.argv[1:]
    try:
        _require_text(sys.argv[1:])
        cli(prog_name="billingo-assets")
    except BillingoAssetsError as error:
        if verbose:
            say(redaction.traceback_of(error).rstrip("\n"), err=True)
        say(f"billingo-assets: {error}", err=True)
        sys.exit(error.exit_code)


def _require_text(words: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8: they arrive as lone surrogates, which PostgreSQL and terminals refuse."""
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        raise ConfigurationError("An argument is not text in UTF-8.") from None
