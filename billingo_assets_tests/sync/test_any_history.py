"""Whatever people do, whatever the API is like and whatever goes wrong: nothing is lost, nothing made up.

Hypothesis invents histories of two companies, one step after another, and after every sync what is held is compared
with what a sync of that kind can know (`expectation`). What can happen is in `happenings`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Literal

import msgspec
import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from billingo_assets.billingo.errors import BillingoError
from billingo_assets.companies.registry import Company
from billingo_assets.errors import EmptyAnswerError
from billingo_assets.sandbox import CompanySpec, Quirks, SandboxServer, World
from billingo_assets.sync.report import Progress, SyncReport
from billingo_assets_tests.support import people
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.expectation import Expectation
from billingo_assets_tests.support.happenings import DEEDS, LIES, MEANWHILE, NTH, REFUSALS, Death, Meanwhile, Trouble
from billingo_assets_tests.support.people import Account, Clock, Deed
from billingo_assets_tests.support.snapshot import (
    FINGERPRINT,
    FRAGMENTS,
    TABLES,
    Snapshot,
    require_nothing_lost,
    require_whole_history,
)
from billingo_assets_tests.support.truth import require_served, require_truth

SIZES = {"hatvan": 60, "szaz": 100, "szazegy": 101, "ketszazegy": 201, "ketszazotven": 250, "haromszaz": 300}
"""Documents of the companies to choose from: one to three pages, full ones and nearly empty ones."""


class KilledError(Exception):
    """The process ended here."""


@dataclass
class Stage:
    """What all histories share: the database, the sandbox with its clock, the companies as they are registered."""

    engine: Engine
    sandbox: SandboxServer
    clock: Clock
    companies: dict[str, Company]

    def clear(self) -> None:
        """Begin anew: an empty database, the companies as they were generated."""
        self.clock.ahead, self.clock.moment = 0.0, 0
        self.sandbox.faults.clear()
        self.sandbox.world.reset()
        with self.engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {', '.join(TABLES)} CASCADE"))

    def account(self, key: str) -> Account:
        served = self.sandbox.world.company(key)
        return Account(Books(self.engine, self.companies[key], served, self.sandbox), self.clock)


AT = st.sampled_from(["first", "second"])
FULL = st.sampled_from([False, False, True])


class AnyHistory(RuleBasedStateMachine):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.quirks = Quirks()
        self.known: dict[str, Expectation] = {}

    @initialize(
        keys=st.permutations(sorted(SIZES)).map(lambda keys: keys[:2]), synced=st.sampled_from([True, True, False])
    )
    def two_companies(self, keys: list[str], synced: bool) -> None:
        self.stage.clear()
        self.known = {
            at: Expectation(self.stage.account(key)) for at, key in zip(("first", "second"), keys, strict=True)
        }
        if synced:
            for at in self.known:
                self._sync(at, full=False)

    @rule(at=AT, deeds=st.lists(DEEDS, min_size=1, max_size=4))
    def people_work(self, at: str, deeds: list[Deed]) -> None:
        known = self.known[at]
        known.account.new_ones_come_first = self.quirks.order == "invoice_date" and known.listing is not None
        for deed in deeds:
            deed.do(known.account)

    @rule(
        omits_new=st.booleans(),
        ignores_payments=st.booleans(),
        strictly_after=st.booleans(),
        numbers_ignore_block=st.booleans(),
        order=st.sampled_from(["created", "created", "invoice_date"]),
        sends_date=st.sampled_from([True, True, False]),
        skew_days=st.sampled_from([0, 0, -1, 1]),
        time_zone=st.sampled_from(["Europe/Budapest", "UTC", "Pacific/Kiritimati", "Etc/GMT+12"]),
        every_nth_without_time=st.sampled_from([None, None, 1, 3]),
    )
    def the_api_turns_out_otherwise(
        self,
        omits_new: bool,
        ignores_payments: bool,
        strictly_after: bool,
        numbers_ignore_block: bool,
        order: Literal["created", "invoice_date"],
        sends_date: bool,
        skew_days: int,
        time_zone: str,
        every_nth_without_time: int | None,
    ) -> None:
        """What was begun with the API as it was is not gone on with: it does not change its nature overnight."""
        self._let_listings_age(timedelta(days=2))
        ids = [id_ for known in self.known.values() for id_ in known.account.ids()]
        self.quirks = Quirks(
            last_modified_omits_new=omits_new,
            last_modified_ignores_payments=ignores_payments,
            modified_strictly_after=strictly_after,
            numbers_ignore_block=numbers_ignore_block,
            order=order,
            sends_date=sends_date,
            clock_skew_seconds=skew_days * 86_400.0,
            time_zone=time_zone,
            documents_without_modification_time=frozenset(
                ids[::every_nth_without_time] if every_nth_without_time else ()
            ),
            hidden_from_listing=self.quirks.hidden_from_listing,
        )

    @rule(at=AT, nths=st.lists(NTH, max_size=2))
    def documents_are_hidden(self, at: str, nths: list[int]) -> None:
        """Those of the other company with the same ids are hidden as well. Numbers tell of each that there is one."""
        moment = self.stage.clock.tick()
        inside = {key: known.account.between_numbers() for key, known in self.known.items()}
        # The other company may have the id, between numbers too, but not come to it later.
        safe = sorted(
            id_
            for id_ in inside[at]
            if all(
                id_ in inside[key] or (id_ not in known.account.ids() and id_ < max(known.account.ids()))
                for key, known in self.known.items()
            )
        )
        hidden = frozenset(safe[nth % len(safe)] for nth in nths if safe)
        self.quirks = msgspec.structs.replace(self.quirks, hidden_from_listing=hidden)
        note(f"# hidden: {sorted(hidden)}")
        for known in self.known.values():
            known.doubt(moment)

    @rule(days=st.sampled_from([1, 8, 40]))
    def days_pass(self, days: int) -> None:
        self.stage.clock.ahead += days * 86_400
        self.stage.clock.tick()
        self._let_listings_age(timedelta(days=days))
        for known in self.known.values():
            known.collect()
            if known.shaky:
                known.lose_sight(known.pending)

    def _let_listings_age(self, age: timedelta) -> None:
        with self.stage.engine.begin() as connection:
            connection.execute(text("UPDATE billingo.listings SET begun_at = begun_at - :age"), {"age": age})

    @rule(at=AT, full=FULL, connections=st.sampled_from([1, 3]))
    def sync(self, at: str, full: bool, connections: int) -> None:
        self._sync(at, full=full, connections=connections)

    @rule(
        at=AT,
        full=FULL,
        connections=st.sampled_from([1, 3]),
        troubles=st.lists(REFUSALS | LIES, min_size=1, max_size=3),
    )
    def sync_in_trouble(self, at: str, full: bool, connections: int, troubles: list[Trouble]) -> None:
        self._sync(at, full=full, connections=connections, troubles=troubles)

    @rule(
        at=AT,
        full=st.booleans(),
        meanwhile=st.lists(MEANWHILE, min_size=1, max_size=3),
        troubles=st.lists(REFUSALS, max_size=1),
    )
    def sync_while_people_work(self, at: str, full: bool, meanwhile: list[Meanwhile], troubles: list[Trouble]) -> None:
        self._sync(at, full=full, meanwhile=meanwhile, troubles=troubles)

    @rule(
        at=AT,
        full=FULL,
        steps=st.integers(0, 4),
        death=st.sampled_from(["killed", "killed", "cut off from the database", "killed before the tables are made"]),
        meanwhile=st.lists(MEANWHILE, max_size=1),
    )
    def sync_that_dies(self, at: str, full: bool, steps: int, death: Death, meanwhile: list[Meanwhile]) -> None:
        self._sync(at, full=full, steps=steps, death=death, meanwhile=meanwhile)

    @rule(at=AT, nth=NTH, full=FULL)
    def a_document_that_was_found_deleted_comes_back(self, at: str, nth: int, full: bool) -> None:
        self.people_work(at, [people.Delete(nth)])
        self._sync(at, full=full)
        self.people_work(at, [people.Undelete(nth)])

    @rule(at=AT, steps=st.integers(0, 1), deeds=st.lists(DEEDS, max_size=3), connections=st.sampled_from([1, 3]))
    def full_sync_that_is_killed_is_gone_on_with(
        self, at: str, steps: int, deeds: list[Deed], connections: int
    ) -> None:
        self._sync(at, full=True, steps=steps, death="killed")
        self.people_work(at, deeds)
        self._sync(at, full=True, connections=connections)

    def teardown(self) -> None:
        for at, known in self.known.items():
            self._sync(at, full=True)
            if known.pending or known.stale or known.uncertain_since is not None:
                # It went on with a listing that had been broken off: another reads all of it.
                self._sync(at, full=True)
            assert not known.behind(self.quirks)
            if not known.account.broken and not known.account.anonymous:
                require_truth(known.account.books)

    def _sync(
        self,
        at: str,
        *,
        full: bool,
        connections: int = 1,
        troubles: list[Trouble] | None = None,
        meanwhile: list[Meanwhile] | None = None,
        steps: int = 0,
        death: Death | None = None,
    ) -> None:
        known = self.known[at]
        account, books = known.account, known.account.books
        other = next(one for key, one in self.known.items() if key != at).account.books
        start = self.stage.clock.tick()
        known.collect()
        is_all_seen = known.is_all_seen(self.quirks)
        before = Snapshot.of(books)
        untouched = other.value(FINGERPRINT)
        served_before = {record.facts.id for record in account.books.served.records}
        self._arm(account, troubles or [], meanwhile or [])
        observer = Observer(books, self._server_clock, death, steps)
        report: SyncReport | None = None
        failure: Exception | None = None
        try:
            report = books.fetch(full=full, on_page=observer, concurrent_requests=connections, rate_limit_seconds=0.001)
            if report.watermark is not None and death != "killed before the tables are made":
                books.refresh()
        except (BillingoError, EmptyAnswerError, KilledError, DBAPIError) as error:
            failure = error
            note(f"# it failed: {type(error).__name__}")
        self.stage.sandbox.faults.clear()
        with self.stage.sandbox.world.lock:
            pass  # what was under way has come to its end
        known.collect()
        after = Snapshot.of(books)
        quiet = not account.since(start)
        if report is not None:
            note(f"# it was {report.mode} ({report.reason or 'no reason'}), watermark {report.watermark}")
        assert failure is None or troubles or death, "it failed, though nothing was wrong"
        assert not isinstance(failure, DBAPIError) or death == "cut off from the database"
        vouched = report is not None and report.watermark is not None
        if report is not None and not (troubles or meanwhile or death):
            assert vouched, "it vouches for nothing, though nothing was wrong"
            assert not is_all_seen or not report.reason.startswith("Billingo counts"), "it read less than it was shown"
        removed = {change.id for change in account.since(start) if change.kind == "gone"}
        served = {record.facts.id for record in account.books.served.records}
        there = ((served_before & served) | account.unstorable) - removed
        buried = after.buried_since(before)
        known.ever_deleted |= buried
        assert buried & there == set(), "documents that are there were marked as deleted"
        require_nothing_lost(before, after)
        require_whole_history(after, ever_deleted=known.ever_deleted)
        assert books.rows(FRAGMENTS) == []
        assert other.value(FINGERPRINT) == untouched, "rows of another company were written"
        if report is None or not vouched:
            assert after.state == before.state
        else:
            assert report.watermark is not None
            assert report.watermark.timestamp() <= (observer.first_told or self._server_clock()), (
                "it vouches for what came after it began"
            )
            known.gone = [moment for moment in known.gone if moment > start]
            self._vouched(known, report, start, quiet=quiet)
            if quiet and death != "killed before the tables are made":
                self._require_truth(known, report)
        if after.listing is None:
            known.listing = None
        elif after.listing != before.listing:
            known.listing = after.listing, start
        self.stage.clock.tick()

    def _server_clock(self) -> float:
        """The clock that a sync goes by: the API's."""
        return self.stage.clock() + self.quirks.clock_skew_seconds

    def _arm(self, account: Account, troubles: list[Trouble], meanwhile: list[Meanwhile]) -> None:
        faults = self.stage.sandbox.faults
        faults.quirks = self.quirks
        for trouble in troubles:
            faults.add(trouble.fault(account.books.served.key))
        # A listing by date may show a document that is made meanwhile among those that it has yet to show. If one that
        # it has shown goes as well, no count tells that a third was missed: there is no knowing.
        account.new_ones_come_first = self.quirks.order == "invoice_date"
        for one in meanwhile:
            faults.after_page(
                one.page,
                partial(one.deed.do, account),
                company=account.books.served.key,
                listing=one.listing,
            )

    def _vouched(self, known: Expectation, report: SyncReport, start: int, *, quiet: bool) -> None:
        """Note what a sync that vouches can know."""
        if report.mode == "full":
            resumed = known.listing is not None and report.watermark == known.listing[0]
            known.vouched_full(known.listing[1] if resumed and known.listing else start)
            if resumed:
                note("# it went on with a listing that had been broken off")
        elif quiet:
            known.vouched_incremental(self.quirks)
        else:
            known.shaky = True

    def _require_truth(self, known: Expectation, report: SyncReport) -> None:
        """After a sync that vouches, while nobody worked: what is held is what is served, as far as can be known."""
        account, books = known.account, known.account.books
        state = books.state()
        assert state is not None
        assert books.held() == state.api_total + state.unlisted
        assert state.api_total == account.visible(self.quirks.hidden_from_listing)
        served = {record.facts.id for record in books.served.records if record.facts.id not in account.unstorable}
        differing = (books.live() - account.unstorable) ^ (served - {None})
        if known.uncertain_since is None:
            assert differing == set()
            assert books.rows("SELECT * FROM billingo.number_gaps WHERE company_id = :company") == []
        require_served(books, apart_from=differing | known.behind(self.quirks) | account.broken)
        if report.mode == "full" and not known.pending and not known.stale:
            quarantine = [(id_, stage) for id_, stage, _ in books.quarantine()]
            assert sum(id_ is None for id_, _ in quarantine) == account.anonymous
            assert {id_ for id_, stage in quarantine if stage == "fetch"} - {None} == account.unstorable
            assert {id_ for id_, stage in quarantine if stage == "normalize"} == account.misunderstood


