"""`billingo-assets company accept-…`: one command for each check with findings that a person may accept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import click
from sqlalchemy import Connection

from billingo_assets.cli.output import say
from billingo_assets.companies.registry import get_company
from billingo_assets.companies.session import connected
from billingo_assets.settings import load_settings
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.acceptances import accept_rejected, accept_unreconciled
from billingo_assets.warehouse.number_gaps import accept_gaps

MAX_IDS_RECORDED = 100
"""The most ids of accepted documents in an entry of the audit log; accepted_faults has them all."""

NO_LONGER = "The next sync no longer warns of them, and still warns of new ones."


class Accepted(NamedTuple):
    """The count of newly accepted findings, and the details for the audit log."""

    number: int
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A command that accepts a check's present findings for a company, so that it warns of other findings only.

    `action` is its name in the audit log. `found` names the findings, in the singular and plural; `nothing` and `done`
    are the command's answers.
    """

    command: str
    short_help: str
    help: str
    action: str
    accept: Callable[[Connection, int], Accepted]
    found: tuple[str, str]
    nothing: str
    done: str


def _numbers(connection: Connection, company_id: int) -> Accepted:
    number = accept_gaps(connection, company_id)
    return Accepted(number, {"numbers": number})


def _documents(accept: Callable[..., Sequence[int | None]]) -> Callable[[Connection, int], Accepted]:
    def accepting(connection: Connection, company_id: int) -> Accepted:
        accepted = accept(connection, company_id, actor=audit.machine_user())
        ids = sorted(id_ for id_ in accepted if id_ is not None)[:MAX_IDS_RECORDED]
        return Accepted(len(accepted), {"documents": len(accepted), "ids": ids})

    return accepting


ACCEPTANCES = (
    Acceptance(
        command="accept-gaps",
        short_help="Accept the invoice numbers that are missing.",
        help="""
        Accept the invoice numbers that are missing now. Look them up in Billingo first.

        From the next sync on, no_number_gaps warns of other numbers only. The audit log records who accepted how many.
        """,
        action="number gaps accepted",
        accept=_numbers,
        found=("missing invoice number", "missing invoice numbers"),
        nothing="No invoice number of {key} is missing that was not accepted before.",
        done="Accepted {found} of {key}.",
    ),
    Acceptance(
        command="accept-rejected",
        short_help="Accept the documents that are in quarantine.",
        help="""
        Accept the documents that are in quarantine now. Look them up in Billingo first.

        They stay in quarantine. From the next sync on, no_rejected_documents warns of other documents only, and of
        these again when their content changes. The audit log records who accepted which.
        """,
        action="rejected documents accepted",
        accept=_documents(accept_rejected),
        found=("document", "documents"),
        nothing="No document of {key} is in quarantine that was not accepted before.",
        done="Accepted {found} of {key} in quarantine.",
    ),
    Acceptance(
        command="accept-totals",
        short_help="Accept the totals that do not reconcile.",
        help="""
        Accept the totals that do not reconcile now. Look the invoices up in Billingo first.

        From the next sync on, totals_reconcile warns of other invoices only, and of these again when their content
        changes. The audit log records who accepted which.
        """,
        action="totals accepted",
        accept=_documents(accept_unreconciled),
        found=("invoice", "invoices"),
        nothing="No totals of {key} fail to reconcile that were not accepted before.",
        done="Accepted the totals of {found} of {key}.",
    ),
)


def accept_commands() -> Iterator[click.Command]:
    """Make the commands of the table."""
    for one in ACCEPTANCES:
        callback, key = partial(_accept, one), click.Argument(["key"])
        yield click.Command(one.command, callback=callback, params=[key], help=one.help, short_help=one.short_help)


def _accept(acceptance: Acceptance, key: str) -> None:
    with connected(load_settings()) as connection, connection.begin():
        company = get_company(connection, key)
        number, details = acceptance.accept(connection, company.id)
        if number:
            audit.record(connection, acceptance.action, company, details=details)
    if not number:
        say(acceptance.nothing.format(key=key))
        return
    found = f"{number:,} {acceptance.found[number > 1]}"
    say(f"{acceptance.done.format(found=found, key=key)} {NO_LONGER}")
