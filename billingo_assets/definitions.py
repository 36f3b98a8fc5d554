"""The code location that `workspace.yaml` names: the definitions in `defs/`, the resources and the executor.

Loading it reads the settings, but uses neither the network nor the database.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from billingo_assets.dagster_support import errors
from billingo_assets.dagster_support.resources import BillingoResource, ProgressLog, WarehouseResource
from billingo_assets.names import SYNC_COMPANY
from billingo_assets.startup import loading


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Assemble the code location; `resource_overrides` replaces resources by key."""
    return _assemble(dg.load_from_defs_folder(path_within_project=Path(__file__).parent), resource_overrides)


def build_sync_job(*, resource_overrides: Mapping[str, object] | None = None) -> dg.JobDefinition:
    """Build only the job `sync_company`, for a process that runs nothing else.

    This skips the search for components, which takes a tenth of a second of CPU.
    """
    from billingo_assets import defs as folder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.PreviewWarning)  # it is one; Dagster is pinned to 1.13
        found = dg.load_definitions_from_package_module(folder)
    return _assemble(found, resource_overrides).resolve_job_def(SYNC_COMPANY)


def _assemble(found: dg.Definitions, resource_overrides: Mapping[str, object] | None) -> dg.Definitions:
    errors.install()
    return dg.Definitions.merge(
        found,
        dg.Definitions(
            resources={
                "billingo": BillingoResource(),
                "warehouse": WarehouseResource(),
                "progress": ProgressLog(),
                **(resource_overrides or {}),
            },
            # The steps of a run are short and sequential: a process for each would cost ten times the work.
            executor=dg.in_process_executor,
        ),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Load the code location, which stays until the process ends."""
    with loading():
        return build_defs()
