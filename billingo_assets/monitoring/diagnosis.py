"""Looks at everything that a sync and its alerts need, and says of each fault what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

import dagster as dg
import httpx
from dagster._core.scheduler.instigation import InstigatorStatus
from sqlalchemy import Connection, text

from billingo_assets.alerts.channels import open_channels
from billingo_assets.billingo.connecting import connect
from billingo_assets.build import build_defs
from billingo_assets.companies.registry import Company, keyring_for, list_companies
from billingo_assets.errors import BillingoAssetsError
from billingo_assets.instance import open_instance
from billingo_assets.settings import Settings
from billingo_assets.sync.engine import require_same_company
from billingo_assets.warehouse.database import connecting, open_database

Verdict = Literal["ok", "warning", "fault"]

ASK_SECONDS = 10
KEYS_AT_ONCE = 8
CLOCK_TOLERANCE = timedelta(minutes=2)

_UNDELIVERED = text("SELECT count(*) FROM billingo.alert_deliveries WHERE delivered_at IS NULL AND channel = ANY(:own)")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and in words what was seen and what to do."""

    what: str
    verdict: Verdict
    words: str


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after another. What depends on something that is broken is left out."""
    try:
        engine = open_database(settings)
        with connecting(engine) as connection:
            place = "embedded" if settings.database_url is None else "BILLINGO_DATABASE_URL"
            yield Finding("database", "ok", f"{place}, its tables are up to date.")
            yield from _look_around(connection, settings)
    except BillingoAssetsError as error:
        yield Finding("database", "fault", str(error))


def _look_around(connection: Connection, settings: Settings) -> Iterator[Finding]:
    companies = list_companies(connection)
    encryption, reachable = _encryption(connection, settings), _api(settings)
    connection.rollback()
    yield encryption
    yield reachable
    if not companies:
        words = "No company yet. Add one: billingo-assets company add KEY --name NAME"
        yield Finding("companies", "warning", words)
    elif "fault" not in (encryption.verdict, reachable.verdict):
        yield from _api_keys(connection, companies, settings)
    yield from _dagster(settings)
    yield from _channels(connection, settings)


def _encryption(connection: Connection, settings: Settings) -> Finding:
    try:
        keyring_for(connection, settings)
    except BillingoAssetsError as error:
        return Finding("encryption key", "fault", str(error))
    place = "BILLINGO_ENCRYPTION_KEYS" if settings.encryption_keys else "the file encryption.key; keep a copy of it"
    return Finding("encryption key", "ok", f"{place}.")


def _api(settings: Settings) -> Finding:
    """Any answer but of a server in trouble will do: without a key it is a refusal."""
    try:
        # As the client does: what a proxy of the environment reaches, a sync need not.
        answer = httpx.get(f"{settings.api_url}/organization", timeout=ASK_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        return Finding("API", "fault", f"{settings.api_url} cannot be reached ({why}). Check the network.")
    if answer.is_server_error:
        words = f"{settings.api_url} answers {answer.status_code}: it is down. Try again later."
        return Finding("API", "fault", words)
    try:
        skew = parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)
    except (KeyError, TypeError, ValueError):
        return Finding("API", "ok", f"{settings.api_url} answers; it does not tell its time.")
    if abs(skew) > CLOCK_TOLERANCE:
        seconds = round(abs(skew).total_seconds())
        words = f"{settings.api_url} answers, but the clocks differ by {seconds:,} s. Set this machine's clock (NTP)."
        return Finding("API", "warning", words)
    return Finding("API", "ok", f"{settings.api_url} answers, and the clocks agree.")


def _api_keys(connection: Connection, companies: Sequence[Company], settings: Settings) -> Iterator[Finding]:
    looked_at = [company for company in companies if company.enabled and not company.is_demo]
    quick = settings.model_copy(update={"request_attempts": 2, "request_seconds": float(ASK_SECONDS)})
    with connection.begin():
        keyring = keyring_for(connection, settings)

    def try_key(company: Company) -> Finding:
        what = f"API key of {company.key}"
        try:
            with connect(company.api_url(quick), company.api_key(keyring), quick) as client:
                require_same_company(company, client.identity().tax_code)
        except BillingoAssetsError as error:
            return Finding(what, "fault", str(error))
        return Finding(what, "ok", "It opens the company's books.")

    with ThreadPoolExecutor(KEYS_AT_ONCE) as threads:
        yield from threads.map(try_key, looked_at)


def _dagster(settings: Settings) -> Iterator[Finding]:
    try:
        with open_instance(settings) as instance:
            yield from _daemons(instance)
            yield _instigators(instance)
    except BillingoAssetsError as error:
        yield Finding("Dagster", "fault", str(error))


def _daemons(instance: dg.DagsterInstance) -> Iterator[Finding]:
    statuses = instance.get_daemon_statuses()
    asleep = sorted(name.lower() for name, status in statuses.items() if not status.healthy)
    if not asleep:
        yield Finding("daemon", "ok", "It runs.")
    elif len(asleep) == len(statuses):
        words = "It does not run, and so no schedule and no alert. Start it with `billingo-assets dev`, or use cron."
        yield Finding("daemon", "warning", words)
    else:
        yield Finding("daemon", "fault", f"A part of it does not run: {', '.join(asleep)}. Start it again.")


def _instigators(instance: dg.DagsterInstance) -> Finding:
    """Schedules and sensors run from the start; what somebody has switched off is on record."""
    repository = build_defs().get_repository_def()
    ours = {*(one.name for one in repository.schedule_defs), *(one.name for one in repository.sensor_defs)}
    states = instance.all_instigator_state()
    off = sorted({one.name for one in states if one.status is InstigatorStatus.STOPPED and one.name in ours})
    if off:
        words = f"Switched off: {', '.join(off)}. Switch them on in the UI, under Automation."
        return Finding("schedules and sensors", "warning", words)
    return Finding("schedules and sensors", "ok", f"All {len(ours)} are on.")


def _channels(connection: Connection, settings: Settings) -> Iterator[Finding]:
    channels = open_channels(settings)
    for fault in channels.faults:
        yield Finding("alerts", "fault", fault)
    if not channels.usable:
        if not channels.faults:
            yield Finding("alerts", "warning", "Nobody is told of failures. Set BILLINGO_ALERT_URLS.")
        return
    with connection.begin():
        waiting = connection.scalar(_UNDELIVERED, {"own": [channel.id for channel in channels.usable]})
    if waiting:
        words = f"{waiting:,} messages could not be delivered yet. Try the channels: billingo-assets alert test"
        yield Finding("alerts", "fault", words)
    else:
        names = ", ".join(channel.name for channel in channels.usable)
        yield Finding("alerts", "ok", f"They go to {names}. Try them: billingo-assets alert test")
