"""The checks that every stream has: it is complete, every record can be read, its table agrees with its records."""

import dagster as dg
from sqlalchemy import Connection

from billingo_assets.checks import no_rejected, one_row_per_record, total_matches
from billingo_assets.dagster_support.resources import BillingoResource, WarehouseResource
from billingo_assets.defs.checks.results import (
    MAX_LISTED,
    Question,
    at_fault,
    check_result,
    company_check,
    reconcile,
    table_of,
)
from billingo_assets.names import table_asset_key
from billingo_assets.streams import STREAMS, Stream
from billingo_assets.warehouse.rejections import OpenRejection


def answer_total(question: Question, billingo: BillingoResource, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Records held and not deleted (quarantine included) equal the API's `total` without filters.

    Within a sync, the total is the one at the end of that sync's listing; executed alone (*Execute* on this page), the
    check asks the API for it. Documents that no listing shows and that were found by their number are added to it; an
    accepted difference is subtracted.
    """
    from billingo_assets.warehouse.differences import accepted_difference
    from billingo_assets.warehouse.reconciliation import Reconciliation, held_records
    from billingo_assets.warehouse.sync_state import read_sync_state

    stream = question.check.stream
    with warehouse.company(question.company) as work:
        state = read_sync_state(work.connection, stream, work.company.id)
        if state is not None and state.run_id == question.run_id:
            total, asked = state.api_total, "during this sync"
        else:
            with billingo.client(work.company, work.api_key) as client:
                total, asked = client.count(stream.path), "just now"
        total += state.unlisted if state else 0
        answer = Reconciliation(expected=total, found=held_records(work.connection, stream, work.company.id))
        accepted = accepted_difference(work.connection, stream, work.company.id)
    return check_result(
        question,
        answer,
        description=(
            f"Every {stream.noun} that Billingo shows is held ({total:,}). The difference of {accepted.difference:,}"
            f" between its count and its pages was accepted on {accepted.at:%Y-%m-%d} by {accepted.by}."
            if answer.holds and accepted
            else f"Every {stream.noun} that Billingo counts is held ({total:,})."
            if answer.holds
            else f"Billingo counts {total:,} {stream.words}, {answer.found:,} are held. Sync the company again."
        ),
        asked=asked,
        **({"accepted_difference": accepted.difference} if accepted else {}),
    )


def answer_rejected(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """No record of the company is in quarantine. Records with unreadable optional parts are counted."""
    from billingo_assets.companies.registry import get_company
    from billingo_assets.warehouse.normalized import count_unreadable
    from billingo_assets.warehouse.reconciliation import Reconciliation
    from billingo_assets.warehouse.rejections import open_rejections

    stream = question.check.stream
    with warehouse.connect() as connection:
        company_id = get_company(connection, question.company).id
        rejections = open_rejections(connection, stream, company_id)
        in_part = count_unreadable(connection, stream, company_id)
    accepted = [_row(stream, one) for one in rejections if one.accepted_at is not None]
    new = [_row(stream, one) for one in rejections if one.accepted_at is None]
    return check_result(
        question,
        Reconciliation(expected=0, found=len(new), at_fault=tuple(new[:MAX_LISTED])),
        description=_in_quarantine(stream, len(new), len(accepted)) + _unreadable(stream, in_part),
        accepted=len(accepted),
        **({f"accepted_{stream.name}": table_of(accepted[:MAX_LISTED])} if accepted else {}),
        unreadable_in_part=in_part,
    )


def answer_rows(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Each live record has one live row, made from its newest version; records in quarantine do not count."""
    from billingo_assets.warehouse.reconciliation import Reconciliation, rows_per_record

    stream = question.check.stream

    def compare(connection: Connection, company_id: int) -> Reconciliation:
        return rows_per_record(connection, stream, company_id)

    answer = reconcile(question, warehouse, compare)
    return check_result(
        question,
        answer,
        description=f"{answer.found:,} rows for {answer.expected:,} {stream.words}.{at_fault(answer)}",
    )


def _row(stream: Stream, one: OpenRejection) -> dict[str, str]:
    """Show a record in quarantine as a row for people."""
    row = {stream.noun: "without an id" if one.document_id is None else str(one.document_id), "reason": one.reason}
    return row | ({"accepted": f"{one.accepted_at:%Y-%m-%d} by {one.accepted_by}"} if one.accepted_at else {})


def _in_quarantine(stream: Stream, new: int, accepted: int) -> str:
    """Say how many records are in quarantine."""
    where = "in quarantine (table billingo.rejected_documents)"
    if new:
        more = f", and {accepted:,} more {'was' if accepted == 1 else 'were'} accepted" if accepted else ""
        return f"{_counted(stream, new)} {'is' if new == 1 else 'are'} {where}{more}."
    if accepted:
        are, were = ("is", "was") if accepted == 1 else ("are", "were")
        return f"{_counted(stream, accepted)} {are} {where} and {were} accepted."
    return f"No {stream.noun} is in quarantine."


def _unreadable(stream: Stream, in_part: int) -> str:
    """Say how many records have an unreadable part, if any."""
    if not in_part:
        return ""
    have = f"{_counted(stream, in_part)} {'has' if in_part == 1 else 'have'}"
    return f" {have} an optional part that could not be read: billingo.{stream.table.name}.unreadable names it."


def _counted(stream: Stream, number: int) -> str:
    return f"{number:,} {stream.noun if number == 1 else stream.words}"


def _checks(stream: Stream) -> list[dg.AssetChecksDefinition]:
    return [
        company_check(total_matches(stream))(answer_total),
        # After normalization, which puts records into quarantine too: before it, the result would be the last sync's.
        company_check(no_rejected(stream), after=[table_asset_key(stream.table)])(answer_rejected),
        company_check(one_row_per_record(stream))(answer_rows),
    ]


checks = [check for stream in STREAMS for check in _checks(stream)]
