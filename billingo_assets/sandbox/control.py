"""`/sandbox` and `/`: what a person or a script needs to drive the sandbox over HTTP.

None of it exists at Billingo. Each endpoint only translates JSON to the Python interface of `world` and
`faults`.
"""

from decimal import Decimal
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from billingo_assets.sandbox import answers
from billingo_assets.sandbox.api import Api
from billingo_assets.sandbox.errors import SandboxError
from billingo_assets.sandbox.faults import Fault, Quirks, RateLimit
from billingo_assets.sandbox.world import World

GUIDE = """\
Billingo API v3 sandbox

The API           {url}/v3, header X-API-KEY: one of the keys below; only GET
  /documents      ?page= &per_page= and every documented filter      /documents/ID
  /organization   whose key it is                                    /utils/time

Driving it        (JSON; nobody but this machine can reach it)
  GET    /sandbox/companies   key, name, tax code, API key, number of documents
  GET    /sandbox/ledger      the truth to compare with: counts and exact sums per company
  GET    /sandbox/requests    what was asked of /v3, without API keys
  POST   /sandbox/mutate      {{"company": "{key}", "mutation": "create", "type": "invoice", "fields": {{}}}}
                              mutations: create change delete cancel pay add_raw (document_id, document, text)
  GET    /sandbox/faults      what is armed
  POST   /sandbox/faults      {{"fault": {{"kind": "status", "status": 500, "page": 2, "times": 1}}}}
                              {{"latency_seconds": 0.2}}
                              {{"rate_limit": {{"requests": 60, "retry_after": "seconds"}}}}
                              {{"quirks": {{"clock_skew_seconds": -90}}}}
                              {{"after_page": {{"page": 1, "mutation": {{…as for mutate…}}}}}}
                              kinds: status drop truncate not_json error_in_200 slow_body redirect
                                     empty_page repeated_page last_page total
  DELETE /sandbox/faults      all knobs back
  POST   /sandbox/reset       the generated state again, no faults, an empty log

Companies
{companies}
"""


class Mutation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A mutation of a company in JSON; the fields a kind does not use are ignored."""

    company: str
    mutation: Literal["create", "change", "delete", "cancel", "pay", "add_raw"]
    document_id: int = 0
    type: str = "invoice"
    fields: dict[str, Any] = {}
    even_if_issued: bool = False
    document: dict[str, Any] | None = None
    text: str = ""
    counted: bool = False

    def apply(self, world: World) -> dict[str, Any] | None:
        """Carry it out; the document it made or changed is returned. Raises SandboxError."""
        company = world.company(self.company)
        match self.mutation:
            case "create":
                return company.create(**{"type": self.type} | self.fields)
            case "change":
                return company.change(self.document_id, mutate=lambda document: document.update(self.fields))
            case "delete":
                company.delete(self.document_id, even_if_issued=self.even_if_issued)
            case "cancel":
                return company.cancel(self.document_id)
            case "pay":
                return company.pay(self.document_id)
            case "add_raw":
                company.add_raw(self.document or self.text.encode(), counted=self.counted)
        return None


class MutationAfterPage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A mutation that waits until a page was put together."""

    page: int
    mutation: Mutation
    company: str | None = None
    times: int = 1


class Knobs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The knobs to turn; what is not named stays as it is."""

    fault: Fault | msgspec.UnsetType = msgspec.UNSET
    latency_seconds: float | msgspec.UnsetType = msgspec.UNSET
    rate_limit: RateLimit | msgspec.UnsetType | None = msgspec.UNSET
    quirks: Quirks | msgspec.UnsetType = msgspec.UNSET
    after_page: MutationAfterPage | msgspec.UnsetType = msgspec.UNSET


_MUTATION = msgspec.json.Decoder(Mutation, float_hook=Decimal)
_KNOBS = msgspec.json.Decoder(Knobs, float_hook=Decimal)


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
            Route("/sandbox/requests", self._requests),
            Route("/sandbox/faults", self._show_faults),
            Route("/sandbox/faults", self._turn_knobs, methods=["POST"]),
            Route("/sandbox/faults", self._clear_faults, methods=["DELETE"]),
            Route("/sandbox/mutate", self._mutate, methods=["POST"]),
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
            knobs = _KNOBS.decode(await request.body())
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
            )
        return await self._show_faults(request)

    async def _clear_faults(self, request: Request) -> Response:
        self._faults.clear()
        return Response(status_code=204)

    async def _mutate(self, request: Request) -> Response:
        try:
            return answers.json({"document": _MUTATION.decode(await request.body()).apply(self._world)})
        except (msgspec.DecodeError, SandboxError) as error:
            return _refused(error)

    async def _reset(self, request: Request) -> Response:
        self._faults.clear()
        self._world.reset()
        self._api.requests.clear()
        return Response(status_code=204)


def _refused(error: Exception) -> Response:
    return answers.json({"error": {"message": f"Nothing was changed: {error}"}}, 400)
