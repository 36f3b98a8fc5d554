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
    """A table that normalization fills. `key` is its primary key beside the company; its first column is the record.

    `asset` describes it as an asset in the UI; without one, it belongs to the asset of its records.
    """

    name: str
    comment: str
    asset: str = ""
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
class Clock:
    """A field that is no content of a record: it follows the clock unless another one has one of these values."""

    field: str
    unless: str
    values: tuple[str, ...]

    def runs_in(self, value: object) -> bool:
        """Whether the field of a record where `unless` has this value tells nothing but when it was read."""
        return value not in self.values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """A collection of Billingo.

    `noun` is one of its records, in the singular; `about` describes the asset of its raw records in the UI. `raw` holds
    each record as sent and `versions` its former contents, both by `raw_key`, Billingo's id of the record. `tables` has
    the one with a row for each record first. `counted` is the table of those parts of a record that are counted when it
    arrives, into `item_count` of `raw`. `clock` is a field that does not count as content, `no_content` says so in
    words. Raise `normalizer_version` with every change of what a record normalizes to: stored ones are then normalized
    again.
    """

    name: str
    noun: str
    about: str
    path: str
    raw: str
    versions: str
    raw_key: str
    tables: tuple[NormalizedTable, ...]
    normalizer_version: int
    strategy: Strategy
    counted: NormalizedTable | None = None
    clock: Clock | None = None
    no_content: str = ""

    @property
    def history(self) -> str:
        """The view of all contents that a record has had."""
        return f"{self.versions.removesuffix('_versions')}_history"

    @property
    def table(self) -> NormalizedTable:
        """The table that has a row for each record."""
        return self.tables[0]

    def counts(self, table: str) -> bool:
        """Whether this is the table of `counted`."""
        return self.counted is not None and self.counted.name == table

    @property
    def details(self) -> tuple[NormalizedTable, ...]:
        """The tables of the parts of records. The first column of their keys is the record."""
        return self.tables[1:]
