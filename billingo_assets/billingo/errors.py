"""The errors of the API, sorted once, where they happen.

Callers decide by type or by `transient`, never by parsing text. No error contains an API key.
"""

from __future__ import annotations

from typing import ClassVar

from billingo_assets.errors import BillingoAssetsError
from billingo_assets.text import visible


class BillingoError(BillingoAssetsError):
    """The API did not return what was requested."""

    transient: ClassVar[bool] = False
    """Whether the same request may succeed a little later."""
    advice: ClassVar[str] = ""
    """What the user can do about it."""

    def __init__(self, what: str) -> None:
        super().__init__(visible(f"{what} {self.advice}".rstrip()))


class CredentialsError(BillingoError):
    """401 or 403: the key is unknown, revoked, or lacks the right to read."""

    advice = (
        "Make a key with read scope in Billingo. `billingo-assets company set-key` puts it in place of a stored one."
    )


class SubscriptionError(BillingoError):
    """402: the company's Billingo subscription does not include the API."""

    advice = "Renew the subscription in Billingo; the next sync then continues."


class InvalidRequestError(BillingoError):
    """400, 404, 422: the API does not accept the request."""

    advice = "Check BILLINGO_API_URL; if it is right, the API has changed: please report this."


class NotFoundError(InvalidRequestError):
    """404: nothing is at this address, or nothing any more."""


class RedirectError(BillingoError):
    """A redirect, which is not followed: the key goes to the configured address alone."""

    advice = "Set BILLINGO_API_URL to the address of the API itself."


class IdentityMismatchError(BillingoError):
    """The key belongs to another company than the one it is stored for."""

    def __init__(self, what: str, *, expected: str | None, found: str | None) -> None:
        super().__init__(what)
        self.expected = expected
        self.found = found


class CertificateError(BillingoError):
    """The server's certificate does not prove that it is Billingo. The key was not sent."""

    advice = (
        "The API key was not sent. Check BILLINGO_API_URL, and whether something on the network answers in Billingo's"
        " place: certificates are always verified."
    )


class RateLimitError(BillingoError):
    """429: too many requests. `retry_after` is the wait that Billingo asked for, in seconds; None if it named none."""

    transient = True
    advice = "Try again in a few minutes, or lower BILLINGO_REQUESTS_PER_MINUTE."

    def __init__(self, what: str, *, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class UnavailableError(BillingoError):
    """No connection, no answer in time, or a 5xx. `retry_after` as in `RateLimitError`."""

    transient = True
    advice = "Check the network and Billingo's status page, then try again."

    def __init__(self, what: str, *, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class MalformedAnswerError(BillingoError):
    """A 2xx with a body that breaks the API's promise: cut off, not JSON, an error in disguise."""

    transient = True
    advice = "Something between here and Billingo may have answered in its place; the next sync tries again."


class TooLargeAnswerError(BillingoError):
    """An answer above the size limit, or a listing of too many pages. Another try would return the same.

    `setting` names the setting of the limit.
    """

    def __init__(self, what: str, *, setting: str) -> None:
        super().__init__(f"{what} If it is sound, raise {setting}.")
