"""What a run of a company leaves in Dagster, and what its outcome says."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy import Engine, text, update

from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support import in_process as runs
from billingo_assets.dagster_support.resources import BillingoResource
from billingo_assets.definitions import build_defs
from billingo_assets.defs.partitions import companies_partitions
from billingo_assets.health.plotting import read_days
from billingo_assets.health.reading import read_health
from billingo_assets.names import INVOICE_ITEMS, INVOICES, RAW_INVOICES, RETRY_TAG, SYNC_COMPANY
from billingo_assets.run_history.crashes import INTERRUPTED
from billingo_assets.run_history.history import past_outcomes
from billingo_assets.sandbox import Fault, Quirks, SandboxServer, World
from billingo_assets.settings import load_settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.locks import company_lock
from billingo_assets.warehouse.normalized import count_rows
from billingo_assets.warehouse.tables import companies as companies_table
from billingo_assets_tests.support.dagster_runs import LARGE, SMALL, Sync, materializations, told

BUDAPEST = ZoneInfo("Europe/Budapest")
WORDLESS = ("Traceback", 'File "', "[SQL:", "[parameters:")


def test_the_materialization_of_raw_invoices_tells_what_the_contract_promises(
    sync: Sync, instance: dg.DagsterInstance, world: World, sandbox: SandboxServer
) -> None:
    sync(SMALL)
    (metadata,) = materializations(instance, RAW_INVOICES, SMALL)
    documents = world.company(SMALL).ledger().documents
    expected = {
        "mode": "full",
        "processed": documents,
        "created": documents,
        "updated": 0,
        "unchanged": 0,
        "deleted": 0,
        "skipped": 0,
        "api_calls": len(sandbox.requests),
    }
    assert {name: metadata[name] for name in expected} == expected


def test_the_watermark_is_a_moment_during_the_run(sync: Sync, instance: dg.DagsterInstance) -> None:
    outcome = sync(SMALL)
    (metadata,) = materializations(instance, RAW_INVOICES, SMALL)
    record = instance.get_run_record_by_id(outcome.run_id)
    assert record is not None
    assert record.start_time is not None
    assert record.end_time is not None
    # The API tells its time in whole seconds.
    assert int(record.start_time) <= datetime.fromisoformat(metadata["watermark"]).timestamp() <= record.end_time


def test_the_duration_of_a_sync_is_its_runs_everywhere_and_reading_the_documents_is_a_part_of_it(
    sync: Sync, instance: dg.DagsterInstance, companies: dict[str, Company]
) -> None:
    outcome = sync(SMALL)
    run = instance.get_run_stats(outcome.run_id)
    assert run.start_time is not None
    assert run.end_time is not None
    (past,) = past_outcomes(instance, companies)
    (today,) = read_days(instance, datetime.now(UTC), BUDAPEST)[-1:]
    shown = {outcome.duration_seconds, past.outcome.duration_seconds, *today.durations}
    assert shown == {round(run.end_time - run.start_time, 3)}
    (metadata,) = materializations(instance, RAW_INVOICES, SMALL)
    assert 0 < metadata["duration_seconds"] < outcome.duration_seconds


def test_the_materialization_of_invoices_counts_its_rows_and_what_was_made(
    sync: Sync, instance: dg.DagsterInstance, world: World
) -> None:
    sync(SMALL)
    documents = world.company(SMALL).ledger().documents
    (metadata,) = materializations(instance, INVOICES, SMALL)
    assert metadata == {
        "company": world.company(SMALL).name,
        "dagster/partition_row_count": documents,
        "normalized": documents,
        "rejected": 0,
        "deleted": 0,
    }


def test_the_materialization_of_invoice_items_counts_its_rows_and_links(
    sync: Sync, instance: dg.DagsterInstance, world: World
) -> None:
    sync(SMALL)
    company = world.company(SMALL)
    links = {
        (document["id"], other["id"])
        for document in company.documents()
        for other in document.get("related_documents") or ()
    }
    items = company.ledger().items
    (metadata,) = materializations(instance, INVOICE_ITEMS, SMALL)
    assert metadata == {
        "company": company.name,
        "dagster/partition_row_count": items,
        "written": items,
        "related_documents": len(links),
    }


def test_a_later_run_tells_what_changed_since(sync: Sync, instance: dg.DagsterInstance, world: World) -> None:
    sync(SMALL)
    company = world.company(SMALL)
    drafts = [document["id"] for document in company.documents() if document["type"] == "draft"]
    unpaid = [document["id"] for document in company.documents() if document["payment_status"] == "expired"]
    company.delete(drafts[0])
    company.pay(unpaid[0])
    company.create()
    sync(SMALL)
    metadata = materializations(instance, RAW_INVOICES, SMALL)[0]
    assert {name: metadata[name] for name in ("created", "updated", "deleted", "unchanged")} == {
        "created": 1,
        "updated": 1,
        "deleted": 1,
        "unchanged": company.ledger().documents - 2,
    }


def test_an_outcome_repeats_what_the_run_counted(sync: Sync, world: World) -> None:
    outcome = sync(SMALL)
    ledger = world.company(SMALL).ledger()
    assert (outcome.status, outcome.mode, outcome.errors, outcome.warnings) == ("success", "full", (), ())
    assert (outcome.processed, outcome.created, outcome.items) == (ledger.documents, ledger.documents, ledger.items)


def test_each_page_is_a_line_in_the_log_of_the_run(sync: Sync, instance: dg.DagsterInstance, world: World) -> None:
    outcome = sync(LARGE)
    total = world.company(LARGE).ledger().documents
    lines = [line for line in told(instance, outcome.run_id) if ": page " in line]
    assert sorted(lines) == [
        f"{LARGE}: page 1 of 2, 100 of {total} documents",
        f"{LARGE}: page 2 of 2, {total} of {total} documents",
    ]


def test_a_run_says_who_started_it_and_for_which_company(sync: Sync, instance: dg.DagsterInstance) -> None:
    run = instance.get_run_by_id(sync(SMALL).run_id)
    assert run is not None
    assert run.job_name == "sync_company"
    assert {"dagster/partition": SMALL, "billingo/trigger": "cli"}.items() <= run.tags.items()


def test_a_run_belongs_to_the_code_location_that_the_ui_shows(sync: Sync, instance: dg.DagsterInstance) -> None:
    run = instance.get_run_by_id(sync(SMALL).run_id)
    assert run is not None
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.repository_origin.get_label() == "__repository__@billingo_assets"


def test_a_run_leaves_no_files_behind(sync: Sync) -> None:
    sync(SMALL)
    assert [path.name for path in load_settings().dagster_home.rglob("*") if not path.is_dir()] == ["dagster.yaml"]


@pytest.mark.parametrize("broken", [{"gross_total": "abc"}, {"items": "none"}], ids=["amount", "items"])
def test_a_document_in_quarantine_is_an_error_with_its_id(sync: Sync, world: World, broken: dict[str, object]) -> None:
    company = world.company(SMALL)
    document_id = company.documents()[0]["id"]
    company.change(document_id, **broken)
    outcome = sync(SMALL)
    assert (outcome.status, outcome.skipped) == ("partial", 1)
    assert [fault.document_id for fault in outcome.errors] == [document_id]


def test_a_document_without_a_usable_id_is_an_error_of_no_document(sync: Sync, world: World) -> None:
    world.company(SMALL).add_raw({"id": "seven", "type": "invoice"})
    outcome = sync(SMALL)
    (fault,) = outcome.errors
    assert (outcome.status, fault.document_id, "document_id" in fault.as_json()) == ("partial", None, False)


def test_every_document_in_quarantine_is_told_however_many(sync: Sync, world: World) -> None:
    for document in world.company(SMALL).documents():
        world.company(SMALL).change(document["id"], gross_total="abc")
    outcome = sync(SMALL)
    assert (outcome.skipped, len(outcome.errors)) == (61, 61)


def test_documents_that_never_hold_still_fail_the_run_in_words(
    sync: Sync, world: World, sandbox: SandboxServer
) -> None:
    company = world.company(LARGE)
    drafts = [company.create(type="draft")["id"] for _ in range(9)]
    sandbox.faults.after_page(2, lambda: company.delete(drafts.pop()), company=LARGE, times=9)
    outcome = sync(LARGE)
    assert outcome.status == "failed"
    assert "No listing of arvizturo was complete" in outcome.errors[0].error
    assert outcome.created > 0


def invoices_of(engine: Engine, key: str) -> dict[int, str]:
    query = (
        "SELECT invoice.id, payment_status FROM billingo.invoices AS invoice"
        " JOIN billingo.companies AS company ON company.id = company_id"
        " WHERE key = :key AND invoice.deleted_at IS NULL"
    )
    with engine.connect() as connection:
        return {id_: status for id_, status in connection.execute(text(query), {"key": key})}  # noqa: C416 - rows


def test_what_a_failed_sync_read_is_in_the_tables(
    sync: Sync, world: World, sandbox: SandboxServer, engine: Engine
) -> None:
    company = world.company(SMALL)
    sandbox.faults.quirks = Quirks(total_off_by=1)
    assert sync(SMALL).status == "failed"
    assert len(invoices_of(engine, SMALL)) == 61
    unpaid = next(one["id"] for one in company.documents() if one["type"] == "invoice")
    company.set_payment(unpaid, "outstanding")
    sync(SMALL)
    assert invoices_of(engine, SMALL)[unpaid] == "outstanding"
    company.pay(unpaid)
    outcome = sync(SMALL)
    assert "Billingo counts 62 documents, its pages show 61" in outcome.errors[0].error
    assert invoices_of(engine, SMALL)[unpaid] == "paid"


@pytest.mark.parametrize("total_off_by", [1, 0], ids=["not whole", "broken off"])
def test_tables_that_a_failed_sync_has_written_are_shown_as_failed_and_not_as_checked(
    sync: Sync, instance: dg.DagsterInstance, world: World, sandbox: SandboxServer, engine: Engine, total_off_by: int
) -> None:
    assert sync(LARGE).status == "success"
    assert newest_result(instance) == AssetCheckExecutionRecordStatus.SUCCEEDED
    company = world.company(LARGE)
    created = company.create(type="invoice")["id"]
    sandbox.faults.quirks = Quirks(total_off_by=total_off_by)
    if not total_off_by:
        sandbox.faults.add(Fault(kind="status", status=422, page=2, listing="all", times=None))
    assert sync(LARGE, full=True).status == "failed"
    assert created in invoices_of(engine, LARGE)
    for asset in (INVOICES, INVOICE_ITEMS):
        found = instance.get_status_by_partition(asset, [LARGE], companies_partitions)
        assert found == {LARGE: AssetPartitionStatus.FAILED}, asset
    assert newest_result(instance) == AssetCheckExecutionRecordStatus.PLANNED  # and never answered
    with engine.connect() as connection:
        health = read_health(connection, instance, load_settings(), datetime.now(UTC))
    assert {one.company.key: one.color for one in health}[LARGE] == "red"


def newest_result(instance: dg.DagsterInstance) -> AssetCheckExecutionRecordStatus:
    """What the newest record of a check of the tables says."""
    key = dg.AssetCheckKey(INVOICES, "one_row_per_document")
    (found,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return found.status


def test_what_was_read_before_a_page_that_always_fails_is_in_the_tables(
    sync: Sync, sandbox: SandboxServer, engine: Engine
) -> None:
    sandbox.faults.add(Fault(kind="status", status=422, page=2, listing="all", times=None))
    assert sync(LARGE).status == "failed"
    assert len(invoices_of(engine, LARGE)) == 100


def test_an_accepted_difference_makes_a_company_whole(sync: Sync, sandbox: SandboxServer) -> None:
    sandbox.faults.quirks = Quirks(total_off_by=1)
    assert sync(SMALL).status == "failed"
    assert sync(SMALL, full=True, accept_difference=1).status == "success"
    assert sync(SMALL).mode == "incremental"


def test_no_run_can_be_configured_to_send_a_key_elsewhere(defs: dg.Definitions) -> None:
    resource = (defs.resources or {})["billingo"]
    assert isinstance(resource, BillingoResource)
    assert resource.model_dump() == {}


def test_a_document_that_was_repaired_is_no_error_in_the_same_run(sync: Sync, world: World) -> None:
    company = world.company(SMALL)
    document = company.documents()[0]
    company.change(document["id"], gross_total="abc")
    sync(SMALL)
    company.change(document["id"], gross_total=document["gross_total"])
    outcome = sync(SMALL)
    assert (outcome.status, outcome.skipped, outcome.errors) == ("success", 0, ())


def test_a_company_whose_tax_code_nobody_knows_is_synced_with_a_warning(
    sync: Sync, engine: Engine, world: World
) -> None:
    with engine.begin() as connection:
        connection.execute(update(companies_table).values(tax_code=None))
    world.company(SMALL).tax_code = ""
    outcome = sync(SMALL)
    assert (outcome.status, outcome.errors) == ("partial", ())
    (warning,) = outcome.warnings
    assert warning.startswith("tax_code_matches: Billingo returns no tax code")


def test_a_tax_code_with_other_last_digits_is_told_once_and_green(sync: Sync, world: World) -> None:
    company = world.company(SMALL)
    company.tax_code = f"{company.tax_code[:8]}-1-07"
    first, second = sync(SMALL), sync(SMALL)
    assert (first.status, second.status) == ("success", "success")
    (warning,) = first.warnings
    assert f"is now {company.tax_code}" in warning
    assert second.warnings == ()


@pytest.fixture
def revoked(companies: dict[str, Company], world: World) -> None:
    """Billingo no longer knows the small company's key."""
    world.company(SMALL).replace_api_key("00000000-0000-4000-8000-000000000000")


