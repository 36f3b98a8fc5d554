"""Tells what was measured: a table for people, 80 columns wide, and JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.goals import Goal
from benchmarks.measuring import Sample, median_of

Samples = Mapping[tuple[str, str], Sequence[Sample]]
"""The runs of each contender, by case and contender."""

_LEGEND = (
    "wall: the whole process; inner: its work alone; peak: its largest process.",
    "PG s: PostgreSQL's CPU meanwhile, in none of the others. Medians of the runs.",
)


def as_text(samples: Samples, goals: Sequence[Goal], labels: Mapping[str, str]) -> str:
    """Write the table: the median of each figure, then the goals. `labels` says what the cases are."""
    lines = [f"{'':<22}{'wall s':>9}{'inner s':>9}{'CPU s':>8}{'PG s':>8}{'peak MiB':>9}{'requests':>9}{'runs':>5}"]
    for case, label in labels.items():
        lines.append(label)
        for (of, contender), runs in samples.items():
            if of == case:
                it = median_of(runs)
                lines.append(
                    f"  {contender:<20}{it.wall_seconds:>9.2f}{it.inner_seconds:>9.2f}{it.cpu_seconds:>8.2f}"
                    f"{it.postgres_seconds:>8.2f}{it.peak_mib:>9.0f}{it.requests:>9.0f}{len(runs):>5}"
                )
    lines += [*_LEGEND, "", f"{'Goals of ours':<50}{'figure':>12}{'at most':>12}"]
    for goal in goals:
        figure, limit = (f"{number:,.2f} {goal.unit:<3}" for number in (goal.figure, goal.limit))
        told = f"{labels[goal.case].replace(' documents', '')}: {goal.what}"
        lines.append(f"{told:<50}{figure:>12}{limit:>12}  {'PASS' if goal.reached else 'MISS'}")
    return "\n".join(lines)


def write_json(
    path: Path, samples: Samples, goals: Sequence[Goal], labels: Mapping[str, str], sizes: Mapping[str, int]
) -> None:
    """Write everything, each run included."""
    content: dict[str, Any] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("billingo-assets"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "documents": dict(sizes),
        "measurements": [
            {
                "case": case,
                "what": labels[case],
                "contender": contender,
                "median": asdict(median_of(runs)),
                "runs": [asdict(run) for run in runs],
            }
            for (case, contender), runs in samples.items()
        ],
        "goals": [asdict(goal) | {"reached": goal.reached} for goal in goals],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
