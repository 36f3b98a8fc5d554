"""The companies that are served, and the clock and the lock they share.

What one company holds and how it changes is in `company`; what is answered over HTTP is in `api`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from billingo_assets.sandbox.company import Access, Company, CompanySpec
from billingo_assets.sandbox.errors import UnknownCompanyError
from billingo_assets.sandbox.ledger import Ledger
from billingo_assets.sandbox.quirks import Habits

__all__ = ["DEFAULT_COMPANIES", "Access", "Company", "CompanySpec", "World"]

DEFAULT_COMPANIES = (
    CompanySpec("it-cardigan", "IT Cardigan Kft.", 282),
    CompanySpec("arvizturo", "Árvíztűrő Tükörfúrógép Zrt.", 147),
    CompanySpec("ozon-bt", "Őzön Vízió Bt.", 61),
)


class World:
    """Some companies, generated from a seed up to the day `until`.

    The same seed, companies, day and habits give the same bytes. `until` should lie before the clock's own day, or
    the newest documents are from the future. `clock` gives seconds since the epoch; it dates the mutations, and
    `advance` puts it forward.
    Hold `lock` to see several things at one moment; every method takes it itself.
    """

    def __init__(
        self,
        *,
        seed: int = 2026,
        companies: Sequence[CompanySpec] = DEFAULT_COMPANIES,
        until: date = date(2026, 6, 30),
        clock: Callable[[], float] = time.time,
        habits: Habits | None = None,
    ) -> None:
        self._clock, self._ahead = clock, timedelta()
        self.lock = threading.RLock()
        self._seed, self._specs, self._until = seed, tuple(companies), until
        self._habits = habits or Habits()
        self._companies: dict[str, Company] = {}
        self.reset()

    def clock(self) -> float:
        """Read the clock of this world, in seconds since the epoch."""
        return self._clock() + self._ahead.total_seconds()

    def advance(self, *, days: float) -> None:
        """Put the clock forward, until `reset`."""
        self._ahead += timedelta(days=days)

    @property
    def companies(self) -> list[Company]:
        """The companies in the order they were given."""
        return list(self._companies.values())

    def company(self, key: str) -> Company:
        """Find a company. Raises UnknownCompanyError."""
        try:
            return self._companies[key]
        except KeyError:
            raise UnknownCompanyError(f"There is no company {key!r}; there are {', '.join(self._companies)}.") from None

    def company_of(self, api_key: str) -> Company | None:
        """Find whose API key this is."""
        return next((company for company in self._companies.values() if company.api_key == api_key), None)

    def ledger(self) -> dict[str, Ledger]:
        """Count and sum the documents of every company, at one moment."""
        with self.lock:
            return {company.key: company.ledger() for company in self._companies.values()}

    def reset(self, *, habits: Habits | None = None) -> None:
        """Go back to the generated state, written by other `habits` if there are any, until the next time.

        There are new `Company` objects, the mutations are forgotten, and the clock is set back.
        """
        fresh = {
            spec.key: Company(
                spec,
                seed=self._seed,
                until=self._until,
                clock=self.clock,
                lock=self.lock,
                habits=habits or self._habits,
            )
            for spec in self._specs
        }
        with self.lock:
            self._companies, self._ahead = fresh, timedelta()
