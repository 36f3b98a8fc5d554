"""The query string of `GET /documents`: what is valid, and which documents it selects.

Not here: paging (`api`), and what the sandbox assumes where the documentation is silent (`quirks`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Literal
from zoneinfo import ZoneInfo

from billingo_assets.sandbox.quirks import Quirks
from billingo_assets.sandbox.record import Facts, Record
from billingo_assets.sandbox.vocabulary import DOCUMENT_TYPES, RECEIPTS

Listing = Literal["all", "modified", "paid", "number"]
"""A listing by its filters: without any, or with last_modified_date, paid_start_date or start_number."""

MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 25

_DATES = (
    ("start_date", "end_date", "invoice_date"),
    ("paid_start_date", "paid_end_date", "paid_date"),
    ("fulfillment_start_date", "fulfillment_end_date", "fulfillment_date"),
)
_ENUMS = {  # payment_method is not among them: its list has grown with every release of the API
    "type": tuple(sorted(DOCUMENT_TYPES)),
    "payment_status": ("expired", "none", "outstanding", "paid", "partially_paid"),
}
_NUMBERS = ("start_number", "start_year", "end_number", "end_year")
_FILTERS = frozenset(
    {"partner_id", "block_id", "payment_method", "last_modified_date", "query", *_ENUMS, *_NUMBERS}
    | {bound for low, high, _ in _DATES for bound in (low, high)}
)
_TELLING: dict[str, Listing] = {
    "last_modified_date": "modified",
    "paid_start_date": "paid",
    "start_number": "number",
}


class InvalidParametersError(Exception):
    """Parameters the API answers with 422; `problems` are (field, message) pairs."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__(problems)
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Query:
    """A valid query string. `between` and `equal` name attributes of `Facts`; bounds are inclusive."""

    page: int
    per_page: int
    equal: tuple[tuple[str, Any], ...]
    between: tuple[tuple[str, Any, Any], ...]
    modified_since: datetime | None
    text: str

    @property
    def selects_everything(self) -> bool:
        """Whether there is no filter at all."""
        return not (self.equal or self.between or self.modified_since or self.text)

    @property
    def is_by_number(self) -> bool:
        """Whether it selects by document number."""
        return any(attribute == "year_and_number" for attribute, _, _ in self.between)

    def select(self, records: list[Record], quirks: Quirks, *, today: str) -> list[Record]:
        """Filter records given oldest first; the answer is in the order of `quirks`, what it shows first last."""
        since = self.modified_since
        threshold = since.replace(tzinfo=ZoneInfo(quirks.time_zone)).timestamp() if since else None
        equal, hidden = self.equal, quirks.hidden_from_listing
        if self.is_by_number:
            hidden = frozenset()
            if quirks.numbers_ignore_block:
                equal = tuple(row for row in equal if row[0] != "block_id")
        # Each filter over all records on its own: a company of 100,000 is listed as fast as a database would.
        selected = list(records)
        if threshold is not None:
            selected = quirks.modified_since(selected, threshold)
        if hidden:
            selected = [record for record in selected if record.facts.id not in hidden]
        if quirks.receipts_only_by_type and not self.is_by_number and not any(row[0] == "type" for row in equal):
            selected = [record for record in selected if record.facts.type not in RECEIPTS]
        if equal or self.between or self.text:
            unpaid_on = today if quirks.paid_filter_finds_unpaid else ""
            selected = [record for record in selected if self._matches(record.facts, equal, unpaid_on)]
        if quirks.order == "invoice_date":
            selected.sort(key=lambda record: record.facts.invoice_date)
        return selected

    def _matches(self, facts: Facts, equal: tuple[tuple[str, Any], ...], unpaid_on: str) -> bool:
        for attribute, wanted in equal:
            if getattr(facts, attribute) != wanted:
                return False
        for attribute, low, high in self.between:
            value = getattr(facts, attribute)
            if attribute == "paid_date" and facts.is_unpaid:
                value = unpaid_on
            if not value or (low and value < low) or (high and value > high):
                return False
        return self.text in facts.searched


def listings_of(parameters: Mapping[str, str]) -> frozenset[Listing]:
    """Say which listings a query string asks for, valid or not: several with several filters, or none of them."""
    if _FILTERS.isdisjoint(parameters):
        return frozenset({"all"})
    return frozenset(listing for name, listing in _TELLING.items() if name in parameters)


def parse_query(parameters: Mapping[str, str], quirks: Quirks) -> Query:
    """Validate a query string; unknown parameters are ignored. Raises InvalidParametersError."""
    enums = _ENUMS | ({"type": ("invoice", "receipt")} if quirks.type_filter_is_narrow else {})
    problems: list[tuple[str, str]] = []

    def read(name: str, convert: Callable[[str], Any], expected: str) -> Any:
        text = parameters.get(name)
        if text is None:
            return None
        try:
            return convert(text)
        except ValueError:
            problems.append((name, f"The {name.replace('_', ' ')} {expected}."))
            return None

    def whole(name: str, low: int = 0, high: int = 2**63 - 1) -> int | None:
        limits = f"must be an integer between {low} and {high}" if high < 2**31 else "must be an integer"
        number: int | None = read(name, lambda text: _whole(text, low, high), limits)
        return number

    def numbers(end: str) -> tuple[int, int] | None:
        number, year = whole(f"{end}_number"), whole(f"{end}_year")
        if (number is None) != (year is None):
            missing, given = ("number", "year") if number is None else ("year", "number")
            problems.append((f"{end}_{missing}", f"Required if {end}_{given} is given."))
        return None if number is None or year is None else (year, number)

    page = whole("page", 1)
    per_page = whole("per_page", 1, MAX_PER_PAGE)
    equal = {name: whole(name) for name in ("partner_id", "block_id")} | {
        name: read(name, partial(_one_of, known), f"must be one of {', '.join(known)}") for name, known in enums.items()
    }
    equal["payment_method"] = parameters.get("payment_method")
    between = [
        (attribute, *(read(bound, _iso_date, "must be a date as YYYY-MM-DD") for bound in (low, high)))
        for low, high, attribute in _DATES
    ]
    between.append(("year_and_number", numbers("start"), numbers("end")))
    since = read("last_modified_date", _timestamp, "must be a time as YYYY-MM-DD HH:MM:SS")
    if problems:
        raise InvalidParametersError(problems)
    return Query(
        page=page or 1,
        per_page=per_page or DEFAULT_PER_PAGE,
        equal=tuple((name, value) for name, value in equal.items() if value is not None),
        between=tuple(row for row in between if row[1] or row[2]),
        modified_since=since,
        text=parameters.get("query", "").casefold(),
    )


def _whole(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
        raise ValueError(text)
    return int(text)


def _one_of(known: tuple[str, ...], text: str) -> str:
    if text not in known:
        raise ValueError(text)
    return text


def _iso_date(text: str) -> str:
    # fromisoformat alone also takes 20260101 and 2026-W01-1.
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(text)
    return date.fromisoformat(text).isoformat()


def _timestamp(text: str) -> datetime:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text):
        raise ValueError(text)
    return datetime.fromisoformat(text)
