"""Checks on `billingo/invoices` and `billingo/invoice_items` alone: their totals, and their lines."""

import dagster as dg
from sqlalchemy import Connection

from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.checks.results import Question, at_fault, check_result, company_check, reconcile
from billingo_assets.warehouse import totals
from billingo_assets.warehouse.reconciliation import Reconciliation, items_per_document
from billingo_assets.warehouse.sync_state import read_sync_state


@company_check()
def totals_reconcile(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Gross is net + VAT, and the sum of the lines, within rounding and the discount. The worst are listed.

    Within an incremental sync, it reads the gaps that normalization noted; otherwise it adds everything up.
    """

    def compare(connection: Connection, company_id: int) -> Reconciliation:
        state = read_sync_state(connection, question.check.stream, company_id)
        if state is not None and (state.run_id, state.mode) == (question.run_id, "incremental"):
            return totals.totals_as_normalized(connection, company_id)
        return totals.reconciled_totals(connection, company_id)

    answer = reconcile(question, warehouse, compare)
    return check_result(
        question,
        answer,
        description=(
            f"{answer.found:,} of {answer.expected:,} invoices reconcile within rounding.{at_fault(answer)}"
            f"{_accepted(answer)}{_unjudged(answer)}"
        ),
        accepted=answer.accepted,
        not_judged=answer.unjudged,
    )


@company_check()
def item_count_matches_raw(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The tables hold as many lines of each document as its JSON lists; documents in quarantine do not count."""
    answer = reconcile(question, warehouse, items_per_document)
    return check_result(
        question,
        answer,
        description=f"{answer.found:,} rows for {answer.expected:,} items.{at_fault(answer)}",
    )


def _accepted(answer: Reconciliation) -> str:
    """Say how many accepted ones do not reconcile, if any."""
    return (
        f" {answer.accepted:,} more {'does not and was' if answer.accepted == 1 else 'do not and were'} accepted."
        if answer.accepted
        else ""
    )


def _unjudged(answer: Reconciliation) -> str:
    """Say how many could not be compared, if any."""
    if not answer.unjudged:
        return ""
    them = "1 more" if answer.unjudged == 1 else f"{answer.unjudged:,} more"
    return f" {them} could not be judged: an amount is missing, or a discount or rounding could not be read."
