"""The assets of each stream: its records as Billingo sent them, and the tables made from them.

One step makes all tables of a stream, in one transaction: a record and its parts change together or not at all.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from billingo_assets.dagster_support.failures import company_of, failing_in_words, name_company, refuse
from billingo_assets.dagster_support.resources import BillingoResource, ProgressLog, WarehouseResource
from billingo_assets.defs.assets.metadata import OWNERS, table_metadata
from billingo_assets.defs.checks.raw_invoices import tax_code_matches, tax_code_result
from billingo_assets.defs.partitions import companies_partitions
from billingo_assets.names import GROUP, raw_asset_key, table_asset_key
from billingo_assets.settings import load_settings
from billingo_assets.streams import DOCUMENTS, STREAMS, Stream
from billingo_assets.streams.stream import NormalizedTable
from billingo_assets.warehouse.schema import SCHEMA
from billingo_assets.warehouse.tables import metadata


class SyncConfig(dg.Config):
    """The configuration of this sync."""

    full: bool = Field(default=False, description="Read every document, even if new and changed ones would be enough.")
    accept_empty: bool = Field(
        default=False, description="Accept that the API shows no document although there were some."
    )
    accept_difference: int | None = Field(
        default=None,
        description="From now on, sync although Billingo counts this many documents more than its pages show.",
    )


def raw_asset(stream: Stream) -> dg.AssetsDefinition:
    """Make the asset of a stream's records as sent. It checks the company of the API key before it reads a record.

    The asset of documents shows the result of that check; for any other stream, a mismatch is its error.
    """
    is_first = stream is DOCUMENTS

    @dg.asset(
        key=raw_asset_key(stream),
        description=stream.about,
        partitions_def=companies_partitions,
        check_specs=[tax_code_matches] if is_first else [],
        output_required=False,
        group_name=GROUP,
        kinds={"api", "postgres"},
        owners=OWNERS,
        metadata=table_metadata(metadata.tables[f"{SCHEMA}.{stream.raw}"]),
    )
    def raw_records(
        context: dg.AssetExecutionContext,
        config: SyncConfig,
        billingo: BillingoResource,
        warehouse: WarehouseResource,
        progress: dg.ResourceParam[ProgressLog],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult | dg.Output[None]]:
        # Imported here because only a run needs it: a code server loads the definitions quickly.
        from billingo_assets.billingo.errors import IdentityMismatchError
        from billingo_assets.errors import BillingoAssetsError, NotToBeSyncedError
        from billingo_assets.run_history.runs import is_of_command, trigger_of
        from billingo_assets.sync.context import SyncContext
        from billingo_assets.sync.engine import sync_company
        from billingo_assets.sync.refresh import refresh_tables

        with failing_in_words(context):
            key = company_of(context)
            settings = load_settings()
            try:
                with (
                    warehouse.locked_company(
                        key, run_id=context.run.run_id, disabled_too=is_of_command(context.run)
                    ) as work,
                    billingo.client(work.company, work.api_key) as client,
                ):
                    name_company(context, work.company.name)
                    sync = SyncContext(
                        client=client,
                        connection=work.connection,
                        stream=stream,
                        company=work.company,
                        run_id=context.run.run_id,
                        on_page=progress.listener(key, context.log.info),
                        full=config.full,
                        accept_empty=config.accept_empty,
                        accept_difference=config.accept_difference,
                        asked_by=f"run {context.run.run_id} ({trigger_of(context.run)})",
                        lookback=settings.lookback,
                        max_record_bytes=settings.max_document_bytes,
                    )
                    try:
                        report = sync_company(sync)
                    except BillingoAssetsError as error:
                        if error.counts.get("processed"):
                            refresh_tables(work.connection, stream, work.company.id)
                        raise
                    # The run ends here or at a blocking check: first bring the tables up to date with the records read.
                    if not report.is_balanced:
                        refresh_tables(work.connection, stream, work.company.id)
            except IdentityMismatchError as mismatch:
                if is_first:
                    yield tax_code_result(expected=mismatch.expected, found=mismatch.found)
                raise
            except NotToBeSyncedError as refused:
                refuse(context, refused)
                if is_first:
                    yield dg.Output(None, output_name=tax_code_matches.get_python_identifier())  # no result: allowed
                return
        if report.reason:
            context.log.info(f"{key}: every {stream.noun} was read: {report.reason}")
        for note in report.notes:
            context.log.warning(f"{key}: {note}")
        yield dg.MaterializeResult(metadata={"company": work.company.name, **report.counts()})
        if is_first:
            yield tax_code_result(expected=work.company.tax_code, found=report.tax_code)
        with failing_in_words(context):
            report.require_settled(key)

    return raw_records


def table_assets(stream: Stream) -> dg.AssetsDefinition:
    """Make the assets of the tables that are normalized from a stream's records, in one step."""

    @dg.multi_asset(
        name=f"normalized_{stream.table.name}",
        specs=[_table_spec(stream, table) for table in stream.tables if table.asset],
        partitions_def=companies_partitions,
    )
    def normalized(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult[None]]:
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
                    report = refresh_tables(work.connection, stream, work.company.id)
                    rows = count_rows(work.connection, stream, work.company.id)
            except NotToBeSyncedError as refused:
                refuse(context, refused)
                return
        context.log.info(
            f"{work.company.key}: {report.records:,} {stream.name} normalized, {report.rejected:,} rejected,"
            f" {report.deleted:,} deleted"
        )
        did: dict[str, int] = {"normalized": report.records, "rejected": report.rejected, "deleted": report.deleted}
        others = {table.name: rows[table.name] for table in stream.details if not table.asset}
        for table in stream.tables:
            if table.asset:
                shown = did if table is stream.table else {"written": report.items, **others}
                yield dg.MaterializeResult(
                    asset_key=table_asset_key(table),
                    metadata={
                        "company": work.company.name,
                        "dagster/partition_row_count": rows[table.name],
                        **shown,
                    },
                )

    return normalized


def _table_spec(stream: Stream, table: NormalizedTable) -> dg.AssetSpec:
    return dg.AssetSpec(
        table_asset_key(table),
        deps=[raw_asset_key(stream)],
        description=table.asset,
        group_name=GROUP,
        kinds={"python", "postgres"},
        owners=OWNERS,
        metadata=table_metadata(metadata.tables[f"{SCHEMA}.{table.name}"]),
        skippable=True,
    )


raw_assets = [raw_asset(stream) for stream in STREAMS]
normalized_assets = [table_assets(stream) for stream in STREAMS]
