"""Judges one reading of a listing: whether it was complete, and if not, why. Pure functions.

`full` decides what follows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The totals and the distinct documents of one reading.

    `counted` is the total on its first page, `later_totals` are those on its later pages. `total` is the one on the
    first page, read again at the end; None if that page did not show all arrivals. `shown` counts the documents on the
    pages, `arrived` those that arrived meanwhile.
    """

    counted: int
    shown: int
    arrived: int
    later_totals: frozenset[int]
    total: int | None

    @property
    def holds_still(self) -> bool:
        """Whether no document has gone meanwhile: arrivals alone explain every total."""
        return self.total == self.counted + self.arrived and all(
            self.counted <= total <= self.total for total in self.later_totals
        )

    @property
    def difference(self) -> int | None:
        """How many more documents were counted than shown; None if unknown."""
        return self.counted - self.shown if self.holds_still else None

    @property
    def is_complete(self) -> bool:
        """Whether it showed every document."""
        return self.difference == 0

    def why_incomplete(self) -> str:
        """Why it was incomplete, in words."""
        if self.total is None:
            return "its first page, read again at the end, did not show what had arrived meanwhile"
        if not self.holds_still:
            totals = sorted({self.counted, *self.later_totals, self.total})
            if len(totals) == 1:
                return f"{self.arrived:,} documents arrived, and Billingo counted {self.total:,} before and after"
            return f"Billingo counted from {totals[0]:,} to {totals[-1]:,} documents while they were read"
        return f"Billingo counts {self.counted:,} documents, its pages show {self.shown:,}"
