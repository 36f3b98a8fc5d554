"""Checks on `billingo/raw_invoices` alone: whose the key is, when it was synced, and whether numbers are missing."""

from datetime import UTC, datetime

import dagster as dg

from billingo_assets.checks import CHECKS
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.checks.results import MAX_LISTED, Question, check_result, company_check, company_check_spec
from billingo_assets.names import RAW_INVOICES
from billingo_assets.warehouse.number_gaps import Gaps

tax_code_matches = company_check_spec(
    CHECKS["tax_code_matches"], description="The API key still belongs to the company that it is stored for."
)


def tax_code_result(*, expected: str | None, found: str | None) -> dg.AssetCheckResult:
    """Make the result of `tax_code_matches`; the asset compares the tax codes before it reads a document.

    Without an expected tax code, the found one is stored and expected from then on.
    """
    from billingo_assets.companies.tax_codes import taxpayer

    severity = dg.AssetCheckSeverity.ERROR if expected else dg.AssetCheckSeverity.WARN
    holds = found is not None and (expected is None or taxpayer(expected) == taxpayer(found))
    return dg.AssetCheckResult(
        check_name=tax_code_matches.name,
        asset_key=RAW_INVOICES,
        passed=holds,
        severity=severity,
        description=(
            "The key is the company's own."
            if holds
            else "The key belongs to another company: nothing was read."
            if expected
            else "Billingo returns no tax code for this key, so a mix-up would go unnoticed."
        ),
        metadata={
            "expected": expected or "none stored",
            "found": found or "none",
            "difference": "none" if holds else "another company" if expected else "unknown",
        },
    )


@company_check()
def synced_recently(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The company was synced within a day, or within its rhythm if that has longer pauses.

    A sensor also records when this stops being true: no run would.
    """
    from billingo_assets.companies.registry import get_company
    from billingo_assets.health.freshness import read_freshness

    with warehouse.connect() as connection:
        freshness = read_freshness(connection, get_company(connection, question.company), datetime.now(UTC))
    return dg.AssetCheckResult(
        passed=freshness.holds,
        severity=freshness.severity,
        description=freshness.description,
        metadata=freshness.metadata,
    )


@company_check()
def no_number_gaps(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The numbers of invoices and receipts run without gaps in their series; Billingo was asked for missing ones.

    The number of a deleted document is not a gap. Proformas, offers and the like may have gaps. Numbers of an unknown
    form, or that can be read in two ways, are counted but not judged.
    """
    from billingo_assets.companies.registry import get_company
    from billingo_assets.warehouse.number_gaps import summarize_gaps
    from billingo_assets.warehouse.reconciliation import Reconciliation

    with warehouse.connect() as connection:
        company_id = get_company(connection, question.company).id
        gaps = summarize_gaps(connection, company_id, most=MAX_LISTED)
    at_fault = [
        {
            "block": str(gap.block_id),
            "series": gap.series,
            "year": str(gap.year),
            "numbers": gap.numbers,
            "missing": f"{gap.size:,}",
        }
        for gap in gaps.listed
    ]
    return check_result(
        question,
        Reconciliation(expected=0, found=gaps.missing, at_fault=tuple(at_fault)),
        description=describe_gaps(gaps),
        gaps_accepted=gaps.accepted,
        gaps_allowed=gaps.allowed,
        not_judged=gaps.unjudged + gaps.ambiguous,
    )


def describe_gaps(gaps: Gaps) -> str:
    """Describe the state of a company's numbers in words."""
    sentences = []
    if gaps.missing == 1:
        sentences.append("1 invoice number is missing: no document has it (table billingo.number_gaps).")
    elif gaps.missing:
        where = "no document has them (table billingo.number_gaps)"
        sentences.append(f"{gaps.missing:,} invoice numbers are missing: {where}.")
    elif gaps.accepted:
        sentences.append(f"No invoice number is missing except for {gaps.accepted:,} accepted.")
    elif gaps.is_any_judged:
        sentences.append("Invoice numbers run without gaps.")
    elif not gaps.unjudged and not gaps.ambiguous:
        sentences.append("No invoice has a number yet.")
    if gaps.unjudged == 1:
        sentences.append("1 number could not be judged: its form is not known.")
    elif gaps.unjudged:
        sentences.append(f"{gaps.unjudged:,} numbers could not be judged: their form is not known.")
    if gaps.ambiguous:
        them = "1 number" if gaps.ambiguous == 1 else f"{gaps.ambiguous:,} numbers"
        sentences.append(f"{them} could not be judged: their series may have restarted in a new year.")
    if (gaps.unjudged or gaps.ambiguous) and not gaps.is_any_judged:
        sentences.append("It is not known whether any number is missing.")
    if gaps.unasked:
        sentences.append(f"Billingo will be asked for {gaps.unasked:,} of the missing numbers in the next syncs.")
    return " ".join(sentences)
