"""What normalization makes of documents, as pandas DataFrames, which tests can ask by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from billingo_assets.normalize import documents as normalization
from billingo_assets.normalize.batches import Rejection, TableRows


class Frames(NamedTuple):
    """A batch; all columns are of dtype object, so that no value changes its type."""

    invoices: pd.DataFrame
    items: pd.DataFrame
    related: pd.DataFrame
    rejections: list[Rejection]


def normalize(documents: Sequence[tuple[int, bytes | str]]) -> Frames:
    batch = normalization.normalize(documents)
    return Frames(
        *map(_frame, batch.tables),
        batch.rejections,
    )


def _frame(table: TableRows) -> pd.DataFrame:
    return pd.DataFrame(table.rows, columns=list(table.columns), dtype=object)
