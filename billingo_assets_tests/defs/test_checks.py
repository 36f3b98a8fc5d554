"""The checks: a result for each company, a failure when the thing breaks, and what a failure stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from sqlalchemy import Engine, text, update

from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.defs.checks.raw_invoices import describe_gaps
from billingo_assets.names import COMPANIES, INVOICES, PARTITION_TAG, RAW_INVOICES, SYNC_COMPANY
from billingo_assets.sandbox import SandboxServer, World
from billingo_assets.warehouse.number_gaps import Gaps
from billingo_assets.warehouse.tables import companies as companies_table
from billingo_assets_tests.support.dagster_runs import (
    CHECKS,
    LARGE,
    SMALL,
    Sync,
    execute_checks,
    materializations,
    statuses,
)

PASSED = AssetCheckExecutionRecordStatus.SUCCEEDED
FAILED = AssetCheckExecutionRecordStatus.FAILED

Execute = Callable[[str, str], dg.JobExecutionResult]
ExecuteAll = Callable[..., dg.JobExecutionResult]


@pytest.fixture
def execute(live_defs: dg.Definitions, instance: dg.DagsterInstance) -> Execute:
    """Execute one check by itself for a company."""
    return lambda name, company: execute_checks(live_defs, instance, [name], **{PARTITION_TAG: company})


@pytest.fixture
def execute_all(live_defs: dg.Definitions, instance: dg.DagsterInstance) -> ExecuteAll:
    """Execute every check that can be executed by itself, as "Execute all" in the UI does: without a partition."""
    return lambda **tags: execute_checks(live_defs, instance, ALONE, **tags)


def answer(result: dg.JobExecutionResult) -> dg.AssetCheckEvaluation:
    """The one answer of a check that was executed by itself."""
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    (event,) = [event for event in result.all_events if event.event_type == kind]
    return event.asset_check_evaluation_data


def values(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """The metadata of a result that are plain values."""
    return {name: value.value for name, value in evaluation.metadata.items() if hasattr(value, "value")}


def faults(evaluation: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    """The rows of a result's table of documents at fault."""
    table = evaluation.metadata["at_fault"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


ALONE = [name for name in CHECKS if name != "tax_code_matches"]
"""The checks that can be executed by themselves; the other is answered by the asset."""

TAMPERED = {
    "api_total_matches": (
        "DELETE FROM billingo.raw_invoices WHERE (company_id, document_id) ="
        " (SELECT company_id, min(document_id) FROM billingo.raw_invoices WHERE company_id = :company GROUP BY 1)",
        -1,
    ),
    "no_rejected_documents": (
        "INSERT INTO billingo.rejected_documents (company_id, content_hash, document_id, stage, reason, payload)"
        " VALUES (:company, 'hash', 7, 'fetch', 'It is broken', '')",
        1,
    ),
    "no_number_gaps": (
        "INSERT INTO billingo.number_gaps (company_id, block_id, series, year, first_number, last_year, last_number)"
        " VALUES (:company, 4100, 'WEB-2026', 2026, 7, 2026, 9)",
        3,
    ),
    "one_row_per_document": (
        "UPDATE billingo.invoices SET deleted_at = now() WHERE company_id = :company"
        " AND id = (SELECT min(id) FROM billingo.invoices WHERE company_id = :company)",
        -1,
    ),
    "totals_reconcile": (
        "UPDATE billingo.invoices SET gross_total = gross_total + 1000 WHERE company_id = :company"
        " AND id = (SELECT min(id) FROM billingo.invoices WHERE company_id = :company)",
        -1,
    ),
    "item_count_matches_raw": (
        "DELETE FROM billingo.invoice_items WHERE (company_id, invoice_id, position) ="
        " (SELECT company_id, min(invoice_id), 1 FROM billingo.invoice_items WHERE company_id = :company GROUP BY 1)",
        -1,
    ),
}


@pytest.fixture
def tamper(engine: Engine, companies: dict[str, Company]) -> Callable[[str, str], None]:
    """Break what a check watches over, for one company."""

    def change(name: str, company: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(TAMPERED[name][0]), {"company": companies[company].id})

    return change


@pytest.mark.parametrize("name", CHECKS)
def test_a_sync_that_went_well_passes_the_check(sync: Sync, instance: dg.DagsterInstance, name: str) -> None:
    sync(SMALL)
    assert statuses(instance, name) == {SMALL: PASSED}


def test_no_result_has_a_number_which_the_ui_would_join_with_those_of_other_companies_by_a_line(
    sync: Sync, instance: dg.DagsterInstance
) -> None:
    run_id = sync(SMALL).run_id
    events = [entry.dagster_event for entry in instance.all_logs(run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)]
    results = [event.asset_check_evaluation_data for event in events if event]
    assert {result.check_name for result in results} == set(CHECKS)
    for result in results:
        kinds = {type(value) for value in result.metadata.values()}
        assert kinds <= {dg.TextMetadataValue, dg.TimestampMetadataValue}, result.check_name


@pytest.mark.parametrize("name", TAMPERED)
def test_a_check_fails_when_what_it_watches_breaks_and_says_by_how_much(
    sync: Sync, execute: Execute, tamper: Callable[[str, str], None], name: str
) -> None:
    sync(SMALL)
    tamper(name, SMALL)
    evaluation = answer(execute(name, SMALL))
    told = values(evaluation)
    assert evaluation.passed is False
    expected, found, difference = (int(told[name]) for name in ("expected", "found", "difference"))
    assert difference == found - expected == TAMPERED[name][1]


@pytest.mark.parametrize("name", ["one_row_per_document", "totals_reconcile", "item_count_matches_raw"])
def test_a_check_names_the_documents_at_fault(
    sync: Sync, execute: Execute, tamper: Callable[[str, str], None], world: World, name: str
) -> None:
    sync(SMALL)
    tamper(name, SMALL)
    broken = min(document["id"] for document in world.company(SMALL).documents())
    evaluation = answer(execute(name, SMALL))
    assert [fault["document"] for fault in faults(evaluation)] == [str(broken)]
    assert (evaluation.description or "").endswith(f". At fault: document {broken}.")


def test_a_document_in_quarantine_is_listed_with_its_reason(
    execute: Execute, tamper: Callable[[str, str], None]
) -> None:
    tamper("no_rejected_documents", SMALL)
    assert faults(answer(execute("no_rejected_documents", SMALL))) == [{"document": "7", "reason": "It is broken"}]


def test_missing_numbers_are_listed_by_block_and_series(execute: Execute, tamper: Callable[[str, str], None]) -> None:
    tamper("no_number_gaps", SMALL)
    evaluation = answer(execute("no_number_gaps", SMALL))
    assert faults(evaluation) == [
        {"block": "4100", "series": "WEB-2026", "year": "2026", "numbers": "7 to 9", "missing": "3"}
    ]
    assert (evaluation.description or "").endswith(
        " Billingo will be asked for 3 of the missing numbers in the next syncs."
    )


def test_numbers_that_cannot_be_judged_are_told_and_warn_nobody(sync: Sync, execute: Execute, world: World) -> None:
    for number in ("2026000001", "2026000009"):
        world.company(SMALL).create(type="invoice", invoice_number=number)
    sync(SMALL)
    evaluation = answer(execute("no_number_gaps", SMALL))
    assert (evaluation.passed, values(evaluation)["not_judged"]) == (True, "2")
    assert evaluation.description == (
        "Invoice numbers run without gaps. 2 numbers could not be judged: their form is not known."
    )


def test_gaps_that_are_allowed_are_counted_and_warn_nobody(sync: Sync, execute: Execute, world: World) -> None:
    for number in ("Q-2026-1", "Q-2026-9"):
        world.company(SMALL).create(type="proforma", invoice_number=number)
    sync(SMALL)
    evaluation = answer(execute("no_number_gaps", SMALL))
    assert (evaluation.passed, values(evaluation)["gaps_allowed"]) == (True, "7")


@pytest.mark.parametrize(
    ("counts", "description"),
    [
        ({"is_any_judged": True}, "Invoice numbers run without gaps."),
        ({}, "No invoice has a number yet."),
        ({"is_any_judged": True, "accepted": 4}, "No invoice number is missing except for 4 accepted."),
        (
            {"unjudged": 1234},
            "1,234 numbers could not be judged: their form is not known."
            " It is not known whether any number is missing.",
        ),
        (
            {"ambiguous": 7},
            "7 numbers could not be judged: their series may have restarted in a new year."
            " It is not known whether any number is missing.",
        ),
        (
            {"is_any_judged": True, "missing": 1, "unjudged": 1},
            "1 invoice number is missing: no document has it (table billingo.number_gaps)."
            " 1 number could not be judged: its form is not known.",
        ),
    ],
    ids=["all well", "none", "accepted", "none judged", "ambiguous", "one missing, one not judged"],
)
def test_nothing_checked_is_not_told_as_all_well(counts: dict[str, Any], description: str) -> None:
    nothing = Gaps(missing=0, unasked=0, accepted=0, allowed=0, unjudged=0, ambiguous=0, is_any_judged=False, listed=())
    assert describe_gaps(nothing._replace(**counts)) == description


def test_the_pass_of_one_company_does_not_hide_the_failure_of_another(
    sync: Sync, execute: Execute, tamper: Callable[[str, str], None], instance: dg.DagsterInstance
) -> None:
    sync(SMALL)
    sync(LARGE)
    tamper("totals_reconcile", SMALL)
    execute("totals_reconcile", SMALL)
    execute("totals_reconcile", LARGE)
    assert statuses(instance, "totals_reconcile") == {SMALL: FAILED, LARGE: PASSED}


def test_a_check_by_itself_asks_the_api_anew(
    sync: Sync, execute: Execute, world: World, sandbox: SandboxServer
) -> None:
    sync(SMALL)
    world.company(SMALL).create()
    sandbox.requests.clear()
    evaluation = answer(execute("api_total_matches", SMALL))
    assert [request.path for request in sandbox.requests] == ["/v3/documents"]
    assert (values(evaluation)["asked"], values(evaluation)["difference"]) == ("just now", "-1")


def test_a_check_within_a_sync_asks_the_api_nothing_that_the_sync_has_asked(
    sync: Sync, instance: dg.DagsterInstance, sandbox: SandboxServer
) -> None:
    sync(SMALL)
    (calls,) = [metadata["api_calls"] for metadata in materializations(instance, RAW_INVOICES, SMALL)]
    assert len(sandbox.requests) == calls


def test_a_check_that_gets_no_answer_from_the_api_fails_in_words(execute: Execute, world: World) -> None:
    world.company(SMALL).replace_api_key("00000000-0000-4000-8000-000000000000")
    (event,) = execute("api_total_matches", SMALL).get_step_failure_events()
    assert event.step_failure_data.user_failure_data is not None
    assert "set-key" in (event.step_failure_data.user_failure_data.description or "")


@pytest.fixture
def losing(engine: Engine, world: World) -> None:
    """The database loses one of the small company's documents without a word."""
    document_id = world.company(SMALL).documents()[0]["id"]
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER lose BEFORE INSERT ON billingo.raw_invoices FOR EACH ROW"
            f" WHEN (NEW.document_id = {document_id}) EXECUTE FUNCTION lose()"
        )


