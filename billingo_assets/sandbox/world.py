"""The companies and their documents, and every way to change them while they are served.

Mutations behave as Billingo's own do (only drafts are deleted, issued documents are cancelled by a second
document) unless asked otherwise by name. What is answered over HTTP is in `api`; faults are in `faults`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from billingo_assets.sandbox import history
from billingo_assets.sandbox import vocabulary as words
from billingo_assets.sandbox.errors import RefusedMutationError, UnknownCompanyError, UnknownDocumentError
from billingo_assets.sandbox.generator import Document, Generator
from billingo_assets.sandbox.ledger import Ledger, ledger_of
from billingo_assets.sandbox.record import Record, encode, facts_of, parse

_BUDAPEST = ZoneInfo("Europe/Budapest")
_HISTORY = timedelta(days=911)  # two and a half years: three numbering years with the default end

Access = Literal["read", "no_scope", "no_subscription"]


@dataclass(frozen=True)
class CompanySpec:
    """A company to generate: its key, its legal name and how many documents its past holds."""

    key: str
    name: str
    documents: int = 100


DEFAULT_COMPANIES = (
    CompanySpec("it-cardigan", "IT Cardigan Kft.", 282),
    CompanySpec("arvizturo", "Árvíztűrő Tükörfúrógép Zrt.", 147),
    CompanySpec("ozon-bt", "Őzön Vízió Bt.", 61),
)


class Company:
    """One company: who it is, its documents, and the mutations. Made by `World`, which shares its lock.

    `access` is what its API key may do: "read", or "no_scope" (403), or "no_subscription" (402).
    `version` grows with every change of the documents.
    """

    def __init__(
        self, spec: CompanySpec, *, seed: int, until: date, clock: Callable[[], float], lock: threading.RLock
    ) -> None:
        self.key, self.name = spec.key, spec.name
        self._clock, self._lock = clock, lock
        self._generator = Generator(seed=f"{seed}/{spec.key}", name=spec.name)
        self.api_key = self._generator.api_key
        self.organization = self._generator.organization
        self.tax_code: str = self.organization["tax_number"]
        self.access: Access = "read"
        self.version = 0
        past = history.documents(self._generator, spec.documents, first=until - _HISTORY, until=until)
        self._records = [_historical(document, created_at) for document, created_at in past]
        self._by_id: dict[int | None, Record] = {record.facts.id: record for record in self._records}

    @property
    def records(self) -> list[Record]:
        """The stored documents, oldest first: the live list, to be read under the world's lock only."""
        return self._records

    def documents(self) -> list[Document]:
        """Decode every document, newest first. A broken one that is not JSON is None."""
        with self._lock:
            return [parse(record.body) for record in reversed(self._records)]

    def document(self, document_id: int) -> Document:
        """Decode one document. Raises UnknownDocumentError."""
        with self._lock:
            return self.record(document_id).document()

    def record(self, document_id: int) -> Record:
        """Find a stored document. Raises UnknownDocumentError."""
        record = self._by_id.get(document_id)
        if record is None:
            raise UnknownDocumentError(
                f"{self.key} has no document {document_id}; look at GET /v3/documents for its ids."
            )
        return record

    def ledger(self) -> Ledger:
        """Count and sum the documents as they are now."""
        with self._lock:
            return ledger_of(self._records)

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
            self._append(Record(encode(document), facts_of(document), created_at=self._now()))
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
        """Delete a draft. Raises RefusedMutationError for an issued document, unless told otherwise."""
        with self._lock:
            record = self.record(document_id)
            if record.facts.type not in words.DRAFTS and not even_if_issued:
                raise RefusedMutationError(
                    f"Document {document_id} is issued and only drafts can be deleted; cancel it."
                )
            self._records.remove(record)
            del self._by_id[document_id]
            self.version += 1

    def cancel(self, document_id: int) -> Document:
        """Cancel an issued document by a second one, which is returned. Raises RefusedMutationError."""
        with self._lock:
            record = self.record(document_id)
            original = record.document()
            if record.facts.type not in words.RECEIVABLES or original.get("cancelled"):
                raise RefusedMutationError(
                    f"Document {document_id} is a {record.facts.type} or cancelled already; cancel another."
                )
            type_ = "receipt_cancellation" if record.facts.type == "receipt" else "cancellation"
            document = self._generator.follow_up(type_, original, self._today(), today=self._today())
            self._append(Record(encode(document), facts_of(document), created_at=self._now()))
            self._store(record, original | {"cancelled": True})
            record.edited_at = self._now()
            return document

    def pay(self, document_id: int, *, on: date | None = None) -> Document:
        """Mark a document as paid, today or `on` a day."""
        with self._lock:
            record = self.record(document_id)
            paid = {"payment_status": "paid", "paid_date": (on or self._today()).isoformat()}
            document = record.document() | paid
            self._store(record, document)
            record.payment_changed_at = self._now()
            return document

    def add_raw(self, document: bytes | dict[str, Any], *, counted: bool = False) -> None:
        """Add any text as the newest document, sound or not; `counted` puts it into the ledger's sums.

        Bytes are served as they are and need not be JSON. A text with the id of another document hides that
        one from `document` and `GET /documents/{id}`, not from the pages.
        """
        body = document if isinstance(document, bytes) else encode(document)
        with self._lock:
            self._append(Record(body, facts_of(parse(body)), created_at=self._now(), counted=counted))

    def replace_api_key(self, api_key: str) -> None:
        """Give the company another API key; the old one answers 401 from now on."""
        with self._lock:
            self.api_key = api_key

    def _append(self, record: Record) -> None:
        self._records.append(record)
        if record.facts.id is not None:
            self._by_id[record.facts.id] = record
        self.version += 1

    def _store(self, record: Record, document: Document) -> None:
        self._by_id.pop(record.facts.id, None)
        record.replace(document)
        self._by_id[record.facts.id] = record
        self.version += 1

    def _now(self) -> int:
        return int(self._clock())

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), _BUDAPEST).date()


