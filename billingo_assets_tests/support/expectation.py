"""What a sync of one company can know, and so what it has to have brought about. No tests here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from billingo_assets.sandbox import Quirks
from billingo_assets.sandbox.query import MAX_PER_PAGE
from billingo_assets.sandbox.record import Record
from billingo_assets_tests.support.people import Account, Change


@dataclass
class Expectation:
    """What a sync that vouches has to have brought about.

    `pending` happened since the last sync that vouches. `stale` are documents of which an incremental sync was shown
    nothing, with the moment of it; `uncertain_since` is the moment since which as many may have gone unseen as came
    unseen, so that no count can tell. `shaky` means that people worked during the last sync that vouches, which
    may have missed some of what is pending; the next one makes up for it within its lookback. `gone` are the moments
    since then at which a document went.
    """

    account: Account
    pending: list[Change] = field(default_factory=list)
    stale: dict[int, int] = field(default_factory=dict)
    uncertain_since: int | None = None
    shaky: bool = False
    gone: list[int] = field(default_factory=list)
    ever_deleted: set[int] = field(default_factory=set)
    noted: int = 0
    listing: tuple[datetime, int] | None = None
    """The listing that was broken off: Billingo's clock at its beginning, and the moment."""

    def collect(self) -> None:
        """Take in what people did."""
        new, self.noted = self.account.changes[self.noted :], len(self.account.changes)
        self.pending += [change for change in new if change.kind != "gone"]
        self.gone += [change.moment for change in new if change.kind == "gone"]

    def lose_sight(self, changes: list[Change]) -> None:
        """Accept that no incremental sync will be shown these."""
        there = set(map(id, self.account.books.served.records))
        for change in changes:
            if id(change.record) not in there:
                continue
            if change.kind == "created":
                self.doubt(change.moment)
            if change.id is not None:
                self.stale[change.id] = change.moment

    def is_all_seen(self, quirks: Quirks) -> bool:
        """Whether an incremental sync is shown everything, and nothing went that only a full one can find."""
        return not (
            self.gone
            or self.stale
            or self.shaky
            or self.uncertain_since is not None
            or self.account.anonymous
            or any(not is_seen(change, self.account, quirks) for change in self.pending)
        )

    def doubt(self, moment: int) -> None:
        self.uncertain_since = moment

    def vouched_full(self, moment: int) -> None:
        """Every document was read after this moment, and each that is gone is known."""
        self.pending = [change for change in self.pending if change.moment > moment]
        self.stale = {id_: seen for id_, seen in self.stale.items() if seen > moment}
        if self.uncertain_since is not None and self.uncertain_since <= moment:
            self.uncertain_since = None
        self.shaky = False

    def vouched_incremental(self, quirks: Quirks) -> None:
        """Everything that the API shows of what is new or changed was read."""
        self.lose_sight([change for change in self.pending if not is_seen(change, self.account, quirks)])
        self.pending = []
        self.shaky = False

    def behind(self, quirks: Quirks) -> set[int]:
        """The documents that may be held other than they are served.

        Something is pending after a sync that went on with a listing: it has asked for what was changed since that
        began.
        """
        unseen = (change.id for change in self.pending if not is_seen(change, self.account, quirks))
        return {*self.stale, *(id_ for id_ in unseen if id_ is not None)}


def is_seen(change: Change, account: Account, quirks: Quirks) -> bool:
    """Whether an incremental sync is shown a document that was created or edited, as it now is."""
    record = change.record
    if record is None or record.facts.id in quirks.hidden_from_listing:
        return False
    modified_at = quirks.modified_at(record)
    if modified_at is not None and modified_at - quirks.clock_skew_seconds >= change.at:
        return True
    yesterday = (datetime.fromtimestamp(change.at, UTC) - timedelta(days=1)).date().isoformat()
    if record.facts.paid_date >= yesterday:
        return True
    return change.kind == "created" and (quirks.order == "created" or _is_on_first_page_by_date(record, account))


def _is_on_first_page_by_date(record: Record, account: Account) -> bool:
    later = [one for one in account.books.served.records if one.facts.invoice_date >= record.facts.invoice_date]
    return len(later) <= MAX_PER_PAGE
