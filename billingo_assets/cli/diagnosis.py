"""Checks everything that a sync and its alerts need, and says what to do about each fault."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from stat import S_IRGRP, S_IROTH
from typing import Literal

import dagster as dg
import httpx
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickStatus
from pydantic import SecretStr
from sqlalchemy import Connection, text

from billingo_assets.alerts.channels import DeliveryError, call_heartbeat, open_channels
from billingo_assets.billingo.connecting import connect
from billingo_assets.companies.registry import Company, keyring_for, list_companies
from billingo_assets.dagster_support.instance import open_instance
from billingo_assets.definitions import build_defs
from billingo_assets.errors import BillingoAssetsError, DatabaseError
from billingo_assets.health.overview import local_time
from billingo_assets.project import env_file
from billingo_assets.run_history.daemon import Daemon, read_daemon
from billingo_assets.settings import Settings, holds_secrets
from billingo_assets.sync.identity import identify
from billingo_assets.text import excerpt
from billingo_assets.unreachable import why_unreachable
from billingo_assets.warehouse.database import connecting, is_read_only_by_default, open_database, require_writable

Verdict = Literal["ok", "warning", "fault"]

ASK_SECONDS = 10
KEYS_AT_ONCE = 8
CLOCK_TOLERANCE = timedelta(minutes=2)

PATIENCE = timedelta(minutes=2)
"""How long a message may wait for its first try: the sensor that sends runs every half minute."""

_UNDELIVERED = text(
    """
    SELECT count(*) FROM billingo.alert_deliveries JOIN billingo.alert_messages ON id = message_id
    WHERE delivered_at IS NULL AND channel = ANY(:own) AND (attempts > 0 OR created_at < now() - :patience)
    """
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: its subject, its level, and the finding and the remedy in words."""

    what: str
    verdict: Verdict
    words: str


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Yield the result of one check after another. Checks that depend on a broken part are skipped."""
    yield from _env_file(env_file())
    try:
        engine = open_database(settings)
        with connecting(engine) as connection:
            yield _database(connection, settings)
            yield from _look_around(connection, settings)
    except BillingoAssetsError as error:
        yield Finding("database", "fault", str(error))


def _database(connection: Connection, settings: Settings) -> Finding:
    try:
        require_writable(connection)
    except DatabaseError as error:
        return Finding("database", "fault", str(error))
    place = settings.database_place
    if is_read_only_by_default(connection):
        words = (
            f"{place}, its tables are up to date. Its sessions are read-only by default"
            " (default_transaction_read_only); a sync overrides that. If the hosting service set it because the disk"
            " is nearly full, free some space first."
        )
        return Finding("database", "warning", words)
    return Finding("database", "ok", f"{place}, its tables are up to date.")


def _env_file(path: Path) -> Iterator[Finding]:
    """Check who can read `.env`. If it belongs to another user, such as root, a service's group may read it."""
    if not path.is_file() or not holds_secrets(path):
        return
    status = path.stat()
    others = S_IROTH | S_IRGRP if status.st_uid == os.geteuid() else S_IROTH
    if status.st_mode & others:
        words = (
            "It holds secrets, and others on this machine can read it. It should belong to the user that runs"
            f" billingo-assets; then close it: chmod 600 '{path}'"
        )
        yield Finding(".env", "warning", words)


def _look_around(connection: Connection, settings: Settings) -> Iterator[Finding]:
    companies = list_companies(connection)
    encryption, reachable = _encryption(connection, settings), _api(companies, settings)
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


def _api(companies: Sequence[Company], settings: Settings) -> Finding:
    """Check the API without a key. Any answer but a server error will do: a refusal is expected."""
    if companies and all(company.is_demo for company in companies):
        return Finding("API", "ok", "Not asked: every company is of the demo, whose API `sync` and `dev` serve.")
    try:
        # Without the environment's proxy, as the client: a sync may not reach what a proxy reaches.
        answer = httpx.get(f"{settings.api_url}/organization", timeout=ASK_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        words = f"{settings.api_url} cannot be reached ({why_unreachable(error)}). Check the network."
        return Finding("API", "fault", words)
    if answer.is_server_error:
        words = f"{settings.api_url} answers {answer.status_code}: it is down. Try again later."
        return Finding("API", "fault", words)
    try:
        skew = parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)
    except (KeyError, TypeError, ValueError):
        return Finding("API", "ok", f"{settings.api_url} answers, without its time.")
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
                identify(client, company)
        except BillingoAssetsError as error:
            return Finding(what, "fault", str(error))
        return Finding(what, "ok", "It opens the company's books.")

    with ThreadPoolExecutor(KEYS_AT_ONCE) as threads:
        yield from threads.map(try_key, looked_at)


