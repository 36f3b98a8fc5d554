"""Any words whatever behind any command: an exit code that is promised, words, and no traceback."""

from __future__ import annotations

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import URL

from billingo_assets.cli import cli
from billingo_assets_tests.cli.conftest import Command
from billingo_assets_tests.support.fuzz_running import run_property


def commands_of(group: click.Group, before: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Every command that does something, by its words."""
    found: dict[tuple[str, ...], click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found |= commands_of(command, (*before, name))
        elif command is not None:
            found[*before, name] = command
    return found


COMMANDS = commands_of(cli)
STAYS = {("dev",), ("sandbox",), ("demo",), ("database", "psql"), ("database", "dump")}
"""Commands that go on until they are stopped, start a server or become another program: they are called wrongly."""

# What the system can hand over as a word: no NUL, and bytes that are no UTF-8 as surrogates.
ANY_WORD = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12) | st.just(
    "\udcff"
)
OURS = (
    *("--help", "-h", "--json", "--name", "--id", "--days", "--company", "--limit", "--failed", "--full", "--yes"),
    *("--api-key-stdin", "--schedule", "--verbose", "--port", "--", "daily", "manual", "a-key", "x", "x" * 64),
    *("0", "1", "-1", str(2**63), "nan", "1e5", "\x1b[2J", "--\x1b[31m", "=1+1", "%s", "{0}", "*"),
)
WORDS = ANY_WORD | st.sampled_from(OURS)


def test_any_words_behind_any_command_end_in_words(
    command: Command, database: URL, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    @given(st.sampled_from(sorted(COMMANDS)), st.lists(WORDS, max_size=4), st.text(max_size=5))
    @example(("company", "check"), ["\udcff"], "")
    @example(("alert", "test"), ["\udcff"], "")
    def check(called: tuple[str, ...], words: list[str], stdin: str) -> None:
        wrong = ["--no-such-option"] if called in STAYS else []
        if called == ("database", "psql"):
            return  # it hands every word to psql, wrong ones too
        answer = command(*called, *wrong, *words, stdin=stdin)
        assert answer.code in (0, 1, 2)
        assert "Traceback" not in answer.out
        assert "--verbose" in words or "Traceback" not in answer.err  # it is what that option is for
        assert all(line.isprintable() for line in answer.out.split("\n"))

    in_all: int = request.config.getoption("--fuzz")
    line = run_property("command lines", check, inputs=max(60, in_all // 50), repeatable=not in_all)
    if in_all:
        with capsys.disabled():
            print(line)  # noqa: T201 - what it is for
