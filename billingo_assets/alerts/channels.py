"""The channels of alerts, one for each Apprise URL in BILLINGO_ALERT_URLS, and sending a message to one."""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import apprise
import httpx
from apprise.utils.parse import parse_urls
from pydantic import SecretStr

from billingo_assets.errors import BillingoAssetsError
from billingo_assets.settings import Settings
from billingo_assets.unreachable import why_unreachable

MessageSeverity = Literal["warning", "error", "recovery"]

HEARTBEAT_SECONDS = 10

_SEPARATORS = re.compile(r"[\s,]+")
_WORDS = re.compile(r"[^\s/?&=@:+]{4,}")
"""The parts of a URL that may be a secret, or belong to one."""

# Its messages about a URL may contain a token. We pass the messages on without it.
logging.getLogger("apprise").propagate = False

_LOOKS = apprise.AppriseAsset(
    app_id="billingo_assets", app_desc="Billingo invoices in PostgreSQL", async_mode=False, secure_logging=True
)
_TYPES = {
    "warning": apprise.NotifyType.WARNING,
    "error": apprise.NotifyType.FAILURE,
    "recovery": apprise.NotifyType.SUCCESS,
}


class DeliveryError(BillingoAssetsError):
    """A channel did not accept a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """The text of an alert: plain, the title in one line. `outages` are the ids of the outages in it."""

    severity: MessageSeverity
    title: str
    body: str
    outages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """One place that receives alerts. `name` is the beginning of its URL without secrets, `id` a hash of the URL."""

    id: str
    name: str
    service: apprise.NotifyBase = field(repr=False, compare=False)
    secrets: frozenset[str] = field(repr=False, compare=False)

    def send(self, message: Message) -> None:
        """Send a message now. Raises DeliveryError with the service's answer, without secrets."""
        with apprise.LogCapture(level=apprise.logging.WARNING, fmt="%(message)s") as said:
            try:
                taken = self.service.notify(
                    title=message.title,
                    body=message.body,
                    notify_type=_TYPES[message.severity],
                    # Otherwise mail would go out as HTML, in one line.
                    body_format=apprise.NotifyFormat.TEXT,
                    # Otherwise a service with a limit would refuse a long message every time, and block all later ones.
                    overflow=apprise.OverflowMode.SPLIT,
                )
            except Exception as error:  # of any type: the service's own code. Its message may contain the URL.
                raise DeliveryError(f"{self.name} did not accept the message: {type(error).__name__}") from None
        if not taken:
            raise DeliveryError(f"{self.name} did not accept the message: {_said(said, self.secrets)}")


class Channels(NamedTuple):
    """The usable channels, and a sentence about each unusable URL."""

    usable: list[Channel]
    faults: list[str]


def open_channels(settings: Settings) -> Channels:
    """Open every configured channel, without duplicates.

    A URL that Apprise does not understand is a fault. The fault names it by its position, because it may contain a
    password. The other URLs are used all the same.
    """
    if settings.alert_urls is None:
        return Channels([], [])
    channels: dict[str, Channel] = {}
    faults: list[str] = []
    for place, url in enumerate(_split(settings.alert_urls.get_secret_value()), 1):
        with apprise.LogCapture(level=apprise.logging.WARNING, fmt="%(message)s") as said:
            service = apprise.Apprise.instantiate(url, asset=_LOOKS)
        if not isinstance(service, apprise.NotifyBase):
            faults.append(
                f"BILLINGO_ALERT_URLS: URL {place} cannot be used ({_said(said, _secrets(url))}). An example:"
                " mailtos://user:password@host?to=you@example.com; all services and their URLs:"
                " https://github.com/caronc/apprise/wiki"
            )
            continue
        name = _name(service)
        channel = Channel(hashlib.sha256(url.encode()).hexdigest()[:16], name, service, _secrets(url, known=name))
        channels[channel.id] = channel
    return Channels(list(channels.values()), faults)


def _split(urls: str) -> list[str]:
    """Split the setting into URLs, in order, including words that Apprise would silently skip."""
    found: list[str] = []
    understood, rest = parse_urls(urls) or [], urls
    for url in understood:
        before, is_there, rest = rest.partition(url)
        if not is_there:  # it was rewritten
            return understood
        *strays, beginning = _SEPARATORS.split(before)
        found += [*strays, beginning + url]
    return [entry for entry in (*found, *_SEPARATORS.split(rest)) if entry] or [""]


def _secrets(url: str, *, known: str = "") -> frozenset[str]:
    """The parts of a URL that may be secret: all that are not in `known`."""
    return frozenset(part for part in _WORDS.findall(f"{url} {unquote(url)}") if part not in known)


def _said(log: io.StringIO, secrets: Iterable[str]) -> str:
    """The first message of Apprise, without secrets."""
    first = next((line.strip() for line in log.getvalue().splitlines() if line.strip()), "it gave no reason")
    for secret in sorted(secrets, key=len, reverse=True):
        first = first.replace(secret, "…")
    return first.rstrip(".")


def _name(service: apprise.NotifyBase) -> str:
    """The scheme and host of a URL. The path, query and headers of a webhook may be its secret."""
    parts = urlsplit(service.url(privacy=True))
    return f"{parts.scheme}://{parts.netloc}"


def call_heartbeat(url: SecretStr) -> None:
    """Call the heartbeat URL to say that all is well. Raises DeliveryError, which does not repeat the URL."""
    try:
        httpx.get(url.get_secret_value(), timeout=HEARTBEAT_SECONDS, follow_redirects=True).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise DeliveryError(f"The heartbeat URL answered {error.response.status_code}.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DeliveryError(f"The heartbeat URL cannot be reached ({why_unreachable(error)}).") from None