def test_documents_that_are_missing_stop_the_tables(losing: None, sync: Sync, instance: dg.DagsterInstance) -> None:
    sync(SMALL)
    assert statuses(instance, "api_total_matches") == {SMALL: FAILED}
    assert materializations(instance, INVOICES, SMALL) == []


def test_documents_that_are_missing_are_the_reason_of_the_failure(losing: None, sync: Sync) -> None:
    outcome = sync(SMALL)
    assert outcome.status == "failed"
    assert [fault.error for fault in outcome.errors] == [
        "api_total_matches: Billingo counts 61 documents, 60 are held. Sync the company again."
    ]


def test_a_quarantine_warns_and_stops_nothing(sync: Sync, instance: dg.DagsterInstance, world: World) -> None:
    world.company(SMALL).add_raw({"id": "seven"})
    sync(SMALL)
    assert statuses(instance, "no_rejected_documents") == {SMALL: FAILED}
    assert len(materializations(instance, INVOICES, SMALL)) == 1


@pytest.fixture
def mixed_up(companies: dict[str, Company], engine: Engine) -> None:
    """The small company's key is stored for a company with another tax code."""
    with engine.begin() as connection:
        connection.execute(
            update(companies_table).where(companies_table.c.key == SMALL).values(tax_code="99999999-2-99")
        )


