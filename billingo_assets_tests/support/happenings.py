"""What can happen in the story of a company: what people do, what goes wrong, how a sync ends. No tests here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from hypothesis import strategies as st

from billingo_assets.sandbox import Fault
from billingo_assets.sandbox.faults import FaultKind
from billingo_assets.sandbox.query import Listing
from billingo_assets_tests.support import people
from billingo_assets_tests.support.people import Deed

NTH = st.integers(0, 300)
TYPES = st.sampled_from(["invoice", "draft", "receipt", "advance", "proforma", "waybill"])
DEEDS: st.SearchStrategy[Deed] = st.one_of(
    st.builds(people.Create, TYPES, st.sampled_from([None, "EUR", "USD"])),
    st.builds(people.Create, st.just("draft"), days_ago=st.sampled_from([0, 1, 400])),
    st.builds(people.Delete, NTH),
    st.builds(people.Delete, NTH, st.integers(1, 3)),
    st.builds(people.Issue, NTH, as_new=st.just(True)),
    st.builds(people.Edit, NTH),
    st.builds(people.Pay, NTH, st.just("paid"), st.sampled_from([None, 0, 30])),
    st.builds(people.Pay, NTH, st.sampled_from(["outstanding", "partially_paid"])),
    st.builds(people.Issue, NTH),
    st.builds(people.Cancel, NTH),
    st.builds(people.Modify, NTH),
    st.builds(people.TakeOutLine, NTH),
    st.builds(people.Undelete, NTH),
    st.builds(people.Undelete, NTH),
    st.builds(people.Pay, NTH, st.just("paid")),
    st.builds(people.AddBroken, st.sampled_from(["NUL", "lone surrogate", "wrong amount", "null", "no id"])),
    st.builds(people.Break, NTH, st.sampled_from(["NUL", "lone surrogate", "wrong amount"])),
    st.builds(people.Mend, NTH, by_deleting=st.booleans()),
    st.builds(people.CreateMany, st.sampled_from([98, 101, 102, 130])),
)


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong, `times` times, after `spared` requests for that page of that listing."""

    kind: FaultKind
    listing: Listing | None
    page: int | None
    times: int = 1
    spared: int = 0
    value: int = 0

    def fault(self, company: str) -> Fault:
        return Fault(
            kind=self.kind,
            company=company,
            path="/v3/documents",
            listing=self.listing,
            page=self.page,
            times=self.times,
            skip=self.spared,
            status=self.value or 500,
            value=self.value,
            seconds=0.02,
        )


LISTINGS = st.sampled_from([None, "all", "all", "modified", "paid", "number"])
PAGES = st.sampled_from([None, 1, 2, 3])
SPARED = st.sampled_from([0, 0, 1, 2])
# A page that is refused twice is refused for good: a client tries twice here.
REFUSALS = st.one_of(
    st.builds(
        Trouble,
        st.sampled_from(["drop", "truncate", "not_json", "error_in_200", "stall", "slow_body", "redirect"]),
        LISTINGS,
        PAGES,
        st.integers(1, 3),
        SPARED,
    ),
    st.builds(
        Trouble,
        st.just("status"),
        LISTINGS,
        PAGES,
        st.integers(1, 3),
        SPARED,
        st.sampled_from([500, 502, 503, 429, 401, 402, 404, 422]),
    ),
)
# Not about numbers: a document that no listing shows is known by them alone. Totals are never right by chance.
LISTED = st.sampled_from(["all", "all", "modified", "paid"])
LIES = st.one_of(
    st.builds(Trouble, st.sampled_from(["empty_page", "repeated_page"]), LISTED, PAGES, st.just(1), SPARED),
    st.builds(Trouble, st.just("last_page"), LISTED, PAGES, st.just(1), SPARED, st.sampled_from([1, 2, 9, 50_000])),
    st.builds(Trouble, st.just("total"), LISTED, PAGES, st.just(1), SPARED, st.sampled_from([0, 1, 7_777])),
)


class Meanwhile(NamedTuple):
    """A deed between one page of a listing and whatever is asked next."""

    listing: Listing
    page: int
    deed: Deed


# What moves the documents from page to page, more often than all else.
MOVES: st.SearchStrategy[Deed] = st.one_of(
    st.builds(people.Delete, NTH, st.integers(1, 3)),
    st.builds(people.Create, st.sampled_from(["invoice", "draft"])),
    st.builds(people.Issue, NTH, as_new=st.just(True)),
)
MEANWHILE = st.builds(
    Meanwhile, st.sampled_from(["all", "all", "all", "modified", "paid"]), st.integers(1, 3), MOVES | DEEDS
)

Death = Literal["killed", "cut off from the database", "killed before the tables are made"]
