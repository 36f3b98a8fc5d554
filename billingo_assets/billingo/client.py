"""The client: sends GET requests, paced and retried, and returns typed answers.

`answers` decides what an answer means; callers decide what to do with records.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Self, TypeVar

import certifi
import httpx
import msgspec
import tenacity
from pydantic import SecretStr

import billingo_assets
from billingo_assets import redaction
from billingo_assets.billingo.answers import raise_for_answer, server_time
from billingo_assets.billingo.budget import Budget, bounded_transport
from billingo_assets.billingo.errors import (
    BillingoError,
    CertificateError,
    CredentialsError,
    MalformedAnswerError,
    RateLimitError,
    TooLargeAnswerError,
    UnavailableError,
)
from billingo_assets.billingo.models import (
    Identified,
    Identity,
    Moment,
    Organization,
    RecordsEnvelope,
    RecordsPage,
    pages_of,
    size_of_pages,
    usable_code,
)
from billingo_assets.billingo.pacing import pacer_for
from billingo_assets.billingo.salvage import elements, members
from billingo_assets.billingo.unpacking import ACCEPTED, DamagedError, OverflowingError, read_body
from billingo_assets.text import excerpt
from billingo_assets.unreachable import why_unreachable
from billingo_assets.urls import checked_api_url

MAX_PAGE_SIZE = 100
"""The most records a page that the API allows. A server may return fewer."""

MAX_STATED_PAGE_SIZE = 1_000_000
"""A larger `per_page` in an answer is ignored."""

Answer = TypeVar("Answer")

_SENDABLE = re.compile(r"[!-~]+")
"""An API key that a header can carry. The HTTP library's error about any other key would quote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of every request. Seconds, unless the name says otherwise."""

    requests_per_minute: int = 300
    concurrent_requests: int = 4
    attempts: int = 6
    total_seconds: float = 120.0
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    max_response_bytes: int = 64 * 2**20
    max_page_records: int = 10_000
    max_pages: int = 100_000
    first_backoff_seconds: float = 0.5
    optional_seconds: float = 5.0
    """For the single try of an optional request, one that a sync can do without."""
    rate_limit_seconds: float = 15.0
    """The pause after a 429 without a Retry-After, such as Billingo's: five pauses outlast its window of a minute."""