class World:
    """Some companies, generated from a seed up to the day `until`.

    The same seed, companies and day give the same bytes. `until` should lie before the clock's own day, or
    the newest documents are from the future. `clock` gives seconds since the epoch and dates the mutations.
    Hold `lock` to see several things at one moment; every method takes it itself.
    """

    def __init__(
        self,
        *,
        seed: int = 2026,
        companies: Sequence[CompanySpec] = DEFAULT_COMPANIES,
        until: date = date(2026, 6, 30),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self._seed, self._specs, self._until = seed, tuple(companies), until
        self._companies: dict[str, Company] = {}
        self.reset()

    @property
    def companies(self) -> list[Company]:
        """The companies in the order they were given."""
        return list(self._companies.values())

    def company(self, key: str) -> Company:
        """Find a company. Raises UnknownCompanyError."""
        try:
            return self._companies[key]
        except KeyError:
            raise UnknownCompanyError(f"There is no company {key!r}; there are {', '.join(self._companies)}.") from None

    def company_of(self, api_key: str) -> Company | None:
        """Find whose API key this is."""
        return next((company for company in self._companies.values() if company.api_key == api_key), None)

    def ledger(self) -> dict[str, Ledger]:
        """Count and sum the documents of every company, at one moment."""
        with self.lock:
            return {company.key: company.ledger() for company in self._companies.values()}

    def reset(self) -> None:
        """Go back to the generated state: new `Company` objects, the mutations forgotten."""
        fresh = {
            spec.key: Company(spec, seed=self._seed, until=self._until, clock=self.clock, lock=self.lock)
            for spec in self._specs
        }
        with self.lock:
            self._companies = fresh


def _historical(document: Document, created_at: int) -> Record:
    paid_date = document.get("paid_date")
    payment_changed_at = None
    if paid_date:
        noon = datetime.fromisoformat(paid_date).replace(hour=12, tzinfo=UTC)
        payment_changed_at = max(created_at, int(noon.timestamp()))
    return Record(encode(document), facts_of(document), created_at, payment_changed_at=payment_changed_at)
