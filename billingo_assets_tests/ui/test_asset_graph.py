"""Lineage and the catalogue: the assets and what is known of them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from billingo_assets_tests.support.dagster_runs import SMALL
from billingo_assets_tests.support.services import Place, Services
from billingo_assets_tests.ui.conftest import Picture, open_asset, open_room, watched_page


def test_the_lineage_shows_every_asset_at_once_each_materialized_for_each_company(page: Page, picture: Picture) -> None:
    open_room(page, "Lineage")
    for asset in ("raw_invoices", "invoices", "invoice_items"):
        expect(page.locator(f'a[href$="/billingo/{asset}?view=partitions"]', has_text="100% filled")).to_be_visible()
        checks = page.locator(f'a[href$="/billingo/{asset}?view=checks"]')
        expect(checks).to_have_text(re.compile(r"(\d) / \1 Passed"))
    expect(page.get_by_role("img").get_by_text("sync_health")).to_be_visible()
    expect(page.get_by_role("img").get_by_text("Materialized", exact=True)).to_be_visible()
    picture(page, "lineage")


def test_a_companys_partition_tells_what_its_last_sync_did(page: Page, place: Place, picture: Picture) -> None:
    open_asset(page, "raw_invoices")
    page.get_by_role("tab", name="Partitions").click()
    page.get_by_text(SMALL, exact=True).first.click()
    documents = place.booked(SMALL)["documents"]
    for name, value in {"processed": documents, "api_total": documents, "skipped": 0}.items():
        expect(page.get_by_role("row", name=f"{name} {value}", exact=True)).to_be_visible()
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    picture(page, "company")


def test_the_columns_of_a_table_have_their_types_of_postgresql(page: Page) -> None:
    open_asset(page, "raw_invoices")
    expect(page.get_by_role("row", name="content_hash")).to_contain_text("bytea")
    expect(page.get_by_role("row", name="changed_at")).to_contain_text("timestamp with time zone")


def test_no_room_logs_an_error(page: Page) -> None:
    for room in ("Overview", "Runs", "Catalog", "Jobs", "Automation", "Lineage", "Deployment"):
        open_room(page, room)
        page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("script", ["console.error('unseen')", "setTimeout(() => { throw new Error('unseen') })"])
def test_an_error_of_a_page_fails_its_test(context: BrowserContext, services: Services, script: str) -> None:
    with pytest.raises(AssertionError, match="unseen"), watched_page(context, services) as page:  # noqa: PT012
        page.evaluate(script)
        page.wait_for_function("() => true")