def test_a_failure_is_an_outcome_that_says_what_to_do(revoked: None, sync: Sync) -> None:
    outcome = sync(SMALL)
    (fault,) = outcome.errors
    assert outcome.status == "failed"
    assert "billingo-assets company set-key" in fault.error
    assert not any(word in fault.error for word in WORDLESS)


def test_a_failure_in_the_runs_log_has_words_and_no_traceback(
    revoked: None, sync: Sync, instance: dg.DagsterInstance
) -> None:
    outcome = sync(SMALL)
    (event,) = [
        entry.dagster_event
        for entry in instance.all_logs(outcome.run_id)
        if entry.dagster_event and entry.dagster_event.is_step_failure
    ]
    failure = event.step_failure_data
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description == outcome.errors[0].error
    for error in (failure.error, _failure_of_run(instance, outcome.run_id)):
        assert error is not None
        assert (error.message.strip(), error.stack, error.cause) == (outcome.errors[0].error, [], None)


def _failure_of_run(instance: dg.DagsterInstance, run_id: str) -> SerializableErrorInfo | None:
    """What the run's last failure tells, which the UI shows at the end of its log."""
    (record,) = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    event = record.event_log_entry.dagster_event
    assert event is not None
    data = event.job_failure_data
    return data.first_step_failure_event.step_failure_data.error if data.first_step_failure_event else data.error


