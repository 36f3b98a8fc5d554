"""The interface of the writers of all formats."""

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
    """A table to write, and its destination: a new, empty file, and a folder for temporary ones."""

    file: BinaryIO
    table: str
    columns: Sequence[Column]
    scratch: Path


class Writer(Protocol):
    """Writes one table, batch by batch."""

    notes: Counter[Note]
    """How many values (or rows) the format could not hold unchanged, by the name of the note."""

    def write(self, batch: Sequence[Sequence[Any]]) -> None:
        """Write rows of values in the order of the columns."""


Open = Callable[[Target], AbstractContextManager[Writer]]
"""Opens a writer of the target as a context; the file is complete when the block has ended."""
