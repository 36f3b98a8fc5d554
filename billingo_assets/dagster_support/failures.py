"""Ends a step that cannot do its work: in words, and with a retry only if the cause may pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from billingo_assets.errors import BillingoAssetsError, ConfigurationError, NotToBeSyncedError
from billingo_assets.names import COMPANY_TAG, NOT_REFUSED, REFUSED_TAG, RETRY_TAG


def do_not_retry(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> None:
    """Keep Dagster from retrying this run if it fails."""
    context.instance.add_run_tags(context.run.run_id, {RETRY_TAG: "false"})


def company_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> str:
    """Return the key of the company that a run is for.

    Raises:
        ConfigurationError: it names none.
    """
    if not context.has_partition_key:
        raise ConfigurationError(
            "The run names no company. Choose a partition in the UI; on the command line pass"
            """ --partition KEY, or --tags '{"dagster/partition": "KEY"}' where there is no such option."""
        )
    return str(context.partition_key)


def name_company(context: dg.AssetExecutionContext, name: str) -> None:
    """Show on the run which company it is for. A run that is launched again may still be marked as refused."""
    again = {REFUSED_TAG: NOT_REFUSED} if REFUSED_TAG in context.run.tags else {}
    context.instance.add_run_tags(context.run.run_id, {COMPANY_TAG: name, **again})


def refuse(context: dg.AssetExecutionContext, refused: NotToBeSyncedError) -> None:
    """Record why the run does nothing. This is not a failure, which would leave the asset red."""
    context.log.warning(str(refused))
    context.instance.add_run_tags(context.run.run_id, {REFUSED_TAG: refused.reason})


@contextmanager
def failing_in_words(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[None]:
    """Turn a foreseeable error into a Dagster failure in the same words, without a traceback.

    Only a transient error is retried, by the step and by the run.
    """
    try:
        yield
    except BillingoAssetsError as error:
        transient = getattr(error, "transient", False)
        if not transient:
            do_not_retry(context)
        raise dg.Failure(
            description=str(error),
            metadata={"error": type(error).__name__, **error.counts},
            allow_retries=transient,
        ) from None
