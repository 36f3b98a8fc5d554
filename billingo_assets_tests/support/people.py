"""What people do to a company's books at Billingo. No tests here.

Each deed is a few plain values, so that a history of them reads as a story. Which document it is done to is told by
a number that is counted off among those it can be done to.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from billingo_assets.sandbox import RefusedMutationError
from billingo_assets.sandbox.record import Record
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import as_json, document

Kind = Literal["created", "edited", "gone"]


@dataclass
class Clock:
    """Billingo's clock: the true one, and ahead of it by all the days that passed in the story.

    It moves on by a second with everything that happens, so that no two things happen in the same second, and
    `moment` counts them.
    """

    ahead: float
    now: Callable[[], float]
    moment: int = 0

    def __call__(self) -> float:
        return self.now() + self.ahead

    def tick(self) -> int:
        self.ahead += 1
        self.moment += 1
        return self.moment


@dataclass(frozen=True)
class Change:
    """What happened to a document, and when, by the count of moments and by Billingo's clock.

    `id` is None for a broken document without one, `record` for a document that is gone.
    """

    moment: int
    at: int
    kind: Kind
    id: int | None
    record: Record | None = field(repr=False)


@dataclass
class Account:
    """A company's books with all that happened to them.

    `unstorable` and `misunderstood` are the ids of documents that are broken, `anonymous` counts those without one;
    `graveyard` holds the deleted ones as they last were. While `new_ones_come_first`, nobody makes a document that a
    listing by date shows among the older ones.
    """

    books: Books
    clock: Clock
    changes: list[Change] = field(default_factory=list)
    unstorable: set[int] = field(default_factory=set)
    misunderstood: set[int] = field(default_factory=set)
    anonymous: int = 0
    graveyard: dict[int, bytes] = field(default_factory=dict)
    invented: int = 0
    new_ones_come_first: bool = False

    @property
    def broken(self) -> set[int]:
        return self.unstorable | self.misunderstood

    def note(self, kind: Kind, document_id: int) -> None:
        record = None if kind == "gone" else self.books.served.record(document_id)
        self.changes.append(Change(self.clock.moment, int(self.clock()), kind, document_id, record))

    def note_newest(self, kind: Kind, document_id: int | None) -> None:
        """Note what happened to the newest document, which the sandbox need not know by its id."""
        record = self.books.served.records[-1]
        self.changes.append(Change(self.clock.moment, int(self.clock()), kind, document_id, record))

    def since(self, moment: int) -> list[Change]:
        """What happened after a moment."""
        return [change for change in self.changes if change.moment > moment]

    def ids(self, *types: str) -> list[int]:
        """The sound documents, of some types or of all, the oldest first."""
        return [
            record.facts.id
            for record in self.books.served.records
            if record.facts.id is not None
            and record.facts.id not in self.broken
            and (not types or record.facts.type in types)
        ]

    def between_numbers(self) -> set[int]:
        """The documents that have a few lower and higher numbers beside them."""
        ranges: dict[tuple[int | None, int], list[tuple[int, int]]] = {}
        for record in self.books.served.records:
            if record.facts.year_and_number and record.facts.id is not None:
                year, number = record.facts.year_and_number
                ranges.setdefault((record.facts.block_id, year), []).append((number, record.facts.id))
        return {id_ for numbered in ranges.values() for _, id_ in sorted(numbered)[3:-3]}

    def new_id(self) -> int:
        """An id that the sandbox does not give."""
        self.invented += 1
        return self.invented

    def visible(self, hidden: frozenset[int]) -> int:
        """What the API counts."""
        return sum(record.facts.id not in hidden for record in self.books.served.records)


class Deed:
    """Something that somebody does. Raises RefusedMutationError for what Billingo does not allow."""

    def do(self, account: Account) -> None:
        account.clock.tick()
        with account.books.sandbox.world.lock, suppress(RefusedMutationError):
            self.to(account)

    def to(self, account: Account) -> None:
        raise NotImplementedError


def _counted_off(ids: list[int], nth: int) -> int:
    if not ids:
        raise RefusedMutationError("there is none")
    return ids[nth % len(ids)]


def _among_the_older(account: Account) -> None:
    if account.new_ones_come_first:
        raise RefusedMutationError("not now")


@dataclass(frozen=True)
class Create(Deed):
    type: str
    currency: str | None = None
    days_ago: int = 0

    def to(self, account: Account) -> None:
        fields = {"currency": self.currency} if self.currency else {}
        if self.days_ago:
            _among_the_older(account)
            fields["invoice_date"] = _day(account, self.days_ago).isoformat()
        account.note("created", account.books.served.create(type=self.type, **fields)["id"])


def _day(account: Account, days_ago: int) -> date:
    return datetime.fromtimestamp(account.clock(), UTC).date() - timedelta(days=days_ago)


@dataclass(frozen=True)
class CreateMany(Deed):
    """More than a page at once, as an import does; every tenth is a draft."""

    count: int

    def to(self, account: Account) -> None:
        for at in range(self.count):
            account.note("created", account.books.served.create(type="invoice" if at % 10 else "draft")["id"])


@dataclass(frozen=True)
class Edit(Deed):
    nth: int

    def to(self, account: Account) -> None:
        chosen = _counted_off(account.ids(), self.nth)
        account.books.served.change(chosen, comment=f"at moment {account.clock.moment}")
        account.note("edited", chosen)


@dataclass(frozen=True)
class TakeOutLine(Deed):
    nth: int

    def to(self, account: Account) -> None:
        chosen = _counted_off(account.ids("draft"), self.nth)
        account.books.served.change(chosen, mutate=lambda changed: changed["items"].pop() if changed["items"] else None)
        account.note("edited", chosen)


@dataclass(frozen=True)
class Delete(Deed):
    """Drafts alone can be deleted."""

    nth: int
    count: int = 1

    def to(self, account: Account) -> None:
        for _ in range(self.count):
            _delete(account, _counted_off(account.ids("draft"), self.nth))


def _delete(account: Account, document_id: int) -> None:
    account.graveyard[document_id] = account.books.served.record(document_id).body
    account.books.served.delete(document_id)
    account.note("gone", document_id)


@dataclass(frozen=True)
class Undelete(Deed):
    nth: int

    def to(self, account: Account) -> None:
        _among_the_older(account)
        chosen = _counted_off(sorted(account.graveyard), self.nth)
        account.books.served.add_raw(account.graveyard.pop(chosen), counted=True)
        account.note("created", chosen)


@dataclass(frozen=True)
class Cancel(Deed):
    nth: int

    def to(self, account: Account) -> None:
        chosen = _counted_off(account.ids("invoice", "receipt", "advance", "modification"), self.nth)
        account.note("created", account.books.served.cancel(chosen)["id"])
        account.note("edited", chosen)


@dataclass(frozen=True)
class Modify(Deed):
    nth: int

    def to(self, account: Account) -> None:
        chosen = _counted_off(account.ids("invoice", "advance", "modification"), self.nth)
        account.note("created", account.books.served.modify(chosen)["id"])


@dataclass(frozen=True)
class Issue(Deed):
    """A draft becomes an invoice: under its own id, or as another document in its place."""

    nth: int
    as_new: bool = False

    def to(self, account: Account) -> None:
        chosen = _counted_off(account.ids("draft"), self.nth)
        issued = account.books.served.issue(chosen, as_new=self.as_new)["id"]
        if self.as_new:
            account.note("gone", chosen)
        account.note("created" if self.as_new else "edited", issued)


@dataclass(frozen=True)
class Pay(Deed):
    nth: int
    status: Literal["paid", "partially_paid", "outstanding"]
    days_ago: int | None = None

    def to(self, account: Account) -> None:
        chosen = _counted_off(account.ids("invoice"), self.nth)
        on = None if self.days_ago is None else _day(account, self.days_ago)
        account.books.served.set_payment(chosen, self.status, on=on)
        account.note("edited", chosen)


Fracture = Literal["NUL", "lone surrogate", "wrong amount", "null", "no id"]


def _broken(how: Fracture, document_id: int) -> bytes:
    match how:
        case "NUL":
            return b'{"id": %d, "comment": "\\u0000"}' % document_id
        case "lone surrogate":
            return b'{"id": %d, "comment": "\\ud800"}' % document_id
        case "wrong amount":
            return as_json(_sound(document_id, gross_total="12,5")).encode()
        case "null":
            return b"null"
        case "no id":
            return b'{"comment": "x"}'


def _sound(document_id: int, **changes: object) -> dict[str, object]:
    return document(document_id, invoice_number=None, block_id=None, **changes)


def _put(account: Account, how: Fracture, document_id: int, kind: Kind) -> None:
    _among_the_older(account)
    account.books.served.add_raw(_broken(how, document_id))
    if how in ("null", "no id"):
        account.anonymous += 1
        account.note_newest(kind, None)
        return
    (account.misunderstood if how == "wrong amount" else account.unstorable).add(document_id)
    account.note_newest(kind, document_id)


@dataclass(frozen=True)
class AddBroken(Deed):
    how: Fracture

    def to(self, account: Account) -> None:
        _put(account, self.how, account.new_id(), "created")


@dataclass(frozen=True)
class Break(Deed):
    """A draft is served broken from now on, as the newest."""

    nth: int
    how: Fracture

    def to(self, account: Account) -> None:
        _among_the_older(account)
        chosen = _counted_off(account.ids("draft"), self.nth)
        account.books.served.delete(chosen)
        _put(account, self.how, chosen, "edited")


@dataclass(frozen=True)
class Mend(Deed):
    """A broken document is served sound again, or is taken away."""

    nth: int
    by_deleting: bool = False

    def to(self, account: Account) -> None:
        if not self.by_deleting:
            _among_the_older(account)
        known = {record.facts.id for record in account.books.served.records}
        chosen = _counted_off(sorted(account.broken & known), self.nth)
        account.books.served.delete(chosen, even_if_issued=True)
        account.unstorable.discard(chosen)
        account.misunderstood.discard(chosen)
        if self.by_deleting:
            account.note("gone", chosen)
        else:
            # Of a type to which nothing is done that would need the sandbox's own amounts.
            account.books.served.add_raw(_sound(chosen, type="proforma"), counted=True)
            account.note_newest("edited", chosen)
