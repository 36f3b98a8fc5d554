"""The commands of a person or a script to the sandbox, in JSON: mutations, and knobs to turn.

Each only translates to the Python interface of `company` and `faults`. The endpoints are in `control`.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import msgspec

from billingo_assets.sandbox.company import Payment
from billingo_assets.sandbox.errors import SandboxError
from billingo_assets.sandbox.faults import Fault, RateLimit
from billingo_assets.sandbox.query import Listing
from billingo_assets.sandbox.quirks import Habits, Quirks
from billingo_assets.sandbox.world import World

MutationKind = Literal[
    "create", "change", "delete", "issue", "modify", "cancel", "pay", "set_payment", "add_raw"
]  # fmt: skip


class Mutation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A mutation of a company in JSON; the fields a kind does not use are ignored."""

    company: str
    mutation: MutationKind
    document_id: int = 0
    type: str = "invoice"
    fields: dict[str, Any] = {}
    even_if_issued: bool = False
    as_new: bool = False
    status: Payment = "paid"
    on: date | None = None
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
            case "issue":
                return company.issue(self.document_id, as_new=self.as_new)
            case "modify":
                return company.modify(self.document_id)
            case "cancel":
                return company.cancel(self.document_id)
            case "pay":
                return company.pay(self.document_id, on=self.on)
            case "set_payment":
                return company.set_payment(self.document_id, self.status, self.on)
            case "add_raw":
                company.add_raw(self.document or self.text.encode(), counted=self.counted)
        return None


class MutationAfterPage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A mutation that waits until a page was put together."""

    page: int
    mutation: Mutation
    company: str | None = None
    times: int = 1
    listing: Listing | None = None


class Knobs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The knobs to turn; what is not named stays as it is."""

    fault: Fault | msgspec.UnsetType = msgspec.UNSET
    latency_seconds: float | msgspec.UnsetType = msgspec.UNSET
    rate_limit: RateLimit | msgspec.UnsetType | None = msgspec.UNSET
    quirks: Quirks | msgspec.UnsetType = msgspec.UNSET
    after_page: MutationAfterPage | msgspec.UnsetType = msgspec.UNSET


class ClockChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far to put the sandbox's clock forward."""

    advance_days: float


class Reset(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the documents are to be written this time; None: as they were at the start."""

    habits: Habits | None = None


_MUTATION = msgspec.json.Decoder(Mutation, float_hook=Decimal)
_KNOBS = msgspec.json.Decoder(Knobs, float_hook=Decimal)
_CLOCK_CHANGE = msgspec.json.Decoder(ClockChange)
_RESET = msgspec.json.Decoder(Reset)


def read_mutation(body: bytes) -> Mutation:
    """Decode a mutation. Raises msgspec.DecodeError."""
    return _MUTATION.decode(body)


def read_knobs(body: bytes) -> Knobs:
    """Decode the knobs to turn. Raises msgspec.DecodeError."""
    return _KNOBS.decode(body)


def read_reset(body: bytes) -> Reset:
    """Decode the options of a reset, which may be empty. Raises msgspec.DecodeError."""
    return _RESET.decode(body or b"{}")


def read_assumptions(assumed: Mapping[str, str]) -> tuple[Quirks, Habits]:
    """Read quirks and habits by their names, each value as a person types it. Raises SandboxError."""
    chosen: dict[type[Quirks] | type[Habits], dict[str, str]] = {Quirks: {}, Habits: {}}
    for name, value in assumed.items():
        kind = next((kind for kind in chosen if name in kind.__struct_fields__), None)
        if kind is None:
            known = sorted((*Quirks.__struct_fields__, *Habits.__struct_fields__))
            raise SandboxError(f"Nothing named {name!r} can be assumed. There are {', '.join(known)}.")
        try:
            msgspec.convert({name: value}, kind, strict=False)
        except msgspec.ValidationError:
            raise SandboxError(f"{name} cannot be {value!r}. The sandbox's front page lists what it can be.") from None
        chosen[kind][name] = value
    return msgspec.convert(chosen[Quirks], Quirks, strict=False), msgspec.convert(chosen[Habits], Habits, strict=False)


def read_clock_change(body: bytes) -> ClockChange:
    """Decode a change of the clock. Raises msgspec.DecodeError."""
    return _CLOCK_CHANGE.decode(body)
