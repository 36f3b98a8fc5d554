"""Where alerts go: the Apprise URLs of BILLINGO_ALERT_URLS, each a channel, and the sending of one message to one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import apprise
import httpx
from apprise.utils.parse import parse_urls
from pydantic import SecretStr

from billingo_assets.errors import BillingoAssetsError, ConfigurationError
from billingo_assets.settings import Settings

MessageSeverity = Literal["warning", "error", "recovery"]

HEARTBEAT_SECONDS = 10

_LOOKS = apprise.AppriseAsset(
    app_id="billingo_assets", app_desc="Billingo invoices in PostgreSQL", async_mode=False, secure_logging=True
)
_TYPES = {
    "warning": apprise.NotifyType.WARNING,
    "error": apprise.NotifyType.FAILURE,
    "recovery": apprise.NotifyType.SUCCESS,
}


class DeliveryError(BillingoAssetsError):
    """A channel did not take a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told. Plain text; the title is one line."""

    severity: MessageSeverity
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One place to tell. `name` is its URL without its secrets, `id` a hash of it, to remember it by."""

    id: str
    name: str
    service: apprise.NotifyBase = field(repr=False, compare=False)

    def send(self, message: Message) -> None:
        """Send a message now. Raises DeliveryError with what the service said, without its secrets."""
        with apprise.LogCapture(level=apprise.logging.WARNING, fmt="%(message)s") as said:
            taken = self.service.notify(title=message.title, body=message.body, notify_type=_TYPES[message.severity])
        if not taken:
            lines = [line.strip() for line in said.getvalue().splitlines() if line.strip()]
            why = self._without_secrets(lines[0]) if lines else "it did not say why"
            raise DeliveryError(f"{self.name} did not take the message: {why}")

    def _without_secrets(self, text: str) -> str:
        for secret in (self.service.password, self.service.url()):
            if secret:
                text = text.replace(secret, "…")
        return text


def open_channels(settings: Settings) -> list[Channel]:
    """Every channel that is configured.

    Raises:
        ConfigurationError: a URL that Apprise does not understand, told by its place: it may hold a password.
    """
    if settings.alert_urls is None:
        return []
    channels = []
    for place, url in enumerate(parse_urls(settings.alert_urls.get_secret_value()) or [""], 1):
        service = apprise.Apprise.instantiate(url, asset=_LOOKS)
        if not isinstance(service, apprise.NotifyBase):
            raise ConfigurationError(
                f"BILLINGO_ALERT_URLS: number {place} is no URL that Apprise knows, such as mailtos://user:password@host"
                "?to=you@example.com. The services and their URLs: https://github.com/caronc/apprise/wiki"
            )
        channels.append(Channel(hashlib.sha256(url.encode()).hexdigest()[:16], service.url(privacy=True), service))
    return channels


def call_heartbeat(url: SecretStr) -> None:
    """Tell whoever watches over us that all is well. Raises DeliveryError, in which the URL is not repeated."""
    try:
        httpx.get(url.get_secret_value(), timeout=HEARTBEAT_SECONDS, follow_redirects=True).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise DeliveryError(f"The heartbeat URL answered {error.response.status_code}.") from None
    except httpx.HTTPError as error:
        raise DeliveryError(f"The heartbeat URL cannot be reached ({type(error).__name__}).") from None
