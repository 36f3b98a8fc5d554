"""Two processes sync one company: one at a time, and what is older never overwrites what is newer."""

from __future__ import annotations

from billingo_assets.sandbox import RateLimit
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.other_process import syncing
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until
from billingo_assets_tests.support.truth import require_truth


def await_a_session_that_waits(books: Books) -> None:
    """Return once a session waits for the lock of the company."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :company AND NOT granted"
    until(lambda: books.value(query) or None, what="a session that waits")


def test_the_second_of_two_processes_is_told_which_run_holds_the_company_and_succeeds_after_it(
    three_pages: Books,
) -> None:
    with syncing(three_pages, run_id="1f0c", hold="stored") as first:
        assert first.told() == "stored"
        with syncing(three_pages, run_id="2b7e", wait_seconds=0.2) as second:
            key = three_pages.company.key
            assert second.told().startswith(f"CompanyBusyError: {key} is in use by run 1f0c.")
        first.go_on()
        assert first.told() == "done: 282 documents"
    with syncing(three_pages, run_id="2b7e") as second:
        assert second.told() == "done: 282 documents"
    three_pages.refresh()
    require_truth(three_pages)


def test_a_process_that_may_wait_begins_when_the_other_has_ended(three_pages: Books) -> None:
    with syncing(three_pages, run_id="1f0c", hold="stored") as first:
        assert first.told() == "stored"
        with syncing(three_pages, run_id="2b7e", wait_seconds=PATIENCE_SECONDS) as second:
            await_a_session_that_waits(three_pages)
            three_pages.served.create()
            first.go_on()
            # The first catches up with what arrived while it held.
            assert [first.told(), second.told()] == ["done: 283 documents"] * 2
    three_pages.refresh()
    require_truth(three_pages)


def test_a_process_that_is_killed_frees_the_company_at_once_and_the_next_goes_on(three_pages: Books) -> None:
    with syncing(three_pages, run_id="1f0c", hold="stored") as first:
        assert first.told() == "stored"
        first.kill()
        with syncing(three_pages, run_id="2b7e", wait_seconds=PATIENCE_SECONDS) as second:
            assert second.told() == "done: 282 documents"
    three_pages.refresh()
    require_truth(three_pages)


def test_a_process_that_lost_its_session_cannot_write_what_it_read_before_another_synced(three_pages: Books) -> None:
    newest = three_pages.served.documents()[0]["id"]
    with syncing(three_pages, run_id="1f0c", hold="read") as first:
        assert first.told() == "read"
        # As when the network between them fails: its server ends the session, and it does not know yet.
        three_pages.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'run 1f0c'"
        )
        three_pages.served.change(newest, comment="újabb")
        three_pages.sync()
        first.go_on()
        assert first.told().startswith("OperationalError")
    assert three_pages.stored(newest).payload["comment"] == "újabb"
    require_truth(three_pages)


def test_two_processes_that_use_up_the_limit_of_the_key_both_come_to_their_end(one_page: Books) -> None:
    one_page.sandbox.faults.rate_limit = RateLimit(requests=1, window_seconds=2, retry_after="seconds")
    for run_id in ("1f0c", "2b7e"):
        with syncing(one_page, run_id=run_id) as process:
            assert process.told() == "done: 61 documents"
        assert 429 in [request.status for request in one_page.sandbox.requests]
        one_page.sandbox.requests.clear()
    one_page.refresh()
    require_truth(one_page)
