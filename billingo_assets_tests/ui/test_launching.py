"""Runs that are launched by clicking: one company, all of them, and none where nobody may."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from sqlalchemy import URL, Engine

from billingo_assets_tests.support.dagster_runs import SMALL
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until
from billingo_assets_tests.support.services import (
    ASSETS,
    BACKFILL,
    CHECK_STATUSES,
    CODE_LOCATION,
    LAUNCH,
    PROGRAM,
    Services,
    running_services,
)
from billingo_assets_tests.ui.conftest import new_place, open_asset, open_room, watched_page

STRAY = "nobody"
"""A key that no company has, nor one that comes near it."""

PARTITIONS = """
    query { assetNodes(assetKeys: [{path: ["billingo", "raw_invoices"]}]) { partitionKeys } }
"""
RETRIES_OF = """
    query ($id: String!) { runsOrError(filter: {tags: [{key: "dagster/parent_run_id", value: $id}]}) {
        ... on Runs { results { id } } } }
"""


def launch_dialog(page: Page) -> Locator:
    """The dialog in which the companies to sync are chosen."""
    open_room(page, "Jobs")
    page.get_by_role("link", name="sync_company").first.click()
    page.get_by_role("button", name="Materialize all").click()
    return page.get_by_role("dialog").filter(has_text="Partition selection")


def follow(page: Page, told: str) -> None:
    """Click on what the UI tells of a launch, to see what was launched."""
    page.get_by_role("listitem").filter(has_text=told).get_by_role("link", name="View").click()


@pytest.fixture(scope="module")
def backfill(context: BrowserContext, services: Services) -> str:
    """The address of a backfill of every company; asked for early, since the daemon looks every 30 seconds only."""
    for company in services.place.world.companies:
        company.create()
    with watched_page(context, services) as page:
        dialog = launch_dialog(page)
        dialog.get_by_role("button", name="All", exact=True).click()
        expect(dialog).to_contain_text(f"{len(services.place.world.companies)} partitions")
        dialog.get_by_role("button", name="Launch backfill").click()
        follow(page, "Created backfill")
        expect(page.get_by_role("tab", name="Timeline")).to_be_visible()
        return page.url


def test_a_backfill_of_all_companies_is_started(backfill: str) -> None:
    assert re.search(r"/runs/b/\w+$", backfill)


def test_one_company_that_is_materialized_succeeds_and_agrees_with_the_books(page: Page, services: Services) -> None:
    place = services.place
    before = place.held(SMALL)
    place.world.company(SMALL).create()
    dialog = launch_dialog(page)
    dialog.get_by_text("Select a partition").click()
    dialog.get_by_role("menuitem", name=SMALL).click()
    dialog.get_by_role("img", name="expand_less").click()  # the open menu may lie over all else
    expect(dialog.get_by_role("menuitem")).to_have_count(0)
    dialog.get_by_role("button", name="Launch 1 run").click()
    follow(page, "Launched run")
    expect(page.get_by_text(f"partition: {SMALL}")).to_be_visible()
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    assert place.held(SMALL) == place.booked(SMALL) != before


def test_a_partition_that_nobody_registered_is_refused_in_words_and_goes_again_and_no_asset_is_red(
    page: Page, services: Services
) -> None:
    dialog = launch_dialog(page)
    dialog.get_by_role("button", name="Add a partition").click()
    adding = page.get_by_role("dialog").filter(has_text="Add a partition for")
    adding.get_by_role("textbox").fill(STRAY)
    adding.get_by_role("button", name="Save").click()
    dialog.get_by_role("button", name="Launch 1 run").click()
    follow(page, "Launched run")
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    page.get_by_placeholder("Filter…").fill(STRAY)
    words = f"No company has the key '{STRAY}', so nothing was synced. To register a company under it:"
    expect(page.get_by_text(f"{words} billingo-assets company add {STRAY} --name NAME")).to_be_visible()
    open_room(page, "Runs")
    expect(page.get_by_text("refused: no company has this key")).to_be_visible()
    open_asset(page, "raw_invoices", "Partitions")
    expect(page.get_by_text("Failed (0)")).to_be_visible()

    def kept() -> list[str]:
        (asset,) = services.ask(PARTITIONS)
        keys: list[str] = asset["partitionKeys"]
        return keys

    until(lambda: STRAY not in kept() or None, what="the end of the partition")


def test_execute_all_on_a_page_of_checks_answers_for_every_company_and_changes_nothing_else(
    page: Page, services: Services
) -> None:
    open_asset(page, "invoices", "Checks")
    page.get_by_role("button", name="Execute all").click()
    follow(page, "Launched run")
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    run_id = page.url.rpartition("/")[2]
    assert services.ask(RETRIES_OF, id=run_id)["results"] == []
    everyone = sorted(company.key for company in services.place.world.companies)
    for check in services.ask(CHECK_STATUSES)[0]["assetChecksOrError"]["checks"]:
        assert sorted(check["partitionStatuses"]["succeededPartitions"]) == everyone
    open_asset(page, "invoices", "Checks")
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(2)
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)
    subprocess.run([PROGRAM, "status"], env=services.place.environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def closed_services(
    server_url: URL, admin: Engine, dagster_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """`billingo-assets dev --read-only`."""
    home = tmp_path_factory.mktemp("read-only") / "home"
    with (
        new_place(server_url, admin, dagster_template, home) as place,
        running_services(place, "--read-only") as closed,
    ):
        yield closed


def test_a_read_only_ui_offers_no_way_to_launch(context: BrowserContext, closed_services: Services) -> None:
    with watched_page(context, closed_services) as page:
        open_room(page, "Lineage")
        expect(page.get_by_role("button", name="Materialize all")).to_be_disabled()
        open_asset(page, "raw_invoices")
        expect(page.get_by_role("button", name="Materialize")).to_be_disabled()
    run = {"selector": CODE_LOCATION | {"jobName": "sync_company"}, "runConfigData": {}}
    backfill = {"assetSelection": ASSETS, "partitionNames": [SMALL]}
    for mutation, params in ((LAUNCH, run), (BACKFILL, backfill)):
        assert closed_services.ask(mutation, params=params)["__typename"] == "UnauthorizedError"


def test_a_backfill_of_all_companies_ends_in_success_and_agrees_with_the_books(
    page: Page, backfill: str, services: Services
) -> None:
    page.goto(backfill)
    companies = [company.key for company in services.place.world.companies]
    ended = page.get_by_role("row", name=f"100% completed {len(companies)} 0 {len(companies)} 0")
    expect(ended).to_be_visible(timeout=PATIENCE_SECONDS * 1000)
    page.get_by_role("tab", name="Runs").click()
    for company in companies:
        expect(page.get_by_text(f"partition: {company}").first).to_be_visible()  # on a busy machine, with a retry
    expect(page.get_by_text("Success", exact=True)).to_have_count(len(companies))
    held = {key: services.place.held(key) for key in companies}
    assert held == {key: services.place.booked(key) for key in companies}
