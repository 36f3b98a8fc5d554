"""The assets `billingo/invoices` and `billingo/invoice_items`: tables made from the raw documents.

One step makes both, in one transaction: an invoice and its lines change together or not at all.
"""

from collections.abc import Iterator

import dagster as dg

from billingo_assets.dagster_support.failures import company_of, failing_in_words, refuse
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.assets.metadata import OWNERS, table_metadata
from billingo_assets.defs.partitions import companies_partitions
from billingo_assets.names import GROUP, INVOICE_ITEMS, INVOICES, RAW_INVOICES
from billingo_assets.warehouse import tables

KINDS = {"python", "postgres"}


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            INVOICES,
            deps=[RAW_INVOICES],
            description=(
                "One row a document, with exact amounts and dates as dates. Its `type` tells invoices from drafts,"
                " receipts, cancellations and the rest; `deleted_at` is set when Billingo no longer has it."
            ),
            group_name=GROUP,
            kinds=KINDS,
            owners=OWNERS,
            metadata=table_metadata(tables.invoices),
            skippable=True,
        ),
        dg.AssetSpec(
            INVOICE_ITEMS,
            deps=[RAW_INVOICES],
            description="One row a line of a document that is not deleted, replaced together with its document.",
            group_name=GROUP,
            kinds=KINDS,
            owners=OWNERS,
            metadata=table_metadata(tables.invoice_items),
            skippable=True,
        ),
    ],
    partitions_def=companies_partitions,
)
def normalized_invoices(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Normalize the documents that changed since they were last normalized."""
    from billingo_assets.errors import NotToBeSyncedError
    from billingo_assets.run_history.runs import is_of_command
    from billingo_assets.sync.refresh import refresh_tables
    from billingo_assets.warehouse.normalized import count_rows

    with failing_in_words(context):
        key = company_of(context)
        try:
            with warehouse.locked_company(
                key, run_id=context.run.run_id, disabled_too=is_of_command(context.run)
            ) as work:
                report = refresh_tables(work.connection, work.company.id)
                rows = count_rows(work.connection, work.company.id)
        except NotToBeSyncedError as refused:
            refuse(context, refused)
            return
    context.log.info(
        f"{work.company.key}: {report.documents:,} documents normalized, {report.rejected:,} rejected,"
        f" {report.deleted:,} deleted"
    )
    yield dg.MaterializeResult(
        asset_key=INVOICES,
        metadata={
            "company": work.company.name,
            "dagster/partition_row_count": rows.invoices,
            "normalized": report.documents,
            "rejected": report.rejected,
            "deleted": report.deleted,
        },
    )
    yield dg.MaterializeResult(
        asset_key=INVOICE_ITEMS,
        metadata={
            "company": work.company.name,
            "dagster/partition_row_count": rows.items,
            "written": report.items,
            "related_documents": rows.related,
        },
    )
