"""What a sync tells of itself: how far it is, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from billingo_assets.errors import UnsettledListingError
from billingo_assets.warehouse.sync_state import Mode


@dataclass(slots=True)
class SyncReport:
    """What one sync did, in documents unless said otherwise.

    `processed` counts distinct documents received, `skipped` those that could not be stored. `reason` says why
    every document was read, in a full sync. `watermark` is None when the documents did not hold still: nothing is
    vouched for, and nothing marked deleted. `notes` are what people should know of it once, in words.
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
    tax_code: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        """Documents received that were stored already, as they are."""
        return max(0, self.processed - self.created - self.updated - self.skipped)

    def require_settled(self, company: str) -> None:
        """Raise UnsettledListingError when no listing was complete: what was read is stored, no more is vouched for."""
        if self.watermark is None:
            raise UnsettledListingError(
                f"No listing of {company} was complete, however often it was read: Billingo counted {self.api_total:,}"
                f" documents, the last one showed {self.processed:,}. Some were deleted meanwhile, or left out."
                " What was read is stored; nothing is marked as deleted, and the tables stay as they were. Try again."
            )

    def counts(self) -> dict[str, int | float | str | None]:
        """Everything that was counted, by name; the watermark in ISO 8601."""
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


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a listing stands: everything up to `page` is stored."""

    page: int
    last_page: int
    documents: int
    total: int