class Observer:
    """Looks on as pages are stored: `first_told` is the API's clock by then. Ends the sync after `steps` of them."""

    def __init__(self, books: Books, clock: Callable[[], float], death: Death | None, steps: int) -> None:
        self.books, self.clock, self.death, self.steps = books, clock, death, steps
        self.first_told = 0.0

    def __call__(self, progress: Progress) -> None:
        self.first_told = self.first_told or self.clock()
        self.steps -= 1
        if self.steps >= 0:
            return
        if self.death == "killed":
            raise KilledError
        if self.death == "cut off from the database":
            self.books.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture
def stage(engine: Engine, companies: dict[str, Company], sandbox: SandboxServer, clock: Clock) -> Stage:
    return Stage(engine, sandbox, clock, companies)


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0, time.time)


@pytest.fixture
def world(clock: Clock) -> World:
    return World(companies=[CompanySpec(key, f"{key} Kft.", size) for key, size in SIZES.items()], clock=clock)


@pytest.fixture
def sandbox(world: World) -> Iterator[SandboxServer]:
    with SandboxServer(world) as server:
        yield server


def test_whatever_happens_nothing_is_lost_and_what_is_vouched_for_is_true(stage: Stage, soak: bool) -> None:
    run_state_machine_as_test(
        partial(AnyHistory, stage),
        settings=settings(
            max_examples=300 if soak else 30,
            stateful_step_count=20,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