def test_a_key_of_another_company_is_a_failed_check(mixed_up: None, sync: Sync, instance: dg.DagsterInstance) -> None:
    sync(SMALL)
    assert statuses(instance, "tax_code_matches") == {SMALL: FAILED}


def test_a_key_of_another_company_fails_the_run_with_the_sentence_alone(
    mixed_up: None, sync: Sync, world: World
) -> None:
    outcome = sync(SMALL)
    assert outcome.status == "failed"
    assert [fault.error for fault in outcome.errors] == [
        f"The API key stored for {SMALL} (tax code 99999999-2-99) opens the books of {world.company(SMALL).tax_code}."
        " Nothing was read. If it is the same company under a new tax number, as after joining or leaving a VAT group,"
        f" confirm that with `billingo-assets company confirm-identity {SMALL} --tax-code"
        f" {world.company(SMALL).tax_code}`. If not, store the right key with `billingo-assets company set-key"
        f" {SMALL}`."
    ]


def test_a_key_of_another_company_stores_nothing_and_asks_for_no_document(
    mixed_up: None, sync: Sync, engine: Engine, sandbox: SandboxServer
) -> None:
    sync(SMALL)
    with engine.connect() as connection:
        held = connection.scalar(
            text(
                "SELECT (SELECT count(*) FROM billingo.raw_invoices) + (SELECT count(*) FROM billingo.invoices)"
                " + (SELECT count(*) FROM billingo.rejected_documents)"
            )
        )
    assert (held, [request.path for request in sandbox.requests]) == (0, ["/v3/organization"])


