"""The Automation page: schedules are switched there."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from billingo_assets_tests.support.services import CODE_LOCATION, Services
from billingo_assets_tests.ui.conftest import open_room

SCHEDULE = "hourly"

STATE = """
    query ($schedule: ScheduleSelector!) { scheduleOrError(scheduleSelector: $schedule) {
        ... on Schedule { scheduleState { status } } } }
"""


def status(services: Services) -> str:
    """What the instance says of the schedule."""
    schedule = services.ask(STATE, schedule=CODE_LOCATION | {"scheduleName": SCHEDULE})
    told: str = schedule["scheduleState"]["status"]
    return told


def switch(page: Page) -> Locator:
    """The schedule's switch; the other box in its row selects it."""
    open_room(page, "Automation")
    schedule = page.get_by_role("link").filter(has=page.get_by_text(SCHEDULE, exact=True))
    row = page.locator("div").filter(has=schedule).filter(has=page.get_by_role("checkbox")).last
    expect(row.get_by_role("checkbox")).to_have_count(2)
    return row.get_by_role("checkbox").last


def test_a_schedule_is_switched_off_and_on_again(page: Page, services: Services) -> None:
    expect(switch(page)).to_be_checked()
    assert status(services) == "RUNNING"
    for operation, checked, told in (("StopSchedule", False, "STOPPED"), ("StartThisSchedule", True, "RUNNING")):
        with page.expect_response(lambda answer, name=operation: name in (answer.request.post_data or "")):
            switch(page).locator("..").click()
        page.reload()
        expect(switch(page)).to_be_checked(checked=checked)
        assert status(services) == told
