"""`billingo-assets company export|erase`: writes a company's data to files, and deletes it for good."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from billingo_assets.cli.asking import asking
from billingo_assets.cli.ending import ending_as_on_ctrl_c
from billingo_assets.cli.output import say
from billingo_assets.companies.formats import DEFAULT_FORMATS, FORMATS, NOTES
from billingo_assets.companies.registry import get_company
from billingo_assets.companies.session import changing_company, connected
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import load_settings

NOTHING_EXPORTED = "Nothing was exported, and what was written is deleted."


def _folder(_context: click.Context, _option: click.Parameter, named: str) -> Path:
    if not named:
        raise click.BadParameter("name a folder; the present one is `.`.")
    return Path(named)


def _formats(_context: click.Context, _option: click.Parameter, given: Sequence[str]) -> list[str]:
    wanted = [word.strip() for words in given for word in words.split(",")]
    for word in wanted:
        if word not in FORMATS:
            raise click.BadParameter(f"there is no format {word!r}. Choose from {', '.join(FORMATS)}.")
    return [name for name in FORMATS if name in wanted]


@click.command(short_help="Write a company's data to files.")
@click.argument("key")
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(file_okay=False),
    callback=_folder,
    help="Folder to write to; created if missing. No file in it is overwritten.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT[,FORMAT]...",
    default=DEFAULT_FORMATS,
    callback=_formats,
    help=f"{', '.join(FORMATS)}.  [default: {','.join(DEFAULT_FORMATS)}]",
)
def export(key: str, folder: Path, formats: Sequence[str]) -> None:
    """Write everything that is stored about a company, removed or not, to files that only you can read.

    \b
    parquet  for archives and programs; every company has the same types
    csv      for programs: separated by commas, with decimal points
    csv-hu   for a Hungarian spreadsheet: semicolons and decimal commas
    xlsx     for any spreadsheet: real numbers and dates, a workbook per table

    A spreadsheet runs no text in these files as a formula. manifest.json is written last. It lists the rows of each
    table, the SHA-256 of each file, and how many values a format could not hold unchanged.
    """  # noqa: D301 - the mark of click, which keeps the list as it is
    from billingo_assets.companies.exporting import export_company

    with connected(load_settings()) as connection, ending_as_on_ctrl_c(NOTHING_EXPORTED):
        written = export_company(connection, get_company(connection, key, removed_too=True), folder, formats)
    for table, one in written.items():
        say(f"{table + ':':<22} {one.rows:>12,} rows")
    for file, notes in ((file, notes) for one in written.values() for file, notes in one.notes.items()):
        for note, number in notes.items():
            say(f"note: {file}: {number:,} {NOTES[note]}.")
    say(f"Everything of {key} is in {folder}, except its API key.")


@click.command(short_help="Delete everything about a company.")
@click.argument("key")
@click.option("--yes-erase", "confirmed", metavar="KEY", help="Skip the confirmation: the company's key again.")
def erase(key: str, confirmed: str | None) -> None:
    """Delete everything about a company, removed or not: its documents, their history, its runs, its API key.

    The audit log keeps who did it, how many rows it was, and a checksum of the documents. Accounting records have to be
    kept for eight years: run `company export` first.
    """
    from billingo_assets.companies.erasing import erase_company
    from billingo_assets.dagster_support.instance import open_instance, remove_partition
    from billingo_assets.run_history.deletion import delete_run_history

    settings = load_settings()
    with connected(settings) as connection, open_instance(settings) as instance:
        entry = get_company(connection, key, removed_too=True)
        connection.rollback()
        if confirmed is None:
            say(f"Everything stored about {key} ({entry.name}) will be deleted, with the history of its runs.")
            say("Hungarian law requires accounting records to be kept for at least eight years.")
            say(f"To keep the documents: billingo-assets company export {key} --to FOLDER")
            with asking(without=f"--yes-erase {key}"):
                confirmed = click.prompt("Type the company's key to erase it", default="", show_default=False)
        if confirmed != key:
            raise ConfigurationError(f"That is not {key}. Nothing was deleted.")
        with changing_company(connection, entry, settings, by="`billingo-assets company erase`"):
            erased = erase_company(connection, entry)
            # Before the commit: if this breaks off, the company still exists and can be erased again.
            remove_partition(instance, key)
            runs = delete_run_history(instance, key)
    rows = sum(erased["rows"].values())
    say(f"Erased {key}: {erased['documents']:,} documents, {rows:,} rows in all, {runs:,} runs.")
    say(f"SHA-256 of its documents: {erased['documents_sha256']}. It is in the audit log.")
