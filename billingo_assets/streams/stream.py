"""What can be said of a collection of Billingo: where it is, which tables and columns it fills, how it is kept current.

Tables, rights, masked views, exports, asset specs and documentation are made from these declarations.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Literal

Kind = Literal["text", "integer", "amount", "date", "boolean"]
"""Python values: str, int of 64 bits, Decimal (see `normalize.values.AMOUNT`), datetime.date, bool."""


UNREADABLE = "unreadable"
"""Column of the table that has a row for each record: which of its columns are NULL because what was sent for them
could not be read, as in `partner_name, invoice_items.comment, related_documents`."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a normalized table. `source` is its path in the record, `[]` standing for each element of a list.

    `personal`: whether it can hold what identifies a person, which every text column says. The masked views leave it
    out; with `masked="initial"` they show its first letter. A value of an `essential` column that cannot be read sends
    the record to quarantine, and so does an object or list that holds one; any other column is NULL then, and
    `UNREADABLE` names it. `is_code`: the number of an account, a bank or a taxpayer, where `--` stands for none.
    """

    name: str
    kind: Kind
    description: str
    source: str
    _: KW_ONLY
    personal: bool | None = None
    masked: Literal["initial"] | None = None
    essential: bool = False
    is_code: bool = False
    nullable: bool = True

    def __post_init__(self) -> None:
        """Raise TypeError unless a text column says whether it is personal."""
        if self.kind == "text" and self.personal is None:
            raise TypeError(f"Say of {self.name} whether it is personal: personal=True hides it in the masked views.")

    @property
    def is_required(self) -> bool:
        """Whether a record cannot do without it."""
        return self.essential or not self.nullable


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizedTable:
    """A table that normalization fills. `key` is its primary key beside the company; its first column is the record."""

    name: str
    comment: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of its columns, in their order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Read what the API's filters call new or changed, then the newest; compare the counts; else read everything.

    `modified_since` and `paid_since` name the filters; they reach `lookback` behind the last whole sync, unless the
    settings say otherwise. The collection is listed newest first.
    """

    modified_since: str
    paid_since: str
    lookback: timedelta


Strategy = Changes
"""How a collection is kept current."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A collection of Billingo. `noun` is one of its records, in the singular; `tables` has the record's own first.

    `raw` holds each record as sent and `versions` its former contents, both by `raw_key`, Billingo's id of the record.
    `no_content` says in words which fields do not count as a record's content, since they change by themselves.
    Raise `normalizer_version` with every change of what a record normalizes to: stored ones are then normalized again.
    """

    name: str
    noun: str
    path: str
    raw: str
    versions: str
    raw_key: str
    tables: tuple[NormalizedTable, ...]
    normalizer_version: int
    strategy: Strategy
    no_content: str = ""

    @property
    def history(self) -> str:
        """The view of all contents that a record has had."""
        return f"{self.versions.removesuffix('_versions')}_history"

    @property
    def table(self) -> NormalizedTable:
        """The table that has a row for each record."""
        return self.tables[0]
