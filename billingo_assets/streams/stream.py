"""Declares a collection of Billingo: its path, the tables and columns that it fills, and how it is kept current.

Tables, rights, masked views, exports, asset specs and documentation are made from these declarations.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

Kind = Literal["text", "integer", "amount", "date", "boolean"]
"""Python values: str, int of 64 bits, Decimal (see `normalize.values.AMOUNT`), datetime.date, bool."""


UNREADABLE = "unreadable"
"""Column of the table with a row for each record. It names the columns that are NULL because their values could not be
read, for example `partner_name, invoice_items.comment, related_documents`."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a normalized table. `source` is its path in the record; `[]` stands for each element of a list.

    `personal`: whether it can identify a person; every text column must say so. The masked views leave personal
    columns out, or show the first letter with `masked="initial"`. An unreadable value of an `essential` column, or an
    unreadable object or list that holds one, sends the record to quarantine. Any other unreadable column becomes NULL,
    and `UNREADABLE` names it. `is_code`: the number of an account, a bank or a taxpayer; `--` means that it is missing.
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
        """Whether a record without a readable value is rejected."""
        return self.essential or not self.nullable


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizedTable:
    """A table that normalization fills. `key` is its primary key beside the company; its first column is the record.

    `asset` describes it as an asset in the UI; a table without one belongs to the asset of its records.
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
    """Read changed records by the API's filters, then the newest; if the counts then differ, read everything.

    `modified_since` and `paid_since` name the filters. The API lists the collection newest first.
    """

    modified_since: str
    paid_since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Read everything, twice if there is more than a page: the API promises no order, and shows no time of change.

    For collections of some hundred records.
    """


Strategy = Changes | Snapshot
"""How a collection is kept current."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A field that does not count as content: it follows the clock unless the field `unless` has one of `values`."""

    field: str
    unless: str
    values: tuple[str, ...]

    def runs_in(self, value: object) -> bool:
        """Whether the field only shows the time of the request, given this value of `unless`."""
        return value not in self.values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """A collection of Billingo.

    `noun` names one record; `about` describes the asset of the raw records in the UI. The table `raw` holds each record
    as sent and `versions` its former contents, both by `raw_key`, Billingo's id of the record. The first of `tables`
    has a row for each record. The parts of a record that go to the table `counted` are counted when it arrives, into
    `item_count` of `raw`. `is_numbered`: records have running numbers, see `normalize.numbering`. `clock` is a field
    that does not count as content; `no_content` describes it in words. Raise `normalizer_version` with every change of
    the normalized rows: stored records are then normalized again.
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
    is_numbered: bool = False
    clock: Clock | None = None
    no_content: str = ""

    @property
    def words(self) -> str:
        """Its name for people: `bank accounts`."""
        return self.name.replace("_", " ")

    @property
    def history(self) -> str:
        """The name of the view of all contents that a record has had."""
        return f"{self.versions.removesuffix('_versions')}_history"

    @property
    def table(self) -> NormalizedTable:
        """The table with a row for each record."""
        return self.tables[0]

    def counts(self, table: str) -> bool:
        """Whether `counted` is the table of this name."""
        return self.counted is not None and self.counted.name == table

    @property
    def details(self) -> tuple[NormalizedTable, ...]:
        """The tables with parts of records. The first column of their keys is the record."""
        return self.tables[1:]
