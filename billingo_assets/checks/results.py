"""How a check is declared for each company, and how its answer is shown."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from billingo_assets.partitions import companies_partitions
from billingo_assets.warehouse.reconciliation import Reconciliation


@contextmanager
def _with_partitioned_checks() -> Iterator[None]:
    """Checks with partitions are marked as a preview; without them one company's pass would hide another's failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        yield


def company_check_spec(name: str, asset: dg.AssetKey, *, description: str, blocking: bool) -> dg.AssetCheckSpec:
    """Declare a check, one result a company, that an asset yields itself."""
    with _with_partitioned_checks():
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=companies_partitions
        )


def company_check(
    asset: dg.AssetKey, *, blocking: bool = False, after: Sequence[dg.AssetKey] = ()
) -> Callable[[Callable[..., dg.AssetCheckResult]], dg.AssetChecksDefinition]:
    """Declare a check, one result a company, that runs after its asset (and those of `after`) or by itself."""

    def declare(check: Callable[..., dg.AssetCheckResult]) -> dg.AssetChecksDefinition:
        with _with_partitioned_checks():
            return dg.asset_check(
                asset=asset, blocking=blocking, additional_deps=after, partitions_def=companies_partitions
            )(check)

    return declare


def check_result(
    answer: Reconciliation, *, severity: dg.AssetCheckSeverity, description: str, **metadata: Any
) -> dg.AssetCheckResult:
    """Show a reconciliation: expected, found, difference, and the documents at fault as a table."""
    shown: dict[str, Any] = {
        "expected": answer.expected,
        "found": answer.found,
        "difference": answer.difference,
        **metadata,
    }
    if answer.at_fault:
        shown["at_fault"] = _table(answer.at_fault)
    return dg.AssetCheckResult(passed=answer.holds, severity=severity, description=description, metadata=shown)


def _table(rows: Sequence[dict[str, str]]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])
