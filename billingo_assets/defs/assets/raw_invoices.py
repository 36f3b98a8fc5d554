"""The asset `billingo/raw_invoices`: every document of a company, as Billingo sent it."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from billingo_assets.dagster_support.failures import company_of, failing_in_words, name_company, refuse
from billingo_assets.dagster_support.resources import BillingoResource, ProgressLog, WarehouseResource
from billingo_assets.defs.assets.metadata import OWNERS, table_metadata
from billingo_assets.defs.checks.raw_invoices import tax_code_matches, tax_code_result
from billingo_assets.defs.partitions import companies_partitions
from billingo_assets.names import GROUP, RAW_INVOICES
from billingo_assets.warehouse import tables


class SyncConfig(dg.Config):
    """How to sync this time."""

    full: bool = Field(default=False, description="Read every document, although what is new or changed would do.")
    accept_empty: bool = Field(
        default=False, description="Believe an API that shows no document at all, where there were some."
    )
    accept_difference: int | None = Field(
        default=None,
        description="From now on, sync in spite of Billingo counting so many documents more than its pages show.",
    )


@dg.asset(
    key=RAW_INVOICES,
    partitions_def=companies_partitions,
    check_specs=[tax_code_matches],
    output_required=False,
    group_name=GROUP,
    kinds={"api", "postgres"},
    owners=OWNERS,
    metadata=table_metadata(tables.raw_invoices),
)
def raw_invoices(
    context: dg.AssetExecutionContext,
    config: SyncConfig,
    billingo: BillingoResource,
    warehouse: WarehouseResource,
    progress: dg.ResourceParam[ProgressLog],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult | dg.Output[None]]:
    """Every document of the company as Billingo sent it, with a hash of its content.

    A document that is unchanged is not written; of one that changed, the former content goes to
    `raw_invoice_versions`; one that is gone keeps its row and gets `deleted_at`; one that cannot be stored goes to
    `rejected_documents`. After a first full sync, what is new or changed is read; whenever Billingo's count then
    differs from ours, everything is. Of a company that is not to be synced, nothing is read or made.
    """
    # What a run needs and a code server does not is loaded here, so that loading the definitions stays quick.
    from billingo_assets.billingo.errors import IdentityMismatchError
    from billingo_assets.errors import BillingoAssetsError, NotToBeSyncedError
    from billingo_assets.run_history.runs import is_of_command, trigger_of
    from billingo_assets.sync.engine import CompanySync, SyncOptions
    from billingo_assets.sync.refresh import refresh_tables

    with failing_in_words(context):
        key = company_of(context)
        try:
            with (
                warehouse.locked_company(
                    key, run_id=context.run.run_id, disabled_too=is_of_command(context.run)
                ) as work,
                billingo.client(work.company, work.api_key) as client,
            ):
                name_company(context, work.company.name)
                on_page = progress.listener(key, context.log.info)
                options = SyncOptions(
                    full=config.full,
                    accept_empty=config.accept_empty,
                    accept_difference=config.accept_difference,
                    asked_by=f"run {context.run.run_id} ({trigger_of(context.run)})",
                    lookback=work.lookback,
                    max_document_bytes=work.max_document_bytes,
                )
                sync = CompanySync(client, work.connection, work.company, context.run.run_id, on_page, options)
                try:
                    report = sync.run()
                except BillingoAssetsError as error:
                    if error.counts.get("processed"):
                        refresh_tables(work.connection, work.company.id)
                    raise
                # The run ends here or at a blocking check: what was read is to be in the tables all the same.
                if not report.is_balanced:
                    refresh_tables(work.connection, work.company.id)
        except IdentityMismatchError as mismatch:
            yield tax_code_result(expected=mismatch.expected, found=mismatch.found)
            raise
        except NotToBeSyncedError as refused:
            refuse(context, refused)
            yield dg.Output(None, output_name=tax_code_matches.get_python_identifier())  # no answer, which is allowed
            return
    if report.reason:
        context.log.info(f"{key}: every document was read: {report.reason}")
    for note in report.notes:
        context.log.warning(f"{key}: {note}")
    yield dg.MaterializeResult(metadata={"company": work.company.name, **report.counts()})
    yield tax_code_result(expected=work.company.tax_code, found=report.tax_code)
    with failing_in_words(context):
        report.require_settled(key)
