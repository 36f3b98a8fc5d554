"""`billingo-assets sync`: real Dagster runs, one for each company, and a summary for people or programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from billingo_assets.cli.demo_sandbox import serving_demo_companies
from billingo_assets.cli.ending import ending_as_on_ctrl_c
from billingo_assets.cli.output import losing_output, say, say_json
from billingo_assets.cli.summary import as_json, print_outcome, print_totals
from billingo_assets.companies.registry import Company, get_company, keyring_for, list_companies, why_not_any_more
from billingo_assets.companies.session import connected
from billingo_assets.errors import ConfigurationError, DatabaseError
from billingo_assets.settings import Settings, load_settings
from billingo_assets.startup import loading
from billingo_assets.warehouse.database import require_writable

if TYPE_CHECKING:
    from billingo_assets.run_history.outcomes import Outcome

ENDED = "The run under way is marked as failed; the data stored so far is kept, and the next sync continues."


@click.command(short_help="Bring companies up to date.")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--full", is_flag=True, help="Read every document, not only what is new or changed.")
@click.option("--accept-empty", is_flag=True, help="Accept that Billingo shows no document where there were some.")
@click.option(
    "--accept-difference",
    type=int,
    metavar="N",
    help="From now on, sync one company although Billingo counts N documents more than it shows.",
)
@click.option("--verbose", is_flag=True, help="Show the runs' logs, and tracebacks of errors.")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object on standard output.")
def sync(
    keys: tuple[str, ...],
    full: bool,
    accept_empty: bool,
    accept_difference: int | None,
    verbose: bool,
    wants_json: bool,
) -> None:
    """Bring the named companies, or every enabled one, up to date.

    The first sync of a company reads every document. Later ones read what is new or changed, and fall back to reading
    everything if Billingo's count differs from the number held. A full sync that was interrupted continues where it
    stopped.

    Each company is a run of its own in Dagster; a failure does not stop the others. Exit code: 0 all synced, 1 a
    company or one of its checks failed, 2 wrong usage or configuration, 130 ended by Ctrl-C.
    """
    started = time.monotonic()
    if accept_empty and not keys:
        raise ConfigurationError("Name the companies for which --accept-empty is meant.")
    if accept_difference is not None and len(keys) != 1:
        raise ConfigurationError("Name the one company for which --accept-difference is meant.")
    if accept_difference == 0:
        raise ConfigurationError("A difference of 0 needs no acceptance.")
    settings = load_settings()
    companies = _chosen(settings, keys)
    with ending_as_on_ctrl_c(ENDED), serving_demo_companies(companies, settings) as settings:
        outcomes = sync_companies(
            settings,
            companies,
            full=full or accept_empty or accept_difference is not None,
            accept_empty=accept_empty,
            accept_difference=accept_difference,
            verbose=verbose,
            print_blocks=not wants_json,
        )
    duration = time.monotonic() - started
    with losing_output():
        _print(outcomes, duration, wants_json)
    if any(outcome.has_failed for outcome in outcomes):
        sys.exit(1)


def _print(outcomes: list[Outcome], duration: float, wants_json: bool) -> None:
    if wants_json:
        say_json(as_json(outcomes, duration))
    else:
        print_totals(outcomes, duration)


def sync_companies(
    settings: Settings,
    companies: Sequence[Company],
    *,
    full: bool = False,
    accept_empty: bool = False,
    accept_difference: int | None = None,
    verbose: bool = False,
    print_blocks: bool = True,
) -> list[Outcome]:
    """Run the companies one after another; show the progress, and the outcome of each when it is done.

    A company that was disabled or removed before its turn is skipped, without an outcome.
    """
    # Imported here: Dagster takes a second to load, and a wrong key need not wait for it.
    with loading():
        from billingo_assets.cli.progress import SyncProgress
        from billingo_assets.dagster_support import in_process as runs
        from billingo_assets.dagster_support.instance import add_partitions, open_instance
        from billingo_assets.definitions import build_sync_job

        # Loaded before the first run: Ctrl-C during an import would leave half of it.
        from billingo_assets.sync import engine, refresh  # noqa: F401

        progress = SyncProgress(on_terminal=sys.stderr.isatty() and not verbose, quiet=not print_blocks and not verbose)
        job = build_sync_job(resource_overrides={"progress": progress.log})
    outcomes = []
    with open_instance(settings) as instance, progress:
        add_partitions(instance, [company.key for company in companies])
        for company in companies:
            if reason := _why_left_out(settings, company):
                with losing_output(), progress.paused():
                    say(reason, err=not print_blocks, fg="yellow")
                continue
            with progress.syncing(company.key):
                outcome = runs.sync(
                    company,
                    job=job,
                    instance=instance,
                    log_level="INFO" if verbose else "CRITICAL",
                    full=full,
                    accept_empty=accept_empty,
                    accept_difference=accept_difference,
                )
            outcomes.append(outcome)
            if print_blocks:
                with losing_output(), progress.paused():
                    print_outcome(outcome)
    return outcomes


def _why_left_out(settings: Settings, company: Company) -> str | None:
    """Why a company must be skipped when its turn comes; None if it is to be synced."""
    with suppress(DatabaseError), connected(settings) as connection:  # its run reports that itself
        return why_not_any_more(connection, company)
    return None


def _chosen(settings: Settings, keys: tuple[str, ...]) -> list[Company]:
    """The companies to sync. A wrong key or a missing encryption key ends the command before anything runs."""
    with connected(settings) as connection:
        require_writable(connection)
        if keys:
            companies = [get_company(connection, key) for key in dict.fromkeys(keys)]
        else:
            companies = list_companies(connection, enabled_only=True)
        if not companies:
            raise ConfigurationError(
                f"No company is enabled in this database ({settings.database_place})."
                " Add one with `billingo-assets company add KEY --name NAME`."
            )
        keyring_for(connection, settings)
    return companies
