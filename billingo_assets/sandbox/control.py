"""`/sandbox` and `/`: what a person or a script needs to drive the sandbox over HTTP.

None of it exists at Billingo. `commands` decodes the requests of these endpoints.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from billingo_assets.sandbox import answers
from billingo_assets.sandbox.api import Api
from billingo_assets.sandbox.commands import (
    MutationAfterPage,
    read_clock_change,
    read_knobs,
    read_mutation,
    read_reset,
)
from billingo_assets.sandbox.errors import SandboxError
from billingo_assets.sandbox.faults import Fault, RateLimit
from billingo_assets.sandbox.quirks import Quirks

GUIDE = """\
Billingo API v3 sandbox

The API           {url}/v3, header X-API-KEY: one of the keys below; only GET
  /documents      ?page= &per_page= and every documented filter      /documents/ID
  /documents/ID/download   a PDF; 202 at first                       /documents/ID/online-szamla
  /organization   whose key it is                                    /utils/time

Driving it        (JSON; nobody but this machine can reach it)
  GET    /sandbox/companies   key, name, tax code, API key, number of documents
  GET    /sandbox/ledger      the truth to compare with: counts and exact sums per company
  GET    /sandbox/payloads?company={key}
                              every sound document by its id, as a listing serves it
  GET    /sandbox/requests    what was asked of /v3, without API keys
  POST   /sandbox/mutate      {{"company": "{key}", "mutation": "create", "type": "invoice", "fields": {{}}}}
                              mutations: create (type, fields)   change (document_id, fields)
                                         delete (even_if_issued)   issue (as_new)   modify   cancel
                                         pay (on)   set_payment (status, on)   add_raw (document or text, counted)
  GET    /sandbox/faults      what is armed
  POST   /sandbox/faults      {{"fault": {{"kind": "status", "status": 500, "page": 2, "times": 1}}}}
                              {{"latency_seconds": 0.2}}
                              {{"rate_limit": {{"requests": 60, "retry_after": "seconds"}}}}
                              {{"quirks": {{"clock_skew_seconds": -90}}}}
                              {{"after_page": {{"page": 1, "mutation": {{…as for mutate…}}}}}}
                              kinds: status (status, html, retry_after, seconds)   drop   stall (seconds)   truncate
                                     not_json   error_in_200   slow_body (seconds)   redirect (location)
                                     empty_page   repeated_page   last_page (value)   total (value)
                              a fault strikes by path, page, company and listing, after skip, and times times
                              a mutation after a page waits by company and listing, and runs times times
                              listings, by their filters: all (none) modified paid number
                              quirks: last_modified_omits_new last_modified_ignores_payments modified_strictly_after
                                      documents_without_modification_time hidden_from_listing (ids)
                                      numbers_ignore_block order (created or invoice_date) page_size_cap
                                      page_size_told (number, text, asked or nothing) total_off_by
                                      sends_date clock_skew_seconds time_zone
                                      unpaid_paid_date (today or stored) paid_filter_finds_unpaid   pdf_takes_a_moment
                                      receipts_only_by_type type_filter_is_narrow
  DELETE /sandbox/faults      all knobs back
  POST   /sandbox/clock       {{"advance_days": 1}}: put the clock forward
  POST   /sandbox/reset       the generated state again, no faults, an empty log, the true time
                              {{"habits": {{"storno_amounts": "positive"}}}}: and written in that way
                              habits: storno_amounts (negative or positive)
                                      storno_payment_status (none, outstanding or paid)
                                      cancelled_payment_status (kept, none or paid)
                                      originals_list_corrections originals_name_corrections
                                      modification (delta or restatement) discount (lines or header)

