"""Checks on `billingo/invoices` and `billingo/invoice_items`: do the tables agree with the documents."""

from collections.abc import Callable

import dagster as dg
from sqlalchemy import Connection

from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.checks.results import Question, check_result, company_check
from billingo_assets.warehouse import totals
from billingo_assets.warehouse.reconciliation import Reconciliation, items_per_document, rows_per_record
from billingo_assets.warehouse.sync_state import read_sync_state

MAX_NAMED = 3
"""The most documents that a check's description names; its table has more."""


@company_check()
def one_row_per_document(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Each live document has one live row, made from its newest version; documents in quarantine do not count."""
    stream = question.check.stream
    answer = _reconcile(question, warehouse, lambda connection, id_: rows_per_record(connection, stream, id_))
    return check_result(
        question,
        answer,
        description=f"{answer.found:,} rows for {answer.expected:,} documents.{_at_fault(answer)}",
    )


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

    answer = _reconcile(question, warehouse, compare)
    return check_result(
        question,
        answer,
        description=(
            f"{answer.found:,} of {answer.expected:,} invoices reconcile within rounding.{_at_fault(answer)}"
            f"{_accepted(answer)}{_unjudged(answer)}"
        ),
        accepted=answer.accepted,
        not_judged=answer.unjudged,
    )


@company_check()
def item_count_matches_raw(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The tables hold as many lines of each document as its JSON lists; documents in quarantine do not count."""
    answer = _reconcile(question, warehouse, items_per_document)
    return check_result(
        question,
        answer,
        description=f"{answer.found:,} rows for {answer.expected:,} items.{_at_fault(answer)}",
    )


def _at_fault(answer: Reconciliation) -> str:
    """Name the worst documents, for people who do not see the check's table."""
    if not answer.at_fault:
        return ""
    ids = [row["document"] for row in answer.at_fault[:MAX_NAMED]]
    others = " and others" if len(answer.at_fault) > MAX_NAMED else ""
    return f" At fault: {'document' if len(answer.at_fault) == 1 else 'documents'} {', '.join(ids)}{others}."


def _accepted(answer: Reconciliation) -> str:
    """Say how many accepted ones do not reconcile, if any."""
    return (
        f" {answer.accepted:,} more {'does' if answer.accepted == 1 else 'do'} not, which was accepted."
        if (answer.accepted)
        else ""
    )


def _unjudged(answer: Reconciliation) -> str:
    """Say how many could not be compared, if any."""
    if not answer.unjudged:
        return ""
    them = "1 more" if answer.unjudged == 1 else f"{answer.unjudged:,} more"
    return f" {them} could not be judged: an amount is missing, or a discount or rounding could not be read."


def _reconcile(
    question: Question,
    warehouse: WarehouseResource,
    compare: Callable[[Connection, int], Reconciliation],
) -> Reconciliation:
    from billingo_assets.companies.registry import get_company

    with warehouse.connect() as connection:
        return compare(connection, get_company(connection, question.company).id)
