"""The asset `billingo/raw_invoices`: every document of a company, as Billingo sent it."""

from collections.abc import Iterator

import dagster as dg

from billingo_assets.assets.describing import GROUP, OWNERS, RAW_INVOICES, failing_in_words, table_metadata
from billingo_assets.checks.raw_invoices import tax_code_matches, tax_code_result
from billingo_assets.partitions import companies_partitions
from billingo_assets.resources import BillingoResource, ProgressLog, WarehouseResource
from billingo_assets.warehouse import tables


@dg.asset(
    key=RAW_INVOICES,
    partitions_def=companies_partitions,
    check_specs=[tax_code_matches],
    group_name=GROUP,
    kinds={"api", "postgres"},
    owners=OWNERS,
    metadata=table_metadata(tables.raw_invoices),
)
def raw_invoices(
    context: dg.AssetExecutionContext,
    billingo: BillingoResource,
    warehouse: WarehouseResource,
    progress: dg.ResourceParam[ProgressLog],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Every document of the company as Billingo sent it, with a hash of its content.

    A document that is unchanged is not written; one that is gone keeps its row and gets `deleted_at`; one that
    cannot be stored goes to `rejected_documents`.
    """
    # What a run needs and a code server does not is loaded here, so that loading the definitions stays quick.
    from billingo_assets.billingo.errors import IdentityMismatchError
    from billingo_assets.sync.engine import CompanySync

    key = context.partition_key
    with failing_in_words():
        try:
            with (
                warehouse.locked_company(key, run_id=context.run.run_id) as work,
                billingo.client(work.company, work.api_key) as client,
            ):
                on_page = progress.listener(key, context.log.info)
                report = CompanySync(client, work.connection, work.company, context.run.run_id, on_page).run()
        except IdentityMismatchError as mismatch:
            yield tax_code_result(expected=mismatch.expected, found=mismatch.found)
            raise
    yield dg.MaterializeResult(metadata=report.counts())
    yield tax_code_result(expected=work.company.tax_code, found=report.tax_code)
    with failing_in_words():
        report.require_settled(key)
