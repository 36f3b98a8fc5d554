"""What loading the code location does and leaves undone, and what it contains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from sqlalchemy import URL, create_engine, inspect

from billingo_assets.checks import CHECKS as REGISTERED
from billingo_assets.dagster_support.resources import BillingoResource
from billingo_assets.definitions import build_defs
from billingo_assets.names import INVOICE_ITEMS, INVOICES, RAW_INVOICES
from billingo_assets.project import project_root
from billingo_assets_tests.support.dagster_runs import CHECKS

HEAVY = (
    "pandas",
    "numpy",
    "apprise",
    "httpx",
    "tenacity",
    "cryptography",
    "alembic",
    "psycopg",
    "psycopg2",
    "starlette",
)

PROBE = """
import json, sys, warnings
import dagster as dg

home, loaded_before, touched, warned = sys.argv[1], set(sys.modules), [], []

def audit(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        touched.append([event, str(args[-1])])
    elif event in ("open", "os.mkdir", "os.listdir", "os.symlink") and str(args[0]).startswith(home):
        touched.append([event, str(args[0])])

def note(message, category, filename, *_):
    warned.append([category.__name__, filename, str(message)])

warnings.simplefilter("always")
warnings.showwarning = note
sys.addaudithook(audit)
import billingo_assets.definitions
repository = billingo_assets.definitions.defs().get_repository_def()
json.dump(
    {
        "assets": sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()),
        "loaded": sorted(set(sys.modules) - loaded_before),
        "touched": touched,
        "warned": warned,
    },
    sys.stdout,
)
"""
"""Loads the code location as a code server does, in a process of its own, and tells what that did.

What importing Dagster itself does is not ours to judge, hence its import before the watch begins.
"""


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What loading did, where neither the database nor the API can be reached."""
    home = tmp_path_factory.mktemp("loading") / "home"
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("BILLINGO_", "DAGSTER_"))}
    settings = {
        "BILLINGO_HOME": str(home),
        "BILLINGO_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
        "BILLINGO_API_URL": "http://127.0.0.1:1/v3",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(home)], env=outside | settings, capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told | {"home_exists": home.exists()}


def test_the_code_location_loads_where_nothing_can_be_reached(loading: dict[str, Any]) -> None:
    assert loading["assets"] == [
        "billingo/invoice_items",
        "billingo/invoices",
        "billingo/raw_invoices",
        "billingo/sync_health",
    ]


def test_loading_touches_neither_network_nor_home(loading: dict[str, Any]) -> None:
    assert (loading["touched"], loading["home_exists"]) == ([], False)


@pytest.mark.parametrize("library", HEAVY)
def test_loading_imports_nothing_that_only_a_run_needs(loading: dict[str, Any], library: str) -> None:
    assert library not in {name.partition(".")[0] for name in loading["loaded"]}


def test_loading_warns_of_nothing_that_we_cause(loading: dict[str, Any]) -> None:
    """Ours is what is attributed to our files, and what Dagster says of its preview, beta and superseded APIs."""
    dagsters = {"PreviewWarning", "BetaWarning", "SupersessionWarning"}
    ours = [
        (category, filename, message)
        for category, filename, message in loading["warned"]
        if category in dagsters or Path(filename).is_relative_to(project_root() / "billingo_assets")
    ]
    assert ours == []


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions) -> Any:
    return defs.resolve_asset_graph()


SPECS = {
    RAW_INVOICES: ({"api", "postgres"}, set()),
    INVOICES: ({"python", "postgres"}, {RAW_INVOICES}),
    INVOICE_ITEMS: ({"python", "postgres"}, {RAW_INVOICES}),
}


@pytest.mark.parametrize("key", SPECS, ids=str)
def test_an_asset_shows_its_kinds_and_what_it_is_made_from(graph: Any, key: dg.AssetKey) -> None:
    node = graph.get(key)
    assert (set(node.kinds), set(node.parent_keys)) == SPECS[key]


@pytest.mark.parametrize("key", SPECS, ids=str)
def test_an_asset_is_in_the_group_of_the_project_and_has_owner_and_description(graph: Any, key: dg.AssetKey) -> None:
    node = graph.get(key)
    assert (node.group_name, list(node.owners), bool(node.description)) == ("billingo", ["team:finance"], True)


@pytest.mark.parametrize("key", SPECS, ids=str)
def test_a_partition_of_an_asset_is_a_company(graph: Any, key: dg.AssetKey) -> None:
    assert graph.get(key).partitions_def == dg.DynamicPartitionsDefinition(name="companies")


@pytest.mark.parametrize("key", SPECS, ids=str)
def test_the_columns_that_the_ui_shows_are_those_of_the_table(graph: Any, key: dg.AssetKey, database: URL) -> None:
    metadata = graph.get(key).metadata
    shown = {
        column.name: (column.constraints.nullable, column.description)
        for column in metadata["dagster/column_schema"].columns
    }
    schema, table = metadata["dagster/table_name"].split(".")
    engine = create_engine(database.set(drivername="postgresql+psycopg"))
    columns = inspect(engine).get_columns(table, schema=schema)
    engine.dispose()
    assert shown == {column["name"]: (column["nullable"], column["comment"]) for column in columns}


def test_there_are_exactly_these_checks(graph: Any) -> None:
    assert {key.name: key.asset_key for key in graph.asset_check_keys} == CHECKS


def test_only_the_checks_without_which_the_tables_would_be_wrong_block_them(graph: Any) -> None:
    blocking = {key.name for key in graph.asset_check_keys if graph.get(key).blocking}
    assert blocking == {"api_total_matches", "tax_code_matches"}


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_has_one_result_a_company_and_says_what_it_checks(graph: Any, name: str) -> None:
    node = graph.get(dg.AssetCheckKey(CHECKS[name], name))
    assert node.partitions_def == dg.DynamicPartitionsDefinition(name="companies")
    assert (node.description or "").endswith(f"\n\nA failure ends with {REGISTERED[name].cleared_by}.")


def test_the_job_takes_every_asset_and_check(job: dg.JobDefinition) -> None:
    layer = job.asset_layer
    assert job.name == "sync_company"
    assert set(layer.executable_asset_keys) == set(SPECS)
    assert {key.name for key in layer.asset_graph.asset_check_keys} == set(CHECKS)


def test_the_resources_have_the_names_that_others_rely_on(defs: dg.Definitions) -> None:
    assert {"billingo", "warehouse"} <= set(defs.resources or {})


def test_the_steps_of_a_run_share_its_process(defs: dg.Definitions, job: dg.JobDefinition) -> None:
    implicit = defs.resolve_implicit_global_asset_job_def()
    assert job.executor_def is implicit.executor_def is dg.in_process_executor


def test_a_resource_can_be_replaced() -> None:
    other = BillingoResource()
    assert (build_defs(resource_overrides={"billingo": other}).resources or {})["billingo"] is other


def test_the_workspace_names_the_code_location_as_the_project_does() -> None:
    (location,) = yaml.safe_load((project_root() / "workspace.yaml").read_text())["load_from"]
    assert location["python_module"]["module_name"] == "billingo_assets.definitions"
    assert location["python_module"]["location_name"] == "billingo_assets"
