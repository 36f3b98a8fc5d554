"""The pages say what there is: every command, option, setting, table and check, and nothing that is not there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator

import click
import pytest

from billingo_assets.checks import CHECKS
from billingo_assets.cli import cli
from billingo_assets.project import checkout
from billingo_assets.settings import Settings
from billingo_assets.warehouse.tables import metadata
from tools import describe_commands, describe_tables

ROOT = checkout()
assert ROOT is not None
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "deploy" / "README.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path != describe_commands.PAGE),
]
INTERNAL = {"BILLINGO_SANDBOX_URL"}
"""Set by the command that serves the demo's API, for the processes that it starts."""


def settings() -> dict[str, object]:
    return {f"BILLINGO_{name.upper()}": field.get_default() for name, field in Settings.model_fields.items()}


def commands_shown(text: str) -> Iterator[list[str]]:
    """The words of every `billingo-assets …` within the code of a page, up to what a shell would take for itself."""
    blocks = re.compile(r"^ *```\w*\n(.*?)^ *```", re.M | re.S)
    code = [*blocks.findall(text), *re.findall(r"`([^`]+)`", blocks.sub("", text))]
    for piece in code:
        for line in piece.replace("\\\n", " ").splitlines():
            for found in re.findall(r"(?<![\w/-])(?:\S*/)?billingo-assets( [^|>#;&\"')]*)", line):
                yield shlex.split(found)


def resolve(words: list[str]) -> None:
    """Follow the words through the commands. Raises AssertionError at one that is not there."""
    command: click.Command = cli
    context = click.Context(cli)
    for word in words:
        if word.startswith("-"):
            known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
            assert word.partition("=")[0] in known | {"--help"}, f"{command.name} has no option {word}"
        elif isinstance(command, click.Group):
            if "|" in word or word in ("…", "COMMAND"):
                return
            found = command.get_command(context, word)
            assert found is not None, f"{command.name} has no command {word}"
            command = found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_shows_exists(page: str) -> None:
    for words in commands_shown(page.read_text(encoding="utf-8")):  # type: ignore[attr-defined]
        resolve(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_within_the_project_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#\s]+)", page.read_text(encoding="utf-8")):  # type: ignore[attr-defined]
        assert (page.parent / target).exists(), target  # type: ignore[attr-defined]


def test_the_generated_pages_are_up_to_date() -> None:
    assert describe_tables.PAGE.read_text(encoding="utf-8") == describe_tables.describe()
    assert describe_commands.PAGE.read_text(encoding="utf-8") == describe_commands.describe()


def test_every_setting_is_explained_and_in_the_example() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    written = set(re.findall(r"^#(BILLINGO_\w+)=", example, re.M))
    assert written == settings().keys() - INTERNAL
    for name in written:
        assert f"`{name}" in page, name


def test_the_example_names_every_variable_that_the_page_of_settings_does() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"BILLINGO_\w+", page)) - set(re.findall(r"BILLINGO_\w+", example))) == []


def test_the_example_has_the_defaults() -> None:
    example = dict(re.findall(r"^#(BILLINGO_\w+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M))
    for name, default in settings().items():
        if isinstance(default, str | int | float) and name not in INTERNAL:
            assert example[name].removesuffix(".0") == str(default).removesuffix(".0"), name


def test_every_table_is_in_the_page_of_tables_with_a_comment_on_each_column() -> None:
    assert {name for names in describe_tables.CHAPTERS.values() for name in names} == {
        table.name for table in metadata.sorted_tables
    }
    for table in metadata.sorted_tables:
        assert table.comment, table.name
        assert [column.name for column in table.columns if not column.comment] == []


OF_THE_SHELL = {"command not found"}


def texts(node: ast.AST) -> Iterator[str]:
    """The texts of a module, each as it is put together; what is filled in is a NUL character."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in child.values)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value
        else:
            yield from texts(child)


def test_every_message_that_the_page_for_troubles_quotes_is_said() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    modules = (ROOT / "billingo_assets").rglob("*.py")
    said = [text for module in modules for text in texts(ast.parse(module.read_text(encoding="utf-8")))]
    quoted = set(re.findall(r'"([^"]+)"', page)) - OF_THE_SHELL
    assert len(quoted) > 20
    pieces = {piece.strip() for words in quoted for piece in re.split(r"…|[0-9]+|: |`", words)} - {""}
    assert sorted(piece for piece in pieces if not any(piece in text for text in said)) == []


def test_every_check_is_in_the_page_for_troubles() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert [name for name in CHECKS if f"`{name}`" not in page and name not in page] == []
