"""Sorts HTTP answers: those that can be read, and named errors that say what to do.

This module judges status codes, headers and error bodies; it sends nothing.
"""

from __future__ import annotations

import email.utils
import re
from datetime import UTC, datetime
from typing import NoReturn

import httpx
import msgspec

from billingo_assets.billingo.errors import (
    BillingoError,
    CredentialsError,
    InvalidRequestError,
    MalformedAnswerError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    SubscriptionError,
    UnavailableError,
)
from billingo_assets.text import excerpt


def raise_for_answer(status: int, headers: httpx.Headers, body: bytes) -> None:
    """Raise the fitting `BillingoError` unless `status` is 200 and the body can be JSON data."""
    if status == httpx.codes.OK:
        if _error_message(body) is not None:
            raise MalformedAnswerError(f"Billingo answered 200 with an error: {_explanation(body)}.")
        return
    _raise_for_status(status, headers, body)


def _raise_for_status(status: int, headers: httpx.Headers, body: bytes) -> NoReturn:
    message = _explanation(body)
    # A date counts from the server's clock, which need not agree with ours.
    retry_after = seconds_to_wait(headers.get("Retry-After"), now=server_time(headers) or datetime.now(UTC))
    if status < 300:
        raise MalformedAnswerError(f"Billingo answered {status} where its API promises 200 ({message}).")
    if status == 429:
        raise RateLimitError(f"Billingo refused the request as one too many (429: {message}).", retry_after=retry_after)
    if status >= 500 or status == httpx.codes.REQUEST_TIMEOUT:
        raise UnavailableError(f"Billingo failed to answer ({status}: {message}).", retry_after=retry_after)
    raise _permanent_error(status, message)


def _permanent_error(status: int, message: str) -> BillingoError:
    if status in (401, 403):
        return CredentialsError(f"Billingo does not accept the API key ({status}: {message}).")
    if status == 402:
        return SubscriptionError(f"The Billingo subscription does not include the API (402: {message}).")
    if 300 <= status < 400:
        return RedirectError(f"The API answered with a redirect ({status}), which is not followed.")
    kind = NotFoundError if status == httpx.codes.NOT_FOUND else InvalidRequestError
    return kind(f"Billingo did not accept the request ({status}: {message}).")


def seconds_to_wait(retry_after: str | None, *, now: datetime) -> float | None:
    """Read a `Retry-After`, in seconds or as an HTTP date; None if it is missing or invalid."""
    if retry_after is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", retry_after):
        return float(retry_after)
    until = _http_date(retry_after)
    return None if until is None else max(0.0, (until - now).total_seconds())


def server_time(headers: httpx.Headers) -> datetime | None:
    """The server's clock, in UTC, from its `Date` header; None if that is missing or invalid."""
    return _http_date(headers.get("Date", ""))


def _http_date(text: str) -> datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _error_message(body: bytes) -> str | None:
    """The message of an error body in any of its three shapes, with its trace id; None for any other body."""
    if len(body) > 100_000 or not body.lstrip().startswith(b"{"):
        return None  # a page of documents is not searched for an error
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    match answer:
        case {"error": {"message": str(message), "trace_id": str(trace_id)}}:
            return f"{message} [trace id {trace_id}, for Billingo's support]"
        case {"error": {"message": str(message)}} | {"error": str(message)}:
            return message
        case {"message": str(message), "errors": [{"field": str(field), "message": str(detail)}, *_]}:
            return f"{message}: {field} {detail}"
        case {"message": str(message), "errors": _}:
            return message
        case _:
            return None


def _explanation(body: bytes) -> str:
    message = _error_message(body)
    # A gateway that refuses the API key may repeat it: `excerpt` takes it out before it cuts the text.
    return "no explanation" if message is None else excerpt(message).rstrip(".")