def test_the_failure_of_one_company_leaves_the_next_unharmed(revoked: None, sync: Sync) -> None:
    assert [sync(SMALL).status, sync(LARGE).status] == ["failed", "success"]


def test_a_run_that_is_interrupted_before_its_first_step_ends_the_command_and_is_told_in_words(
    instance: dg.DagsterInstance, companies: dict[str, Company]
) -> None:
    @dg.resource
    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    job = build_defs(resource_overrides={"progress": interrupted}).resolve_job_def(SYNC_COMPANY)
    with pytest.raises(KeyboardInterrupt):
        runs.sync(companies[SMALL], job=job, instance=instance)
    (past,) = past_outcomes(instance, companies)
    assert (past.outcome.status, [fault.error for fault in past.outcome.errors]) == ("failed", [INTERRUPTED])


def test_a_company_that_is_being_synced_elsewhere_fails_in_words(
    sync: Sync, engine: Engine, companies: dict[str, Company], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_LOCK_WAIT_SECONDS", "0")
    load_settings.cache_clear()
    with (
        engine.connect() as other,
        company_lock(other, companies[SMALL].id, company=SMALL, by="run of-another", wait_seconds=0),
    ):
        outcome = sync(SMALL)
    assert outcome.status == "failed"
    assert outcome.errors[0].error.startswith(f"{SMALL} is in use by run of-another.")


def test_a_run_keeps_its_company_between_its_steps_from_who_waits_for_it(
    sync: Sync, engine: Engine, companies: dict[str, Company], sandbox: SandboxServer
) -> None:
    company = companies[SMALL]
    found: list[int] = []

    def take_over() -> None:
        with engine.connect() as other, company_lock(other, company.id, company=SMALL, by="run next", wait_seconds=60):
            found.append(count_rows(other, DOCUMENTS, company.id)["invoices"])

    waiter = threading.Thread(target=take_over)

    def begin_to_wait() -> None:
        waiter.start()
        query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :id AND NOT granted")
        with engine.connect() as connection:
            while not connection.scalar(query, {"id": company.id}):
                pass

    sandbox.faults.after_page(1, begin_to_wait, company=SMALL)
    outcome = sync(SMALL)
    waiter.join()
    assert (outcome.status, found) == ("success", [outcome.processed])


def _end_every_session(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


@pytest.fixture
def database_refuses(engine: Engine) -> None:
    """No document can be stored."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE billingo.raw_invoices ADD CONSTRAINT full_up CHECK (false) NOT VALID"))


def test_what_a_database_refuses_is_told_in_words_and_not_tried_again(
    database_refuses: None, sync: Sync, instance: dg.DagsterInstance
) -> None:
    outcome = sync(SMALL)
    (fault,) = outcome.errors
    assert fault.error.startswith("PostgreSQL refused: new row for relation")
    assert not any(word in fault.error for word in WORDLESS)
    run = instance.get_run_by_id(outcome.run_id)
    assert run is not None
    assert run.tags[RETRY_TAG] == "false"


@pytest.fixture
def database_restarts_while_reading(sandbox: SandboxServer, engine: Engine) -> None:
    """Every session ends while the first page of the small company is being sent, as when the server restarts."""
    sandbox.faults.after_page(1, lambda: _end_every_session(engine), company=SMALL)


def test_a_database_that_restarts_amid_a_run_is_an_outcome_in_words(
    database_restarts_while_reading: None, sync: Sync
) -> None:
    outcome = sync(SMALL)
    assert outcome.status == "failed"
    (fault,) = outcome.errors
    assert fault.error.startswith("The database at ")
    assert "terminating connection" in fault.error


def test_a_run_that_broke_off_is_not_shown_as_going_on(
    database_restarts_while_reading: None, sync: Sync, instance: dg.DagsterInstance
) -> None:
    run = instance.get_run_by_id(sync(SMALL).run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE


def test_a_company_is_synced_after_the_run_before_it_broke_off(
    database_restarts_while_reading: None, sync: Sync
) -> None:
    assert [sync(SMALL).status, sync(LARGE).status] == ["failed", "success"]
