"""The benchmark: what is measured, in which order, how often.

First ours against dlt and the two floors. The contenders take turns, so that other load on the machine affects all of
them alike. Then the cost of a company in which nothing, or little, has changed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import CONCURRENT_REQUESTS, Contenders
from benchmarks.goals import AT_ONCE, LATENCY_SECONDS, goals
from benchmarks.measuring import Sample, median_of
from benchmarks.report import as_text, write_json
from benchmarks.services import embedded_postgres, serving

RESULTS = Path(__file__).resolve().parent / "results" / "latest.json"
REPETITIONS = 3
LONG_SECONDS = 45
"""After so long, what is measured is not measured again: it is long enough for noise to even out."""
CHANGED = 50
DOCUMENTS_OF_MANY = 61


class Benchmark:
    """The samples of one benchmark, and how they are taken."""

    def __init__(self, contenders: Contenders, sizes: dict[str, int], repetitions: int) -> None:
        self.samples: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
        self._contenders, self._repetitions = contenders, repetitions
        self._singles = [company for company in sizes if not company.startswith("many")]
        self._many = [company for company in sizes if company.startswith("many")]

    def run(self) -> None:
        """Measure everything."""
        self._contenders.register("registered", self._singles)
        self._full("small", "small")
        self.samples.clear()  # that one was to have every program and library in the file cache
        self._repeat(lambda: self._full("medium", "contender"))
        self._repeat(lambda: self._full("large", "large"))
        self._take("large fresh", "ours", self._right_after_a_first_load)
        self._without_changes("small")
        self._without_changes("large")
        self._with_changes("large")
        self._at_once("medium")
        self._many_companies()
        self._repeat(lambda: self._take("demo", "ours", self._contenders.demo))

    def _full(self, company: str, database: str) -> None:
        self._take(f"{company} full", "ours", lambda: self._ours_anew(company, database))
        self._take(f"{company} full", "dlt", lambda: self._contenders.dlt(company))
        self._take(f"{company} full", "floor", lambda: self._contenders.floor(company))
        self._take(f"{company} full", "floor of tables", lambda: self._contenders.floor_of_tables(company))

    def _right_after_a_first_load(self) -> Sample:
        """Nothing has changed, and PostgreSQL has had no time to vacuum or to analyze what was loaded."""
        self._ours_anew("large", "large")
        return self._contenders.ours("large", ["large"])

    def _without_changes(self, company: str) -> None:
        self._contenders.postgres.settle(company)
        self._repeat(
            lambda: self._take(f"{company} unchanged", "ours", lambda: self._contenders.ours(company, [company]))
        )

    def _with_changes(self, company: str) -> None:
        def measure() -> None:
            self._contenders.sandbox.change(company, CHANGED, comment=f"changed at {time.time()}")
            self._take(f"{company} changed", "ours", lambda: self._contenders.ours(company, [company], updated=CHANGED))

        self._repeat(measure)
        self._contenders.postgres.drop(company)

    def _at_once(self, company: str) -> None:
        def measure() -> None:
            for case, seconds in (("at once", 0.0), ("late", LATENCY_SECONDS)):
                self._contenders.sandbox.set_latency(seconds)
                self._take(f"{company} {case}", "ours", lambda: self._ours_anew(company, "contender", AT_ONCE))

        self._repeat(measure)
        self._contenders.sandbox.set_latency(0.0)

    def _many_companies(self) -> None:
        self._contenders.register("many", self._many)
        self._take("many full", "ours", lambda: self._contenders.ours("many", self._many))
        self._contenders.postgres.settle("many")
        self._repeat(lambda: self._take("many unchanged", "ours", lambda: self._contenders.ours("many", self._many)))

    def _ours_anew(self, company: str, database: str, concurrent: int = CONCURRENT_REQUESTS) -> Sample:
        self._contenders.postgres.make(database, like="registered")
        return self._contenders.ours(database, [company], concurrent=concurrent)

    def _repeat(self, measure: Callable[[], None]) -> None:
        started = time.monotonic()
        for _ in range(self._repetitions):
            measure()
            if time.monotonic() - started > LONG_SECONDS:
                break

    def _take(self, case: str, contender: str, measure: Callable[[], Sample]) -> None:
        sample = measure()
        self.samples[case, contender].append(sample)
        print(f"{case}, {contender}: {sample.wall_seconds:.1f} s", file=sys.stderr)  # noqa: T201


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure a sync against dlt and two bare scripts.")
    parser.add_argument("--quick", action="store_true", help="far fewer documents: whether it works, no figures")
    quick: bool = parser.parse_args().quick
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    sizes = (
        {"large": 5_000, "medium": 500, "small": 282} if quick else {"large": 100_000, "medium": 10_000, "small": 282}
    )
    sizes |= {f"many-{number:02}": DOCUMENTS_OF_MANY for number in range(1, 6 if quick else 51)}
    with (
        TemporaryDirectory(prefix="billingo-bench-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder)) as postgres,
        serving(sizes) as sandbox,
    ):
        benchmark = Benchmark(Contenders(sandbox, postgres, Path(folder)), sizes, 1 if quick else REPETITIONS)
        benchmark.run()
    labels = _labels(sizes)
    reached = goals({key: median_of(runs) for key, runs in benchmark.samples.items()}, sizes)
    write_json(RESULTS, benchmark.samples, reached, labels, sizes)
    print(as_text(benchmark.samples, reached, labels))  # noqa: T201


def _labels(sizes: dict[str, int]) -> dict[str, str]:
    large, medium, small = (f"{sizes[company]:,}" for company in ("large", "medium", "small"))
    many = len(sizes) - 3
    return {
        "large full": f"{large} documents, full",
        "medium full": f"{medium} documents, full",
        "small unchanged": f"{small} documents, nothing changed",
        "large fresh": f"{large} documents, right after a first load",
        "large unchanged": f"{large} documents, nothing changed",
        "large changed": f"{large} documents, {CHANGED} changed",
        "medium at once": f"{medium} documents, full, {AT_ONCE} requests at once",
        "medium late": f"{medium} documents, {AT_ONCE} at once, {LATENCY_SECONDS * 1000:.0f} ms each",
        "many full": f"{many} companies of {DOCUMENTS_OF_MANY} documents, full",
        "many unchanged": f"{many} companies, nothing changed",
        "demo": "make demo, with the environment in place",
    }


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
