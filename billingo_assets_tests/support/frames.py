"""What normalization makes of documents, as pandas DataFrames, which tests can ask by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from billingo_assets.normalize import documents as normalization
from billingo_assets.normalize.documents import Rejection, Row


class Frames(NamedTuple):
    """A batch; all columns are of dtype object, so that no value changes its type."""

    invoices: pd.DataFrame
    items: pd.DataFrame
    related: pd.DataFrame
    rejections: list[Rejection]


def normalize(documents: Sequence[tuple[int, bytes | str]]) -> Frames:
    batch = normalization.normalize(documents)
    return Frames(
        _frame(batch.invoices, normalization.COLUMNS_OF_INVOICES),
        _frame(batch.items, normalization.COLUMNS_OF_ITEMS),
        _frame(batch.related, normalization.COLUMNS_OF_RELATED),
        batch.rejections,
    )


def _frame(rows: list[Row], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns), dtype=object)
