"""What is synced: one module for each collection of Billingo. Declarations only; how they are synced is in `sync`."""

from __future__ import annotations

from billingo_assets.streams.documents import DOCUMENTS
from billingo_assets.streams.stream import Stream

STREAMS: tuple[Stream, ...] = (DOCUMENTS,)
"""Every collection, in the order in which a company's are synced. A new one is listed here."""

__all__ = ["DOCUMENTS", "STREAMS", "Stream"]
