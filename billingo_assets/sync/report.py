"""The progress and the result of a sync."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from billingo_assets.errors import UnsettledListingError
from billingo_assets.warehouse.sync_state import Mode

LASTING = 3
"""After this many syncs in a row with the same finding, it counts as lasting."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Why no listing was complete, in words, and in how many syncs in a row.

    `difference`: see `Reading`; None if it changed while it was read. `expected` is the difference to accept.
    """

    why: str
    difference: int | None
    times: int
    expected: int | None = None


@dataclass(slots=True)
class SyncReport:
    """The result of one sync, counted in documents unless the name says otherwise.

    `processed` counts distinct documents received, `skipped` those that could not be stored. `reason` says why a full
    sync read every document. `watermark` is None if no listing was complete: it did not move, and nothing was marked
    deleted; `unsettled` says why. `is_balanced`: as many documents are held as Billingo counts. `notes` are sentences
    for people, shown once.
    """

    mode: Mode = "full"
    reason: str = ""
    processed: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    skipped: int = 0
    items: int = 0
    api_total: int = 0
    api_calls: int = 0
    duration_seconds: float = 0.0
    watermark: datetime | None = None
    unsettled: Unsettled | None = None
    is_balanced: bool = False
    tax_code: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        """Documents received that were already stored with the same content."""
        return max(0, self.processed - self.created - self.updated - self.skipped)

    def require_settled(self, company: str) -> None:
        """Raise UnsettledListingError if no listing was complete."""
        if self.unsettled is not None:
            raise UnsettledListingError(
                f"No listing of {company} was complete: {self.unsettled.why}. The documents read are in the tables;"
                f" nothing was marked as deleted. {_what_to_do(company, self.unsettled)}",
                may_pass=self.unsettled.difference is None and self.unsettled.times < LASTING,
            )

    def counts(self) -> dict[str, int | float | str | None]:
        """All counts by name; the watermark in ISO 8601."""
        return {
            "mode": self.mode,
            "reason": self.reason,
            "processed": self.processed,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "skipped": self.skipped,
            "items": self.items,
            "api_total": self.api_total,
            "api_calls": self.api_calls,
            "duration_seconds": self.duration_seconds,
            "watermark": self.watermark.isoformat() if self.watermark else None,
            **({"warnings": "\n".join(self.notes)} if self.notes else {}),
        }


def _what_to_do(company: str, unsettled: Unsettled) -> str:
    difference = unsettled.difference
    if difference is None:
        if unsettled.times < LASTING:
            return "The next sync tries again."
        return (
            f"The last {unsettled.times:,} syncs failed like this. Sync at an hour when nobody works in Billingo; if"
            " that does not help, report it to Billingo's support."
        )
    sentences = []
    if unsettled.expected is not None:
        sentences.append(f"The difference is {difference:,}, not {unsettled.expected:,}: it was not accepted.")
    if unsettled.times < LASTING:
        sentences.append("The next sync looks again.")
    else:
        sentences.append(
            f"The last {unsettled.times:,} syncs found the same difference of {difference:,}: it does not go away."
            " Compare the documents with those in Billingo, and report it to Billingo's support. To sync in spite of"
            f" this difference: billingo-assets sync {company} --accept-difference {difference}"
        )
    return " ".join(sentences)


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a listing: everything up to `page` is stored."""

    page: int
    last_page: int
    documents: int
    total: int