class BillingoClient:
    """One API key's view of Billingo. Safe to call from several threads; close it when done.

    Every method raises a `BillingoError`: transient ones only after `limits.attempts` tries or
    `limits.total_seconds`, permanent ones at once. The constructor raises ValueError for an address that must not
    receive an API key (see `checked_api_url`).
    """

    def __init__(self, *, api_url: str, api_key: SecretStr, limits: Limits | None = None) -> None:
        if not _SENDABLE.fullmatch(api_key.get_secret_value()):
            raise CredentialsError("The API key holds characters that cannot be sent.")
        checked_api_url(api_url)
        redaction.remember(api_key)
        self._limits = limits or Limits()
        # The rate limit belongs to the key: a new client must count what an earlier client sent.
        key_hash = hashlib.sha256(api_key.get_secret_value().encode()).digest()
        self._pacer = pacer_for(key_hash, self._limits.requests_per_minute)
        self._closed = threading.Event()
        self._calls = 0
        self._calls_lock = threading.Lock()
        # httpcore may close a connection that it has just given to a queued request (encode/httpcore#1110); the request
        # then fails, or hangs until its read timeout. So a request needs a slot here, and none ever queues there.
        self._slots = threading.BoundedSemaphore(self._limits.concurrent_requests)
        self._http = httpx.Client(
            base_url=api_url,
            headers={
                "X-API-KEY": api_key.get_secret_value(),
                "Accept": "application/json",
                "Accept-Encoding": ACCEPTED,
                "User-Agent": f"billingo-assets/{billingo_assets.__version__}",
            },
            timeout=httpx.Timeout(
                self._limits.read_seconds, connect=self._limits.connect_seconds, pool=self._limits.total_seconds
            ),
            transport=bounded_transport(
                verify=_tls_context(), limits=httpx.Limits(max_connections=self._limits.concurrent_requests)
            ),
            follow_redirects=False,
            # The environment may name a proxy or a netrc file: neither may touch a request that carries a key.
            trust_env=False,
        )

    @property
    def concurrent_requests(self) -> int:
        """How many requests may be under way at once."""
        return self._limits.concurrent_requests

    @property
    def limits(self) -> Limits:
        """The bounds of every request."""
        return self._limits

    @property
    def calls(self) -> int:
        """How many requests were sent, retries included."""
        return self._calls

    def identity(self) -> Identity:
        """Ask which company the key belongs to (`GET /organization`), with the server's time from the header."""
        organization, headers = self._get("/organization", {}, lambda body: _decode(body, Organization))
        return Identity(usable_code(organization.tax_code), server_time=server_time(headers))

    def server_time(self) -> datetime | None:
        """Ask for the server's clock (`GET /utils/time`), once. None if the answer is missing or invalid."""
        with suppress(BillingoError):
            moment, _ = self._get("/utils/time", {}, lambda body: _decode(body, Moment), optional=True)
            return datetime.fromtimestamp(moment.epoch, UTC)
        return None

    def records(
        self,
        path: str,
        *,
        page: int,
        page_size: int = MAX_PAGE_SIZE,
        filters: Mapping[str, str] | None = None,
        optional: bool = False,
    ) -> RecordsPage:
        """Read one page of a collection (for example `GET /documents`). The server may ignore `page_size`.

        An `optional` request has one try and a short timeout.
        """
        query = {"page": str(page), "per_page": str(page_size), **(filters or {})}
        most = self._limits.max_page_records
        envelope, _ = self._get(path, query, lambda body: _decode_page(body, most), optional=optional)
        last_page = envelope.last_page if envelope.last_page is not None and envelope.last_page > 0 else None
        size = size_of_pages(
            number=page,
            total=envelope.total,
            last_page=last_page,
            stated=_stated_page_size(envelope),
            asked=page_size,
            shown=len(envelope.data),
        )
        return RecordsPage(
            number=page,
            last_page=last_page or pages_of(envelope.total, size),
            total=envelope.total,
            records=[bytes(record) for record in envelope.data],
            page_size=size,
        )

    def record(self, path: str, record_id: int) -> bytes:
        """Read one record of a collection by its id, in one try. Raises NotFoundError if it does not exist."""
        body, _ = self._get(f"{path}/{record_id}", {}, lambda body: body, optional=True)
        if _decode(body, Identified).id != record_id:
            raise MalformedAnswerError(f"Billingo returned another record than {record_id}.")
        return body

    def count(self, path: str) -> int:
        """Ask how many records a collection has: the unfiltered `total`."""
        return self.records(path, page=1, page_size=1).total

    def close(self) -> None:
        """Drop the connections and wake threads that wait between two tries."""
        self._closed.set()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _get(
        self, path: str, query: Mapping[str, str], decode: Callable[[bytes], Answer], *, optional: bool = False
    ) -> tuple[Answer, httpx.Headers]:
        attempts, seconds = self._limits.attempts, self._limits.total_seconds
        if optional:
            attempts, seconds = 1, min(seconds, self._limits.optional_seconds)
        budget = Budget(seconds)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, BillingoError) and error.transient and not self._closed.is_set()
            ),
            wait=self._wait,
            # A Retry-After longer than the time left ends the tries at once.
            stop=lambda state: state.attempt_number >= attempts or state.upcoming_sleep >= budget.left,
            before_sleep=self._hold_others,
            sleep=self._pause,
            reraise=True,
        )
        return retrying(self._get_once, path, query, decode, budget)

    def _get_once(
        self, path: str, query: Mapping[str, str], decode: Callable[[bytes], Answer], budget: Budget
    ) -> tuple[Answer, httpx.Headers]:
        with budget.paused():
            self._pause(self._pacer.reserve())
            self._slots.acquire()
        try:
            with budget.kept():
                response, body = self._send(path, query)
        finally:
            self._slots.release()
        raise_for_answer(response.status_code, response.headers, body)
        return decode(body), response.headers

    def _send(self, path: str, query: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        if self._closed.is_set():
            raise UnavailableError("The request was given up because the sync is ending.")
        with self._calls_lock:
            self._calls += 1
        try:
            with self._http.stream("GET", path, params=query) as response:
                return response, self._read(response)
        except httpx.TimeoutException:
            raise UnavailableError(f"Billingo at {self._http.base_url} did not answer in time.") from None
        except (DamagedError, httpx.RemoteProtocolError) as error:
            raise MalformedAnswerError(f"Billingo's answer broke off or is damaged ({excerpt(str(error))}).") from None
        except httpx.TransportError as error:
            if (fault := _certificate_fault(error)) is not None:
                raise CertificateError(f"Billingo at {self._http.base_url} has a wrong certificate: {fault}.") from None
            raise UnavailableError(
                f"Billingo at {self._http.base_url} cannot be reached ({why_unreachable(error)})."
            ) from None

    def _read(self, response: httpx.Response) -> bytes:
        """Read the body within the size limit."""
        most = self._limits.max_response_bytes
        try:
            return read_body(response.iter_raw(), encoding=response.headers.get("Content-Encoding", ""), most=most)
        except OverflowingError:
            raise TooLargeAnswerError(
                f"Billingo's answer is larger than {most // 2**20} MiB.", setting="BILLINGO_MAX_RESPONSE_MIB"
            ) from None

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next try: the wait that Billingo asked for, or the back-off with jitter if longer."""
        backoff = tenacity.wait_random_exponential(multiplier=self._limits.first_backoff_seconds, max=30)(state)
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, RateLimitError | UnavailableError):
            return backoff
        if not isinstance(error, RateLimitError):
            return max(backoff, error.retry_after or 0.0)
        return max(backoff, error.retry_after or self._limits.rate_limit_seconds)

    def _hold_others(self, state: tenacity.RetryCallState) -> None:
        """Pause the other threads too after a 429: the limit belongs to the key, so they would be refused as well."""
        if state.outcome and isinstance(state.outcome.exception(), RateLimitError):
            self._pacer.hold(state.upcoming_sleep)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._closed.wait(seconds)


@cache
def _tls_context() -> ssl.SSLContext:
    """Verify certificates and host names, always. All clients share one: loading the authorities takes 20 ms.

    `ssl.create_default_context` would write the keys of every connection to the file that SSLKEYLOGFILE names.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context


def _certificate_fault(error: BaseException | None) -> str | None:
    """Why a certificate was refused; None for an error with another cause."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return None if error is None else error.verify_message.rstrip(".")


def _decode(body: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"Billingo's answer is not what its API promises ({excerpt(str(error))}).") from None


LARGE_PAGE_BYTES = 2**20
MANY_COMMAS = 200_000
"""Up to this many commas, a page is decoded before its documents are counted: it has no more documents than commas."""


def _decode_page(body: bytes, most: int) -> RecordsEnvelope:
    """Read a page of at most `most` documents.

    A document that no decoder reads stays on the page as sent, so that the others are not lost with it.
    """
    if len(body) > LARGE_PAGE_BYTES and body.count(b",") > MANY_COMMAS:
        # A document of two bytes takes a hundred once decoded, so count the documents first.
        with suppress(KeyError, ValueError):
            _documents(members(body, {"data"})["data"], most)
    try:
        envelope = _decode(body, RecordsEnvelope)
    except MalformedAnswerError:
        salvaged = _salvage_page(body, most)
        if salvaged is None:
            raise
        return salvaged
    if len(envelope.data) > most:
        raise _too_many_documents(most)
    return envelope


def _salvage_page(body: bytes, most: int) -> RecordsEnvelope | None:
    body = body.removeprefix(codecs.BOM_UTF8).strip()
    if not (body.startswith(b"{") and body.endswith(b"}")):
        return None
    try:
        found = members(body, {"data", "total", "last_page", "per_page"})
        documents = _documents(found.pop("data"), most) if found["data"].startswith(b"[") else []
        envelope = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in found.items())
        counts = _decode(b'{"data":[],%b}' % envelope, RecordsEnvelope)
    except (KeyError, ValueError, MalformedAnswerError):
        return None
    return msgspec.structs.replace(counts, data=documents) if documents else None


def _stated_page_size(envelope: RecordsEnvelope) -> int | None:
    """The page size that an answer states; None if it states none, or no possible one."""
    try:
        stated = msgspec.json.decode(envelope.per_page, type=int, strict=False)
    except (ValueError, RecursionError):
        return None
    return stated if 0 < stated <= MAX_STATED_PAGE_SIZE else None


def _documents(data: bytes, most: int) -> list[msgspec.Raw]:
    found: list[msgspec.Raw] = []
    for document in elements(data):
        if len(found) == most:
            raise _too_many_documents(most)
        found.append(msgspec.Raw(document))
    return found


def _too_many_documents(most: int) -> TooLargeAnswerError:
    return TooLargeAnswerError(
        f"Billingo's answer is a page of more than {most:,} documents, where {MAX_PAGE_SIZE} were asked for.",
        setting="BILLINGO_MAX_PAGE_DOCUMENTS",
    )
