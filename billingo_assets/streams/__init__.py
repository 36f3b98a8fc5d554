"""The collections of Billingo that are synced, one module for each. Declarations only; `sync` reads them."""

from __future__ import annotations

from billingo_assets.streams.documents import DOCUMENTS
from billingo_assets.streams.stream import Stream

STREAMS: tuple[Stream, ...] = (DOCUMENTS,)
"""Every collection, in the order in which a company's are synced. A new one is listed here."""

__all__ = ["DOCUMENTS", "STREAMS", "Stream"]
