"""`billingo-assets alert`: try the channels, and show the alerts of the past."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from billingo_assets.cli.output import say, say_json
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from billingo_assets.alerts.history import PastAlert, Reason


@click.group(short_help="Try the alert channels, and show past alerts.")
def alert() -> None:
    """The sensor `alerts` of the daemon sends alerts to the channels in BILLINGO_ALERT_URLS."""


@alert.command(short_help="Send a test message to every channel.")
def test() -> None:
    """Send a test message to every channel, and call the heartbeat URL.

    Exit code: 0 all is well, 1 a channel or the heartbeat URL failed or a URL is wrong, 2 nothing is configured.
    """
    from billingo_assets.alerts.channels import DeliveryError, Message, call_heartbeat, open_channels

    settings = load_settings()
    channels = open_channels(settings)
    if channels == ([], []) and settings.heartbeat_url is None:
        raise ConfigurationError(
            "No channel is configured. Set BILLINGO_ALERT_URLS, for example to"
            " mailtos://user:password@smtp.example.com?to=you@example.com"
        )
    message = Message(
        "recovery", "Test of the alerts", "This is a test. When a company is not synced, you get a message like this."
    )
    for fault in channels.faults:
        say(f"failed: {fault}", err=True)
    failures = len(channels.faults)
    for channel in channels.usable:
        try:
            channel.send(message)
            say(f"sent: {channel.name}")
        except DeliveryError as error:
            failures += 1
            say(f"failed: {error}", err=True)
    if settings.heartbeat_url is not None:
        try:
            call_heartbeat(settings.heartbeat_url)
            say("called: the heartbeat")
        except DeliveryError as error:
            failures += 1
            say(f"failed: {error}", err=True)
    if failures:
        sys.exit(1)


@alert.command(short_help="Show the alerts that were sent, and why.")
@click.option("--company", "key", metavar="KEY", help="Only alerts about this company.")
@click.option("--days", type=click.IntRange(1, 36_500), metavar="N", help="Only alerts of the last N days.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    metavar="N",
    help="At most N alerts, the newest.",
)
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object on standard output.")
def history(key: str | None, days: int | None, limit: int, wants_json: bool) -> None:
    """Show the alerts that were sent, the newest first: why each was sent, and whether the channels received it."""
    from billingo_assets.alerts.history import past_alerts
    from billingo_assets.companies.registry import get_company
    from billingo_assets.companies.session import connected

    settings = load_settings()
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    with connected(settings) as connection:
        company_id = get_company(connection, key, removed_too=True).id if key else None
        alerts = past_alerts(connection, company_id=company_id, since=since, most=limit)
    if wants_json:
        say_json({"alerts": [_as_json(one) for one in alerts]})
        return
    if not alerts:
        say("No matching alerts.")
    for one in alerts:
        _print(one, settings)


def _as_json(alert: PastAlert) -> dict[str, Any]:
    reasons = [
        asdict(reason)
        | {"since": reason.since.isoformat(), "ended_at": reason.ended_at and reason.ended_at.isoformat()}
        for reason in alert.reasons
    ]
    return asdict(alert) | {"created_at": alert.created_at.isoformat(), "reasons": reasons}


def _print(alert: PastAlert, settings: Settings) -> None:
    say(f"{alert.created_at.astimezone(settings.zone):%Y-%m-%d %H:%M}  {alert.severity}: {alert.title}")
    for reason in alert.reasons:
        say(f"  {_why(reason, settings)}")
    waiting = f", {alert.waiting:,} not yet" if alert.waiting else ""
    say(f"  {alert.delivered:,} {'channel' if alert.delivered == 1 else 'channels'} received it{waiting}")


def _why(reason: Reason, settings: Settings) -> str:
    from billingo_assets.alerts.wording import ITSELF

    since = f"{reason.since.astimezone(settings.zone):%Y-%m-%d %H:%M}"
    until = f" to {reason.ended_at.astimezone(settings.zone):%Y-%m-%d %H:%M}" if reason.ended_at else ""
    return f"{reason.company or ITSELF}: {reason.kind}, from {since}{until}: {reason.summary}"
