"""What is hoped for: figures that reach their goal or miss it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measuring import Sample

LATENCY_SECONDS = 0.1
AT_ONCE = 10
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and the most that it may be, both in `unit`; "×" is times what it is compared with."""

    case: str
    what: str
    figure: float
    limit: float
    unit: str = "×"

    @property
    def reached(self) -> bool:
        """Whether the figure is within its limit."""
        return self.figure <= self.limit


def goals(found: Mapping[tuple[str, str], Sample], sizes: Mapping[str, int]) -> list[Goal]:
    """Compare what was measured, by case and contender. `sizes` are documents by company."""
    ours = {case: sample for (case, contender), sample in found.items() if contender == "ours"}
    dlt = {case: sample for (case, contender), sample in found.items() if contender == "dlt"}
    large, medium, unchanged = ours["large full"], ours["medium full"], ours["large unchanged"]
    floor = found["medium full", "floor of tables"].inner_seconds
    waits = sizes["medium"] / PAGE_SIZE / AT_ONCE * LATENCY_SECONDS
    return [
        Goal("large full", "wall, of dlt's", large.wall_seconds / dlt["large full"].wall_seconds, 0.5),
        Goal("large full", "memory", large.peak_mib, 150, "MiB"),
        Goal("large full", "memory, of medium full", large.peak_mib / medium.peak_mib, 1.3),
        Goal("large full", "inner, of medium full", large.inner_seconds / medium.inner_seconds, 11),
        Goal("medium full", "wall, of dlt's", medium.wall_seconds / dlt["medium full"].wall_seconds, 1),
        Goal("medium full", "inner, of the floor of tables", medium.inner_seconds / floor, 1.5),
        Goal("small unchanged", "CPU", ours["small unchanged"].cpu_seconds, 1, "s"),
        Goal("large unchanged", "CPU", unchanged.cpu_seconds, 1, "s"),
        Goal("large fresh", "inner", ours["large fresh"].inner_seconds, 0.6, "s"),
        Goal("large unchanged", "inner", unchanged.inner_seconds, 0.6, "s"),
        Goal("demo", "wall", ours["demo"].wall_seconds, 8, "s"),
        Goal("large unchanged", "requests", unchanged.requests, 4, ""),
        Goal(
            "large unchanged",
            "inner, of small unchanged",
            unchanged.inner_seconds / ours["small unchanged"].inner_seconds,
            1.5,
        ),
        Goal(
            "large changed",
            "inner, of large unchanged",
            ours["large changed"].inner_seconds / unchanged.inner_seconds,
            2,
        ),
        Goal(
            "medium late",
            "inner",
            ours["medium late"].inner_seconds,
            1.1 * waits + ours["medium at once"].inner_seconds,
            "s",
        ),
        Goal(
            "many unchanged",
            "wall, a company",
            ours["many unchanged"].wall_seconds / sum(company.startswith("many") for company in sizes),
            0.6,
            "s",
        ),
    ]
