"""What every form of an exported table is written through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from billingo_assets.companies.formats.columns import Column

Note = Literal["numbers_as_text", "texts_cut", "rows_past_a_sheet"]


@dataclass(frozen=True, slots=True)
class Target:
    """A table to write and where to: a new, empty file, and a folder for temporary ones."""

    file: BinaryIO
    table: str
    columns: Sequence[Column]
    scratch: Path


class Writer(Protocol):
    """Writes one table, a batch of rows after the other."""

    notes: Counter[Note]
    """How many values (or rows) the form cannot hold as they are, by what became of them."""

    def write(self, batch: Sequence[Sequence[Any]]) -> None:
        """Write rows of values in the order of the columns."""


Open = Callable[[Target], AbstractContextManager[Writer]]
"""Yields the writer; the file is complete when the block has ended."""
