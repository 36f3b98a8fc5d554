"""Judges one reading of a listing: whether it was whole, and if not, what is wrong with it. Pure functions.

What follows from it is decided in `full`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one reading was told and shown, in documents.

    `counted` is the total of its first page, `told` are those of its later pages, `total` that of the first page, read
    again at the end; None where that page did not show what arrived. `shown` and `arrived` are distinct documents.
    """

    counted: int
    shown: int
    arrived: int
    told: frozenset[int]
    total: int | None

    @property
    def holds_still(self) -> bool:
        """Whether nothing has gone meanwhile: arrivals alone explain every total that was told."""
        return self.total == self.counted + self.arrived and all(self.counted <= one <= self.total for one in self.told)

    @property
    def difference(self) -> int | None:
        """How many documents more were counted than shown; None where that cannot be said."""
        return self.counted - self.shown if self.holds_still else None

    @property
    def is_whole(self) -> bool:
        """Whether it showed every document that there was."""
        return self.difference == 0

    def why_not_whole(self) -> str:
        """What is wrong with it, in words."""
        if self.total is None:
            return "its first page, read again at the end, did not show what had arrived meanwhile"
        if not self.holds_still:
            totals = sorted({self.counted, *self.told, self.total})
            if len(totals) == 1:
                return f"{self.arrived:,} documents arrived, and Billingo counted {self.total:,} before and after"
            return f"Billingo counted from {totals[0]:,} to {totals[-1]:,} documents while they were read"
        return f"Billingo counts {self.counted:,} documents, its pages show {self.shown:,}"
