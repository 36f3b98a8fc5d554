"""The registry of asset checks: definitions, `status`, alerts, pruning and the docs use it.

Only checks in it can be declared: see `defs/checks/results.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from billingo_assets.names import INVOICE_ITEMS, INVOICES, RAW_INVOICES, raw_asset_key, table_asset_key
from billingo_assets.streams import DOCUMENTS, STREAMS, Stream

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check on the records of a stream, with one result for each company.

    `severity` is the worst severity of a failure. A `blocking` check ends the run. `advice` says what to do about a
    failure; `{key}` stands for the company's key. A check that `follows_clock` judges an age: `status` computes it
    instead of reading it from a company's runs.
    """

    name: str
    asset: dg.AssetKey
    holds_when: str
    severity: dg.AssetCheckSeverity
    advice: str
    cleared_by: str
    blocking: bool = False
    follows_clock: bool = False
    stream: Stream = DOCUMENTS

    @property
    def key(self) -> dg.AssetCheckKey:
        """The key under which Dagster stores the results."""
        return dg.AssetCheckKey(self.asset, self.name)

    def advise(self, company: str) -> str:
        """What to do about a failure for the company of this key."""
        return self.advice.format(key=company)


def total_matches(stream: Stream) -> Check:
    """The check that as many records are held as Billingo counts."""
    is_first = stream is DOCUMENTS
    return Check(
        name="api_total_matches" if is_first else f"{stream.name}_total_matches",
        asset=raw_asset_key(stream),
        holds_when=f"{stream.words} held and not deleted = the total that Billingo counts",
        severity=ERROR,
        blocking=True,
        advice="Read everything again: billingo-assets sync {key} --full",
        cleared_by="the first sync that finds both equal" + (", or `sync --accept-difference`" if is_first else ""),
        stream=stream,
    )


def no_rejected(stream: Stream) -> Check:
    """The check that no record is in quarantine."""
    return Check(
        name=f"no_rejected_{stream.name}",
        asset=raw_asset_key(stream),
        holds_when=f"no {stream.noun} is in quarantine",
        severity=WARN,
        advice="Compare them with Billingo. If nothing can be done: billingo-assets company accept-rejected {key}",
        cleared_by=f"a version of the {stream.noun} that can be stored, or `company accept-rejected`",
        stream=stream,
    )


def one_row_per_record(stream: Stream) -> Check:
    """The check that the stream's table agrees with its records."""
    return Check(
        name=f"one_row_per_{stream.noun.replace(' ', '_')}",
        asset=table_asset_key(stream.table),
        holds_when=f"`{stream.table.name}` has one row for each {stream.noun}, made from its newest version",
        severity=ERROR,
        advice="Read everything again: billingo-assets sync {key} --full",
        cleared_by="a full sync",
        stream=stream,
    )


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check(
            name="tax_code_matches",
            asset=RAW_INVOICES,
            holds_when="the API key opens the books of the company it is stored for",
            severity=ERROR,
            blocking=True,
            advice="Store the company's own key: billingo-assets company set-key {key}",
            cleared_by="a sync with the company's own key, or `company confirm-identity`",
        ),
        total_matches(DOCUMENTS),
        no_rejected(DOCUMENTS),
        Check(
            name="no_number_gaps",
            asset=RAW_INVOICES,
            holds_when="numbers of invoices and receipts run without gaps in their block and year",
            severity=WARN,
            advice="Look them up in Billingo. If nothing is wrong: billingo-assets company accept-gaps {key}",
            cleared_by="a document that has the number, or `company accept-gaps`",
        ),
        Check(
            name="synced_recently",
            asset=RAW_INVOICES,
            holds_when="the company was synced within a day, or within its rhythm",
            severity=ERROR,
            follows_clock=True,
            advice="Check that the daemon or cron runs: billingo-assets doctor",
            cleared_by="the next complete sync",
        ),
        one_row_per_record(DOCUMENTS),
        Check(
            name="totals_reconcile",
            asset=INVOICES,
            holds_when="gross = net + VAT = the sum of the lines, within rounding and the discount",
            severity=WARN,
            advice=(
                "Compare the listed invoices with those in Billingo. If nothing is wrong:"
                " billingo-assets company accept-totals {key}"
            ),
            cleared_by="a corrected document, or `company accept-totals`",
        ),
        Check(
            name="item_count_matches_raw",
            asset=INVOICE_ITEMS,
            holds_when="as many lines as each document lists",
            severity=ERROR,
            advice="Read everything again: billingo-assets sync {key} --full",
            cleared_by="a full sync",
        ),
        *(
            make(stream)
            for stream in STREAMS
            if stream is not DOCUMENTS
            for make in (total_matches, no_rejected, one_row_per_record)
        ),
    )
}


def checks_of_runs() -> Iterator[Check]:
    """The checks with a last result that counts for the state of a company."""
    return (check for check in CHECKS.values() if not check.follows_clock)