def test_a_key_of_another_company_leaves_the_partition_unmaterialized(
    mixed_up: None, sync: Sync, instance: dg.DagsterInstance
) -> None:
    sync(SMALL)
    assert materializations(instance, RAW_INVOICES, SMALL) == []


def test_checks_that_are_executed_without_a_company_answer_for_every_one(
    sync: Sync,
    execute_all: ExecuteAll,
    tamper: Callable[[str, str], None],
    instance: dg.DagsterInstance,
    companies: dict[str, Company],
) -> None:
    for key in companies:
        sync(key)
    tamper("totals_reconcile", SMALL)
    assert execute_all().success
    for name in ALONE:
        found = statuses(instance, name)
        small = FAILED if name == "totals_reconcile" else PASSED
        assert {key: found[key] for key in companies} == dict.fromkeys(companies, PASSED) | {SMALL: small}


def test_of_checks_for_every_company_the_page_of_each_shows_the_one_that_fails_and_the_log_names_it(
    sync: Sync, execute_all: ExecuteAll, tamper: Callable[[str, str], None], companies: dict[str, Company]
) -> None:
    first = min(companies)
    sync(first)
    tamper("item_count_matches_raw", first)
    results = [
        event.asset_check_evaluation_data
        for event in execute_all().all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    named = [result for result in results if result.check_name == "item_count_matches_raw" and result.partition]
    assert [(result.partition, result.passed) for result in named] == [
        *((key, True) for key in sorted(companies) if key != first),
        (first, False),
    ]
    assert [result.metadata["company"].value for result in named] == [result.partition for result in named]


def test_a_disabled_company_is_not_asked_for_where_no_company_is_named(
    execute_all: ExecuteAll, engine: Engine, instance: dg.DagsterInstance
) -> None:
    with engine.begin() as connection:
        registry.change_company(connection, LARGE, enabled=False)
    execute_all()
    assert SMALL in statuses(instance, "api_total_matches")
    assert LARGE not in statuses(instance, "api_total_matches")


def test_a_range_of_companies_is_checked_and_no_other(
    execute_all: ExecuteAll, instance: dg.DagsterInstance, companies: dict[str, Company]
) -> None:
    keys = instance.get_dynamic_partitions(COMPANIES)
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}
    assert execute_all(**tags).success
    assert set(statuses(instance, "no_number_gaps")) == set(keys[:2])


def test_one_company_that_cannot_be_checked_is_named_and_the_others_are_checked(
    execute_all: ExecuteAll, world: World, instance: dg.DagsterInstance
) -> None:
    world.company(SMALL).replace_api_key("00000000-0000-4000-8000-000000000000")
    result = execute_all()
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    told = failure.user_failure_data.description or ""
    assert told.startswith(f"1 of 3 companies could not be checked.\n{SMALL}: ")
    assert SMALL not in statuses(instance, "api_total_matches")
    assert LARGE in statuses(instance, "api_total_matches")
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["dagster/will_retry"] == "false"


def test_a_check_that_is_executed_by_itself_and_fails_is_recorded_and_not_executed_again(
    sync: Sync, execute: Execute, tamper: Callable[[str, str], None], instance: dg.DagsterInstance
) -> None:
    sync(SMALL)
    tamper("api_total_matches", SMALL)
    assert execute("api_total_matches", SMALL).success
    assert statuses(instance, "api_total_matches") == {SMALL: FAILED}


def test_a_sync_without_a_company_says_so_in_words_and_is_not_run_again(
    live_defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    job = live_defs.resolve_job_def(SYNC_COMPANY)
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    assert (failure.user_failure_data.description or "").startswith("The run names no company. Choose a partition")
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["dagster/will_retry"] == "false"
