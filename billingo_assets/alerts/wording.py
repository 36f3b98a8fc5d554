"""Writes the messages: which company, what happened, what to do, and where to look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from billingo_assets.alerts.channels import Message
from billingo_assets.companies.registry import Company
from billingo_assets.health.rules import NO_API_KEY, RUN_FAILED, STALE, Problem
from billingo_assets.text import visible, visible_lines

ITSELF = "billingo_assets itself"
"""The name of the pipeline in a problem that concerns no company, such as a job that failed."""

MAX_LISTED = 20
"""The most companies that a message names."""


class Affected(NamedTuple):
    """A company (None: no single company) and its problems, the worst first."""

    company: Company | None
    problems: Sequence[Problem]


class Recovered(NamedTuple):
    """A company (None: no single company) that works again, how long it did not, and its remaining problems."""

    company: Company | None
    after: timedelta
    remaining: Sequence[Problem]


def describe_outage(affected: Sequence[Affected], ui_url: str) -> Message:
    """Write one message about companies that fail for the same reason."""
    worst = affected[0].problems[0]
    title = f"{_subject([one.company for one in affected])}: {_headline(worst)}"
    blocks = [_block(one, ui_url) for one in affected[:MAX_LISTED]]
    if len(affected) > MAX_LISTED:
        blocks.append(f"and {len(affected) - MAX_LISTED:,} more. `billingo-assets status` lists them all.")
    if worst.is_shared:
        blocks.append(
            "Companies that fail later for the same reason are not reported again; one message says when it is over."
        )
    return Message(worst.severity, title, "\n\n".join(blocks))


def describe_recovery(recovered: Sequence[Recovered]) -> Message:
    """Write one message about companies that work again, with the lesser problems that remain."""
    named = [f"{_name(one.company)}, after {_length(one.after)}" for one in recovered[:MAX_LISTED]]
    if len(recovered) > MAX_LISTED:
        named.append(f"and {len(recovered) - MAX_LISTED:,} more")
    verb = "works" if len(recovered) == 1 else "work"
    body = "\n".join(named)
    remaining = [
        f"- {_subject([one.company])}: {visible_lines(problem.summary)}"
        for one in recovered
        for problem in one.remaining
    ]
    if remaining:
        body += "\n\nWhat remains:\n" + "\n".join(remaining[:MAX_LISTED])
    return Message("recovery", f"{_subject([one.company for one in recovered])} {verb} again", body)


def _block(affected: Affected, ui_url: str) -> str:
    lines = [_name(affected.company)]
    for problem in affected.problems:
        lines.append(f"- {visible_lines(problem.summary)}")
        if problem.run_id:
            lines.append(f"  {ui_url}/runs/{problem.run_id}")
    return "\n".join(lines)


def _headline(problem: Problem) -> str:
    fixed = {RUN_FAILED: "the sync failed", STALE: "not synced", NO_API_KEY: "no API key"}
    if problem.kind.startswith("job:"):
        return f"the job {problem.kind.removeprefix('job:')} failed"
    verb = "failed" if problem.severity == "error" else "warns"
    return fixed.get(problem.kind) or f"the check {problem.kind} {verb}"


def _subject(companies: Sequence[Company | None]) -> str:
    if len(companies) > 1:
        return f"{len(companies):,} companies"
    return companies[0].key if companies[0] else "billingo_assets"


def _name(company: Company | None) -> str:
    return f"{company.key} ({visible(company.name)})" if company else ITSELF


def _length(time: timedelta) -> str:
    minutes = max(1, round(time / timedelta(minutes=1)))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} hours"
