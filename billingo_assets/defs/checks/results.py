"""Declares checks with a result for each company, runs them, and shows their results."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from sqlalchemy import Connection

from billingo_assets.checks import CHECKS, Check
from billingo_assets.dagster_support.failures import company_of, do_not_retry, failing_in_words
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.partitions import companies_partitions
from billingo_assets.errors import BillingoAssetsError
from billingo_assets.names import COMPANIES
from billingo_assets.run_history.runs import companies_of_run, only_executes_checks
from billingo_assets.warehouse.reconciliation import Reconciliation

MAX_NAMED = 3
"""The most records that a check's description names; its table has more."""
MAX_LISTED = 50
"""The most rejected records, or gaps, that a table names."""


class Question(NamedTuple):
    """The subject of a check: `company`, within the run `run_id`."""

    check: Check
    company: str
    run_id: str


Answer = Callable[..., dg.AssetCheckResult]
"""The function of a check. Its further parameters name the resources that it needs, `warehouse` among them."""


@contextmanager
def _with_partitioned_checks() -> Iterator[None]:
    """Partition a check. That is a preview in Dagster; without it, one company's pass would hide another's failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        yield


def company_check_spec(check: Check, *, description: str) -> dg.AssetCheckSpec:
    """Declare a check that an asset yields itself."""
    with _with_partitioned_checks():
        return dg.AssetCheckSpec(
            check.name,
            asset=check.asset,
            description=_description(check, description),
            blocking=check.blocking,
            partitions_def=companies_partitions,
        )


def _description(check: Check, words: str) -> str:
    """Describe a check in the UI: what it compares, and what ends a failure."""
    return f"{words}\n\nA failure ends with {check.cleared_by}."


def company_check(
    check: Check | None = None, *, after: Sequence[dg.AssetKey] = ()
) -> Callable[[Answer], dg.AssetChecksDefinition]:
    """Declare a check of the registry: the given one, or the one that has the function's name.

    Within a sync it runs after its asset (and those in `after`), for the company that is synced. In a run of only
    checks it runs for each company of the run, or for every enabled one if the run names none, as with "Execute all"
    in the UI.

    Raises:
        KeyError: the check is not in the registry, so nobody would hear of its failures.
    """

    def declare(answer: Answer) -> dg.AssetChecksDefinition:
        registered = CHECKS[check.name if check else answer.__name__]

        @functools.wraps(answer)
        def execute(context: dg.AssetCheckExecutionContext, **resources: Any) -> Any:
            if only_executes_checks(context.run):
                return _answer_for_each(registered, answer, context, resources)
            with failing_in_words(context):
                return answer(Question(registered, company_of(context), context.run.run_id), **resources)

        # Dagster reads the resources to pass from the signature.
        _, *needed = inspect.signature(answer).parameters.values()
        asked = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        execute.__signature__ = inspect.Signature([asked, *needed])  # type: ignore[attr-defined]
        with _with_partitioned_checks():
            return dg.asset_check(
                name=registered.name,
                asset=registered.asset,
                description=_description(registered, inspect.getdoc(answer) or ""),
                blocking=registered.blocking,
                additional_deps=after,
                partitions_def=companies_partitions,
            )(execute)

    return declare


def _answer_for_each(
    check: Check, answer: Answer, context: dg.AssetCheckExecutionContext, resources: dict[str, Any]
) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
    """Record a result for each company. Nothing depends on this run, so no result blocks and nothing is retried.

    Raises:
        dg.Failure: some companies could not be asked; the others have their results.
    """
    do_not_retry(context)
    with failing_in_words(context):
        named = companies_of_run(context.run, context.instance)
        keys = named or _enabled_companies(resources["warehouse"], context.instance)
    failures: list[dg.AssetCheckEvaluation] = []
    errors = []
    for key in keys:
        try:
            result = answer(Question(check, key, context.run.run_id), **resources)
        except BillingoAssetsError as error:
            errors.append(f"{key}: {error}")
            continue
        evaluation = dg.AssetCheckEvaluation(
            asset_key=check.asset,
            check_name=check.name,
            partition=key,
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata={"company": key, **(result.metadata or {})},  # the run's log names no partition
            target_materialization_data=_newest_materialization(context.instance, check.asset, key),
        )
        if result.passed:
            yield evaluation
        else:
            failures.append(evaluation)
    yield from failures  # at the end: the page of a check shows the last result
    if errors:
        words = "\n".join(errors)
        raise dg.Failure(f"{len(errors):,} of {len(keys):,} companies could not be checked.\n{words}")
    if not named:
        passed = len(keys) - len(failures)
        yield dg.AssetCheckEvaluation(
            asset_key=check.asset,
            check_name=check.name,
            passed=passed == len(keys),
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{passed:,} of {len(keys):,} companies pass. The result of each is in its partition.",
            metadata={"passed": f"{passed:,} of {len(keys):,} companies"},
        )
    yield dg.Output(None)


def _enabled_companies(warehouse: WarehouseResource, instance: dg.DagsterInstance) -> list[str]:
    from billingo_assets.companies.registry import list_companies

    partitions = set(instance.get_dynamic_partitions(COMPANIES))
    with warehouse.connect() as connection:
        return [company.key for company in list_companies(connection, enabled_only=True) if company.key in partitions]


def _newest_materialization(
    instance: dg.DagsterInstance, asset: dg.AssetKey, key: str
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """The newest materialization, by which the UI judges whether a result is current."""
    found = instance.fetch_materializations(dg.AssetRecordsFilter(asset, asset_partitions=[key]), limit=1).records
    if not found:
        return None
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=found[0].storage_id, run_id=found[0].run_id, timestamp=found[0].timestamp
    )


def check_result(
    question: Question, answer: Reconciliation, *, description: str, **metadata: Any
) -> dg.AssetCheckResult:
    """Show a reconciliation: expected, found, difference, and the documents at fault as a table.

    The numbers are texts: Dagster would join those of all companies by one line in a plot.
    """
    numbers = {"expected": answer.expected, "found": answer.found, "difference": answer.difference}
    shown: dict[str, Any] = {
        name: f"{value:,}" if isinstance(value, int) else value for name, value in {**numbers, **metadata}.items()
    }
    if answer.at_fault:
        shown["at_fault"] = table_of(answer.at_fault)
    return dg.AssetCheckResult(
        passed=answer.holds, severity=question.check.severity, description=description, metadata=shown
    )


def reconcile(
    question: Question, warehouse: WarehouseResource, compare: Callable[[Connection, int], Reconciliation]
) -> Reconciliation:
    """Compare the counts of the company that a check is about."""
    from billingo_assets.companies.registry import get_company

    with warehouse.connect() as connection:
        return compare(connection, get_company(connection, question.company).id)


def at_fault(answer: Reconciliation) -> str:
    """Name the worst records, for people who do not see the check's table."""
    if not answer.at_fault:
        return ""
    noun = next(iter(answer.at_fault[0]))
    ids = [row[noun] for row in answer.at_fault[:MAX_NAMED]]
    others = " and others" if len(answer.at_fault) > MAX_NAMED else ""
    return f" At fault: {noun}{'s' if len(answer.at_fault) > 1 else ''} {', '.join(ids)}{others}."


def table_of(rows: Sequence[dict[str, str]]) -> dg.TableMetadataValue:
    """Make a table for the UI from rows."""
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])
