"""`billingo-assets alert`: try the channels that alerts go to."""

from __future__ import annotations

import sys

import click

from billingo_assets.cli.output import say
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import load_settings


@click.group(short_help="Try the alert channels.")
def alert() -> None:
    """The sensor `alerts` of the daemon sends alerts to the channels in BILLINGO_ALERT_URLS."""


@alert.command(short_help="Send a test message to every channel.")
def test() -> None:
    """Send a test message to every channel, and call the heartbeat URL. Exit code: 0 all accepted it, 1 one did not."""
    from billingo_assets.alerts.channels import DeliveryError, Message, call_heartbeat, open_channels

    settings = load_settings()
    channels = open_channels(settings)
    if channels == ([], []) and settings.heartbeat_url is None:
        raise ConfigurationError(
            "No channel is configured. Set BILLINGO_ALERT_URLS, for example to"
            " mailtos://user:password@smtp.example.com?to=you@example.com"
        )
    message = Message(
        "recovery", "Test of the alerts", "This is a test. When a company is not synced, a message like this says so."
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
