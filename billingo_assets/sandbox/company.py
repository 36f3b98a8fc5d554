"""One company: whose books they are, and every way to change them while they are served.

Mutations behave as Billingo's own do (only drafts are deleted, issued documents are cancelled by a second
document) unless asked otherwise by name. How documents are kept is in `books`, what they say in `generator`.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from billingo_assets.sandbox import history
from billingo_assets.sandbox import vocabulary as words
from billingo_assets.sandbox.books import Books
from billingo_assets.sandbox.collections import COLLECTIONS
from billingo_assets.sandbox.errors import RefusedMutationError
from billingo_assets.sandbox.generator import Document, FollowUp, Generator
from billingo_assets.sandbox.quirks import Habits
from billingo_assets.sandbox.record import Record, encode, facts_of, parse

_BUDAPEST = ZoneInfo("Europe/Budapest")
_HISTORY = timedelta(days=911)  # two and a half years: three numbering years with the default end

Access = Literal["read", "no_scope", "no_subscription"]
Payment = Literal["paid", "partially_paid", "outstanding"]


@dataclass(frozen=True)
class CompanySpec:
    """A company to generate: its key, its legal name and how many documents its past holds."""

    key: str
    name: str
    documents: int = 100


class Company(Books):
    """One company: who it is, its documents, and the mutations. Made by `World`, which shares its lock.

    `access` is what its API key may do: "read", or "no_scope" (403), or "no_subscription" (402).
    """

    def __init__(
        self,
        spec: CompanySpec,
        *,
        seed: int,
        until: date,
        clock: Callable[[], float],
        lock: threading.RLock,
        habits: Habits,
    ) -> None:
        self.name = spec.name
        self._clock = clock
        self._generator = Generator(seed=f"{seed}/{spec.key}", name=spec.name, habits=habits)
        self.api_key = self._generator.api_key
        self.organization = self._generator.organization
        self.tax_code: str = self.organization["tax_number"]
        self.access: Access = "read"
        super().__init__(spec.key, lock)
        for document, created_at in history.documents(
            self._generator, spec.documents, first=until - _HISTORY, until=until
        ):
            self._append(_historical(document, created_at))
            self._correct(document, at=created_at)
        self.collections = {path: make(self) for path, make in COLLECTIONS.items()}

    def create(self, *, type: str = "invoice", **fields: Any) -> Document:
        """Add a new document dated today; `fields` replace what would be generated.

        Raises RefusedMutationError for an unknown type, or one that only follows from another document.
        """
        possible = words.DOCUMENT_TYPES - words.FOLLOW_UPS
        if type not in possible:
            raise RefusedMutationError(
                f"{type!r} cannot be created on its own; choose one of {', '.join(sorted(possible))}."
            )
        with self._lock:
            document = self._generator.document(type, self._today(), today=self._today()) | fields
            self._create(document)
            return document

    def change(
        self, document_id: int, *, mutate: Callable[[Document], object] | None = None, **fields: Any
    ) -> Document:
        """Edit a document: set `fields`, then let `mutate` alter the decoded document in place."""
        with self._lock:
            record = self.record(document_id)
            document = record.document() | fields
            if mutate:
                mutate(document)
            self._store(record, document)
            record.edited_at = self._now()
            return document

    def delete(self, document_id: int, *, even_if_issued: bool = False) -> None:
        """Delete a draft. Raises RefusedMutationError for an issued document, unless that is allowed."""
        with self._lock:
            record = self.record(document_id)
            if record.facts.type not in words.DRAFTS and not even_if_issued:
                raise RefusedMutationError(
                    f"Document {document_id} is issued and only drafts can be deleted; cancel it."
                )
            self._remove(record)

    def issue(self, document_id: int, *, as_new: bool = False) -> Document:
        """Make a draft an invoice dated today, which is returned. Raises RefusedMutationError.

        It keeps its id and place; `as_new` deletes the draft and creates the invoice as another document.
        """
        with self._lock:
            record = self.record(document_id)
            if record.facts.type != "draft":
                raise RefusedMutationError(
                    f"Document {document_id} is a {record.facts.type}; only a draft can be issued."
                )
            document = self._generator.issued(record.document(), self._today(), as_new=as_new)
            if as_new:
                self._remove(record)
                self._create(document, counted=record.counted)
            else:
                self._store(record, document)
                record.edited_at = self._now()
            return document

    def cancel(self, document_id: int) -> Document:
        """Cancel an issued document by a second one, which is returned. Raises RefusedMutationError."""
        with self._lock:
            record = self.record(document_id)
            original = record.document()
            kind: FollowUp = "receipt_cancellation" if record.facts.type == "receipt" else "cancellation"
            return self._follow_up(kind, record, original, possible=words.RECEIVABLES)

    def modify(self, document_id: int) -> Document:
        """Modify an issued document by a second one, which is returned.

        Modifications can be modified and cancelled in turn. Raises RefusedMutationError.
        """
        with self._lock:
            record = self.record(document_id)
            return self._follow_up("modification", record, record.document(), possible=words.MODIFIABLE)

    def pay(self, document_id: int, *, on: date | None = None) -> Document:
        """Mark a document as paid, today or `on` a day."""
        return self.set_payment(document_id, "paid", on=on)

    def set_payment(self, document_id: int, status: Payment, on: date | None = None) -> Document:
        """Mark a document as paid or paid in part, today or `on` a day, or as not paid at all.

        Raises RefusedMutationError for an outstanding one with a day.
        """
        if status == "outstanding" and on:
            raise RefusedMutationError("What is outstanding was paid on no day; leave the day out.")
        with self._lock:
            record = self.record(document_id)
            day = on or (None if status == "outstanding" else self._today())
            paid = {"payment_status": status, "paid_date": day.isoformat() if day else None}
            document = record.document() | paid
            self._store(record, document)
            record.payment_changed_at = self._now()
            return document

    def add_raw(self, document: bytes | dict[str, Any], *, counted: bool = False) -> None:
        """Add any text as the newest document, sound or not; `counted` puts it into the ledger's sums.

        Bytes are served as they are, whatever day it is, and need not be JSON. A text with the id of another document
        hides that one from `document` and `GET /documents/{id}`, not from the pages.
        """
        body = document if isinstance(document, bytes) else encode(document)
        with self._lock:
            self._append(
                Record(
                    body,
                    facts_of(parse(body)),
                    created_at=self._now(),
                    counted=counted,
                    is_verbatim=isinstance(document, bytes),
                )
            )

    def replace_api_key(self, api_key: str) -> None:
        """Give the company another API key; the old one answers 401 from now on."""
        with self._lock:
            self.api_key = api_key

    def _create(self, document: Document, *, counted: bool = True) -> None:
        self._append(Record(encode(document), facts_of(document), created_at=self._now(), counted=counted))

    def _follow_up(self, kind: FollowUp, record: Record, original: Document, *, possible: frozenset[str]) -> Document:
        if record.facts.type not in possible or original.get("cancelled"):
            raise RefusedMutationError(
                f"Document {record.facts.id} is a {record.facts.type} or cancelled already, and no {kind} can "
                f"follow it; choose another."
            )
        document = self._generator.follow_up(kind, original, self._today(), today=self._today())
        self._create(document)
        self._correct(document, at=self._now())
        return document

    def _correct(self, correction: Document, *, at: int) -> None:
        """Update the documents that a new one refers to."""
        for related in correction["related_documents"]:
            record = self.record(related["id"])
            original = record.document()
            corrected = self._generator.corrected(original, correction)
            if corrected != original:
                self._store(record, corrected)
                record.edited_at = at

    def _now(self) -> int:
        return int(self._clock())

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), _BUDAPEST).date()


def _historical(document: Document, created_at: int) -> Record:
    paid_date = document.get("paid_date")
    payment_changed_at = None
    if paid_date:
        noon = datetime.fromisoformat(paid_date).replace(hour=12, tzinfo=UTC)
        payment_changed_at = max(created_at, int(noon.timestamp()))
    return Record(encode(document), facts_of(document), created_at, payment_changed_at=payment_changed_at)