def _dagster(settings: Settings) -> Iterator[Finding]:
    try:
        with open_instance(settings) as instance:
            daemon = read_daemon(instance, datetime.now(UTC))
            yield _daemon(daemon)
            yield from _instigators(instance, settings, ticking=daemon.runs)
        if settings.heartbeat_url is not None:
            yield _heartbeat(settings.heartbeat_url, runs=daemon.runs)
    except BillingoAssetsError as error:
        yield Finding("Dagster", "fault", str(error))


def _daemon(daemon: Daemon) -> Finding:
    if not daemon.runs:
        words = "Not running: schedules and alerts are off. Start it with `billingo-assets dev`, or use cron."
        return Finding("daemon", "warning", words)
    if daemon.unhealthy:
        return Finding("daemon", "fault", f"A part of it does not run: {', '.join(daemon.unhealthy)}. Start it again.")
    return Finding("daemon", "ok", "It runs.")


def _instigators(instance: dg.DagsterInstance, settings: Settings, *, ticking: bool) -> Iterator[Finding]:
    """Check schedules and sensors, which run unless a person switched them off, and their last ticks."""
    repository = build_defs().get_repository_def()
    ours = {*(one.name for one in repository.schedule_defs), *(one.name for one in repository.sensor_defs)}
    states = sorted((one for one in instance.all_instigator_state() if one.name in ours), key=lambda one: one.name)
    off = [one.name for one in states if one.status is InstigatorStatus.STOPPED]
    if off:
        words = f"Switched off: {', '.join(off)}. Switch them on in the UI, under Automation."
        yield Finding("schedules and sensors", "warning", words)
    else:
        yield Finding("schedules and sensors", "ok", f"All {len(ours)} are on.")
    if ticking:
        for state in states:
            yield from _last_tick(instance, state, settings)


def _last_tick(instance: dg.DagsterInstance, state: InstigatorState, settings: Settings) -> Iterator[Finding]:
    over = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
    for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=over):
        if tick.error is not None:
            when = local_time(datetime.fromtimestamp(tick.timestamp, UTC), settings)
            why = excerpt((tick.error.cause or tick.error).message.strip().partition("\n")[0]).rstrip(".")
            words = f"Its last tick, at {when}, failed: {why}. The UI has all of it, under Automation."
            yield Finding(f"{state.instigator_type.value.lower()} {state.name}", "fault", words)


def _channels(connection: Connection, settings: Settings) -> Iterator[Finding]:
    channels = open_channels(settings)
    for fault in channels.faults:
        yield Finding("alerts", "fault", fault)
    if not channels.usable:
        if not channels.faults:
            yield Finding("alerts", "warning", "Failures are reported to nobody. Set BILLINGO_ALERT_URLS.")
        return
    with connection.begin():
        own = [channel.id for channel in channels.usable]
        waiting = connection.scalar(_UNDELIVERED, {"own": own, "patience": PATIENCE})
    if waiting:
        what = "1 message" if waiting == 1 else f"{waiting:,} messages"
        words = f"{what} could not be delivered yet. Try the channels: billingo-assets alert test"
        yield Finding("alerts", "fault", words)
    else:
        names = ", ".join(channel.name for channel in channels.usable)
        yield Finding("alerts", "ok", f"They go to {names}. Try them: billingo-assets alert test")


def _heartbeat(url: SecretStr, *, runs: bool) -> Finding:
    if not runs:
        return Finding("heartbeat", "ok", "Not called, because a call would report that the daemon is running.")
    try:
        call_heartbeat(url)
    except DeliveryError as error:
        return Finding("heartbeat", "fault", f"{error} Check BILLINGO_HEARTBEAT_URL.")
    return Finding("heartbeat", "ok", "The URL answers.")