Companies
{companies}
"""


class Control:
    """The endpoints beside the API."""

    def __init__(self, api: Api) -> None:
        self._api, self._world, self._faults = api, api.world, api.faults

    def routes(self) -> list[Route]:
        """List the routes; those that change something take POST or DELETE only."""
        return [
            Route("/", self._guide),
            Route("/sandbox/companies", self._companies),
            Route("/sandbox/ledger", self._ledger),
            Route("/sandbox/payloads", self._payloads),
            Route("/sandbox/requests", self._requests),
            Route("/sandbox/faults", self._show_faults),
            Route("/sandbox/faults", self._turn_knobs, methods=["POST"]),
            Route("/sandbox/faults", self._clear_faults, methods=["DELETE"]),
            Route("/sandbox/mutate", self._mutate, methods=["POST"]),
            Route("/sandbox/clock", self._advance, methods=["POST"]),
            Route("/sandbox/reset", self._reset, methods=["POST"]),
        ]

    async def _guide(self, request: Request) -> Response:
        companies = self._world.companies
        rows = [f"  {one.key:20} {one.api_key}  {len(one.records):7}  {one.name}" for one in companies]
        url = str(request.base_url).rstrip("/")
        key = companies[0].key if companies else "KEY"
        return PlainTextResponse(GUIDE.format(url=url, key=key, companies="\n".join(rows)))

    async def _companies(self, request: Request) -> Response:
        rows = [
            {
                "key": company.key,
                "name": company.name,
                "tax_code": company.tax_code,
                "api_key": company.api_key,
                "documents": len(company.records),
            }
            for company in self._world.companies
        ]
        return answers.json({"companies": rows})

    async def _ledger(self, request: Request) -> Response:
        return answers.json(msgspec.json.encode({"companies": self._world.ledger()}))

    async def _payloads(self, request: Request) -> Response:
        try:
            company = self._world.company(request.query_params.get("company", ""))
            payloads = company.payloads(on=self._api.unpaid_day())
        except SandboxError as error:
            return _refused(error)
        return answers.json(b"{" + b",".join(b'"%d":%s' % one for one in payloads.items()) + b"}")

    async def _requests(self, request: Request) -> Response:
        return answers.json({"requests": [one._asdict() for one in self._api.requests]})

    async def _show_faults(self, request: Request) -> Response:
        faults = self._faults
        return answers.json(
            {
                "faults": faults.armed(),
                "latency_seconds": faults.latency_seconds,
                "rate_limit": faults.rate_limit,
                "quirks": faults.quirks,
            }
        )

    async def _turn_knobs(self, request: Request) -> Response:
        try:
            knobs = read_knobs(await request.body())
        except msgspec.DecodeError as error:
            return _refused(error)
        faults = self._faults
        if isinstance(knobs.fault, Fault):
            faults.add(knobs.fault)
        if isinstance(knobs.latency_seconds, float):
            faults.latency_seconds = knobs.latency_seconds
        if knobs.rate_limit is None or isinstance(knobs.rate_limit, RateLimit):
            faults.rate_limit = knobs.rate_limit
        if isinstance(knobs.quirks, Quirks):
            faults.quirks = knobs.quirks
        if isinstance(knobs.after_page, MutationAfterPage):
            waiting = knobs.after_page
            faults.after_page(
                waiting.page,
                lambda: waiting.mutation.apply(self._world),
                company=waiting.company,
                times=waiting.times,
                listing=waiting.listing,
            )
        return await self._show_faults(request)

    async def _clear_faults(self, request: Request) -> Response:
        self._faults.clear()
        return Response(status_code=204)

    async def _mutate(self, request: Request) -> Response:
        try:
            return answers.json({"document": read_mutation(await request.body()).apply(self._world)})
        except (msgspec.DecodeError, SandboxError) as error:
            return _refused(error)

    async def _advance(self, request: Request) -> Response:
        try:
            self._world.advance(days=read_clock_change(await request.body()).advance_days)
        except (msgspec.DecodeError, OverflowError) as error:
            return _refused(error)
        return answers.json({"today": self._api.today()})

    async def _reset(self, request: Request) -> Response:
        try:
            habits = read_reset(await request.body()).habits
        except msgspec.DecodeError as error:
            return _refused(error)
        self._faults.clear()
        self._world.reset(habits=habits)
        self._api.requests.clear()
        return Response(status_code=204)


def _refused(error: Exception) -> Response:
    return answers.json({"error": {"message": f"Nothing was changed: {error}"}}, 400)
