"""`/v3`: the documented endpoints, over a world and its faults.

The order of a request: rate limit and faults, key, endpoint, mutations that were waiting for this page. The
wire formats are in `answers`, the filters in `query`.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import formatdate
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billingo_assets.sandbox import answers
from billingo_assets.sandbox.company import Company
from billingo_assets.sandbox.errors import UnknownDocumentError
from billingo_assets.sandbox.faults import Asked, Fault, Faults
from billingo_assets.sandbox.query import InvalidParametersError, Query, listings_of, parse_query
from billingo_assets.sandbox.quirks import PageSizeTold
from billingo_assets.sandbox.record import Record, encode
from billingo_assets.sandbox.vocabulary import FEATURES, NAV_RECORDED
from billingo_assets.sandbox.world import World
from billingo_assets.streams import DOCUMENTS

_SUBSCRIBED_UNTIL = "2030-12-31"
_LOGGED_REQUESTS = 100_000  # the newest are kept
_REMEMBERED_SELECTIONS = 16  # filtered lists kept, so that the pages of a listing share one


class RequestRecord(NamedTuple):
    """An answered request; `company` is None for an unknown key, `status` 0 for a connection without an answer."""

    method: str
    path: str
    query: str
    status: int
    company: str | None


class Api:
    """Answers the requests under /v3 and keeps `requests`, the log of them (without API keys)."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world, self.faults = world, faults
        self.requests: deque[RequestRecord] = deque(maxlen=_LOGGED_REQUESTS)
        self._pdfs_begun: set[tuple[str, int]] = set()
        self._selections: dict[tuple[object, ...], list[Record]] = {}

    def server_now(self) -> float:
        """Read the server's clock, right or wrong, in seconds since the epoch."""
        return self.world.clock() + self.faults.quirks.clock_skew_seconds

    def today(self) -> str:
        """Read the server's calendar, as YYYY-MM-DD."""
        zone = ZoneInfo(self.faults.quirks.time_zone)
        return datetime.fromtimestamp(self.server_now(), zone).date().isoformat()

    def unpaid_day(self) -> str | None:
        """The day that unpaid documents show as their `paid_date`; None for the stored one."""
        return self.today() if self.faults.quirks.unpaid_paid_date == "today" else None

    async def handle(self, request: Request) -> Response:
        """Answer one request, faults included."""
        company = self.world.company_of(request.headers.get("X-API-KEY", ""))
        if self.faults.latency_seconds:
            await asyncio.sleep(self.faults.latency_seconds)
        key = company.key if company else None
        limited = self._limited(key)
        asked = _asked(request, company)
        struck = [] if limited else self.faults.strike(asked)
        response = limited or self._replacement(struck) or self._answer(request, company, asked, struck)
        response = _damaged(response, struck)
        if self.faults.quirks.sends_date:
            response.headers["Date"] = formatdate(self.server_now(), usegmt=True)
        status = 0 if isinstance(response, answers.Silent) else response.status_code
        self.requests.append(RequestRecord(request.method, request.url.path, request.url.query, status, key))
        return response

    def _limited(self, key: str | None) -> Response | None:
        limit = self.faults.rate_limit
        wait = self.faults.seconds_until_allowed(key) if limit and key else None
        if limit is None or wait is None:
            return None
        return answers.too_many_requests(limit.retry_after, wait, self.server_now())

    def _replacement(self, struck: Sequence[Fault]) -> Response | None:
        """Make the answer that a fault puts in the place of the true one, if any does."""
        for fault in struck:
            match fault.kind:
                case "drop":
                    return answers.Silent(0)
                case "stall":
                    return answers.Silent(fault.seconds)
                case "status" if fault.html or fault.status in (502, 504):
                    return answers.gateway(fault.status)
                case "status" if fault.status == 429:
                    return answers.too_many_requests(fault.retry_after, fault.seconds, self.server_now())
                case "status":
                    return answers.error(fault.status)
                case "not_json":
                    return answers.gateway(200)
                case "error_in_200":
                    return answers.json({"error": {"message": "Unexpected error.", "trace_id": answers.TRACE_ID}})
                case "redirect":
                    return Response(status_code=302, headers={"Location": fault.location})
        return None

    def _answer(self, request: Request, company: Company | None, asked: Asked, struck: Sequence[Fault]) -> Response:
        if request.method != "GET":
            return answers.error(405, {"Allow": "GET"})
        if company is None:
            return answers.error(401)
        if company.access != "read":
            return answers.error(402 if company.access == "no_subscription" else 403)
        match request.url.path.removeprefix("/v3/").split("/"):
            case ["documents"]:
                return self._page(request, company, asked, struck)
            case [name] if f"/{name}" in company.collections:
                return self._page(request, company, asked, struck, company.collections[f"/{name}"])
            case ["documents", id_] if id_.isdecimal():
                return self._document(company, id_)
            case ["documents", id_, "download"] if id_.isdecimal():
                return self._download(company, int(id_))
            case ["documents", id_, "online-szamla"] if id_.isdecimal():
                return self._nav_record(company, int(id_))
            case ["organization"]:
                subscription = {"expiration_date": _SUBSCRIBED_UNTIL, "features": FEATURES}
                return answers.json(
                    {"tax_code": company.tax_code, "subscription": subscription, "has_nav_connection": True}
                )
            case ["utils", "time"]:
                return self._time()
        return answers.error(404)

    def _document(self, company: Company, id_: str) -> Response:
        with self.world.lock:
            try:
                return answers.json(company.record(int(id_)).shown_on(self.unpaid_day()))
            except (UnknownDocumentError, ValueError):
                return answers.error(404)

    def _download(self, company: Company, id_: int) -> Response:
        with self.world.lock:
            try:
                number = company.record(id_).document().get("invoice_number")
            except (UnknownDocumentError, msgspec.DecodeError):
                return answers.error(404)
        if self.faults.quirks.pdf_takes_a_moment and (company.key, id_) not in self._pdfs_begun:
            self._pdfs_begun.add((company.key, id_))
            return answers.error(202)
        return answers.pdf(str(number or id_))

    def _nav_record(self, company: Company, id_: int) -> Response:
        with self.world.lock:
            try:
                status = company.record(id_).document().get("online_szamla_status")
            except (UnknownDocumentError, msgspec.DecodeError):
                return answers.error(404)
        if status not in NAV_RECORDED:
            return answers.error(404)
        return answers.json({"transaction_id": f"SANDBOX{id_:09d}", "status": status, "messages": []})

    def _time(self) -> Response:
        zone = self.faults.quirks.time_zone
        now = datetime.fromtimestamp(int(self.server_now()), ZoneInfo(zone))
        formatted = now.strftime("%Y-%m-%d %H:%M:%S")
        content = {
            "epoch": int(now.timestamp()),
            "formatted": formatted,
            "w3c": now.isoformat(),
            "timezone": zone,
        }
        return answers.json(content)

    def _page(
        self,
        request: Request,
        company: Company,
        asked: Asked,
        struck: Sequence[Fault],
        collection: Sequence[Mapping[str, Any]] | None = None,
    ) -> Response:
        """Show a page of the documents, or of another collection, which has no filters."""
        try:
            query = parse_query(request.query_params, self.faults.quirks)
        except InvalidParametersError as error:
            return answers.invalid(error.problems)
        lies = {fault.kind: fault.value for fault in struck}
        quirks = self.faults.quirks
        per_page = min(query.per_page, quirks.page_size_cap or query.per_page)
        with self.world.lock:
            unpaid_day = self.unpaid_day()
            selected: Sequence[bytes | Record]
            if collection is None:
                selected = self._selected(company, query)
            else:
                selected = [encode(record) for record in collection]
            total = len(selected)
            counted = max(0, total + quirks.total_off_by) if query.selects_everything else total
            last_page = max(1, -(-counted // per_page))
            shown = max(1, query.page - 1) if "repeated_page" in lies else query.page
            end = total - (shown - 1) * per_page
            records = [] if "empty_page" in lies or end <= 0 else selected[max(0, end - per_page) : end]
            data = b",".join([one if isinstance(one, bytes) else one.shown_on(unpaid_day) for one in reversed(records)])
            last_page = lies.get("last_page", last_page)
            envelope = {
                "total": lies.get("total", counted),
                **_stated_size(quirks.page_size_told, per_page, query.per_page),
                "current_page": query.page,
                "last_page": last_page,
                "prev_page_url": _page_url(request, query.page - 1, last_page),
                "next_page_url": _page_url(request, query.page + 1, last_page),
            }
            for mutation in self.faults.mutations_after(asked):
                mutation()
        return answers.json(b'{"data":[' + data + b"]," + encode(envelope)[1:])

    def _selected(self, company: Company, query: Query) -> list[Record]:
        """Apply the filters; what is shown first comes last, and is remembered until the company changes."""
        quirks = self.faults.quirks
        if query.selects_everything and quirks.listing_is_plain:
            return company.records
        filters = (query.equal, query.between, query.modified_since, query.text)
        today = self.today()
        remembered = (company, company.version, quirks, today, *filters)
        selected = self._selections.get(remembered)
        if selected is None:
            selected = query.select(company.records, quirks, today=today)
            if len(self._selections) >= _REMEMBERED_SELECTIONS:
                del self._selections[next(iter(self._selections))]
            self._selections[remembered] = selected
        return selected


def _asked(request: Request, company: Company | None) -> Asked:
    """Read what faults look at, leniently: which page of which listing is asked for."""
    path, key = request.url.path, company.key if company else None
    listed = {DOCUMENTS.path, *(company.collections if company else ())}
    if path.removeprefix("/v3") not in listed:
        return Asked(path, 0, key, frozenset())
    text = request.query_params.get("page", "")
    page = int(text) if text.isdecimal() and len(text) < 20 else 1
    return Asked(path, page, key, listings_of(request.query_params))


def _stated_size(form: PageSizeTold, per_page: int, asked: int) -> dict[str, int | str]:
    match form:
        case "nothing":
            return {}
        case "text":
            return {"per_page": str(per_page)}
        case "asked":
            return {"per_page": asked}
    return {"per_page": per_page}


def _page_url(request: Request, page: int, last_page: int) -> str | None:
    return str(request.url.include_query_params(page=page)) if 1 <= page <= last_page else None


def _damaged(response: Response, struck: Sequence[Fault]) -> Response:
    """Break the way an answer's body is sent, if it has one."""
    if not response.body:
        return response
    for fault in struck:
        if fault.kind == "truncate":
            return answers.Truncated(response.body, response.status_code, media_type="application/json")
        if fault.kind == "slow_body":
            return answers.Slow(response, fault.seconds)
    return response
