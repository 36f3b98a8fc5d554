"""What goes wrong is seen: a run that fails, a check that fails, and the health of all companies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from billingo_assets_tests.support.dagster_runs import LARGE, SMALL
from billingo_assets_tests.support.services import Services
from billingo_assets_tests.ui.conftest import Picture, open_asset, open_run

REVOKED, BROKEN, SOUND = SMALL, LARGE, "it-cardigan"
SYNC = {"jobName": "sync_company"}


@pytest.fixture(scope="module")
def broken_run(services: Services) -> Iterator[str]:
    """The run of a company with a document that cannot be understood."""
    broken = services.place.world.company(BROKEN)
    document = broken.create(gross_total="a lot")
    run_id = services.launch(BROKEN, **SYNC)
    assert services.finished_run(run_id)["status"] == "SUCCESS"
    yield run_id
    broken.delete(document["id"], even_if_issued=True)


@pytest.fixture(scope="module")
def revoked_run(services: Services, broken_run: str) -> str:
    """The run of a company whose API key was revoked; it has a sound one again afterwards."""
    revoked = services.place.world.company(REVOKED)
    key = revoked.api_key
    revoked.replace_api_key("another")
    run_id = services.launch(REVOKED, **SYNC)
    assert services.finished_run(run_id)["status"] == "FAILURE"
    revoked.replace_api_key(key)
    return run_id


@pytest.mark.usefixtures("broken_run")
def test_a_check_that_fails_tells_which_document_is_at_fault_and_why(page: Page, picture: Picture) -> None:
    open_asset(page, "raw_invoices", "Checks")
    page.get_by_text("no_rejected_documents", exact=True).first.click()
    expect(page.get_by_text("1 document is in quarantine")).to_be_visible()
    expect(page.get_by_text(BROKEN, exact=True)).to_be_visible()
    expect(page.get_by_text('gross_total is "a lot", not a number')).to_be_visible()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(2)
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(4)
    picture(page, "check")


def test_the_run_of_a_company_whose_api_key_was_revoked_fails_and_says_what_to_do(page: Page, revoked_run: str) -> None:
    open_run(page, revoked_run)
    expect(page.get_by_text("Failure", exact=True)).to_be_visible()
    expect(page.get_by_text("Billingo does not accept the API key").first).to_be_visible()
    expect(page.get_by_text("billingo-assets company set-key").first).to_be_visible()


def test_a_company_that_failed_is_red_among_the_others_and_so_are_its_checks(
    page: Page, revoked_run: str, picture: Picture
) -> None:
    open_asset(page, "raw_invoices", "Partitions")
    expect(page.get_by_text("Failed (1)")).to_be_visible()
    expect(page.get_by_text("Materialized (2)")).to_be_visible()
    page.get_by_text(REVOKED, exact=True).first.click()
    expect(page.get_by_text(f"Run {revoked_run[:8]} failed, and did not materialize this asset.")).to_be_visible()
    expect(page.get_by_role("row", name="api_total")).to_be_visible()
    picture(page, "failed")
    open_asset(page, "raw_invoices", "Checks")
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(0)
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()


@pytest.mark.usefixtures("revoked_run")
def test_the_health_of_every_company_is_seen_without_a_click_the_worst_first(page: Page, picture: Picture) -> None:
    page.set_viewport_size({"width": 1440, "height": 1100})
    open_asset(page, "sync_health")
    page.get_by_role("button", name="Materialize").click()
    page.get_by_role("listitem").filter(has_text="Launched run").get_by_role("link", name="View").click()
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    open_asset(page, "sync_health", "Events")
    table = page.get_by_role("table").filter(has=page.get_by_role("columnheader", name="what is wrong")).last
    for place, (company, color) in enumerate({REVOKED: "red", BROKEN: "yellow", SOUND: "green"}.items(), start=1):
        cells = table.get_by_role("row").nth(place).get_by_role("cell")
        expect(cells.nth(0)).to_have_text(company)
        expect(cells.nth(2)).to_have_text(color)
    wrong = table.get_by_role("row").filter(has_text=REVOKED).get_by_role("cell").nth(3)
    expect(wrong).to_contain_text("does not accept the API key")
    expect(wrong).to_be_in_viewport(ratio=1)
    plots = page.get_by_role("img", name="bars")
    expect(plots).to_have_count(3)
    for plot in plots.all():
        expect(plot).to_be_visible()
        assert plot.evaluate("image => image.decode().then(() => image.naturalWidth)") == 240
    picture(page, "health")
