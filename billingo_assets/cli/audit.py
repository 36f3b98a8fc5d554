"""`billingo-assets audit`: who did what to which company."""

from __future__ import annotations

import json
from datetime import timedelta

import click

from billingo_assets.cli.output import say, say_json
from billingo_assets.settings import load_settings
from billingo_assets.text import visible
from billingo_assets.warehouse.audit import records
from billingo_assets.warehouse.database import connecting, open_database


@click.command(short_help="Show who did what.")
@click.option("--company", "key", metavar="KEY", help="Only entries about this company, even if it was erased.")
@click.option("--days", type=click.IntRange(1, 36_500), metavar="N", help="Only entries of the last N days.")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object on standard output.")
def audit(key: str | None, days: int | None, wants_json: bool) -> None:
    """Show the audit log, the oldest entry first. Entries never change, and outlive the companies that they name."""
    settings = load_settings()
    with connecting(open_database(settings)) as connection:
        found = list(records(connection, company=key, within=timedelta(days=days) if days else None))
    if wants_json:
        say_json({"records": [{**one._asdict(), "at": one.at.isoformat()} for one in found]})
        return
    for one in found:
        when = f"{one.at.astimezone(settings.zone):%Y-%m-%d %H:%M:%S}"
        details = ", ".join(f"{name}: {_for_people(value)}" for name, value in one.details.items())
        about = f" {one.company_key}" if one.company_key else ""
        say(visible(f"{when}  {one.actor}: {one.action}{about}{f' ({details})' if details else ''}"))
    if not found:
        say("No matching records.")


def _for_people(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
