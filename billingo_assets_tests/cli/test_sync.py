"""`billingo-assets sync`: what it says, what it returns, and that one company's failure stops no other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import URL, Engine, text

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support.instance import open_instance
from billingo_assets.sandbox.faults import Fault
from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import World
from billingo_assets.settings import load_settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.normalized import count_rows
from billingo_assets.warehouse.sums import sums_by_currency
from billingo_assets_tests.cli.conftest import Command
from billingo_assets_tests.support.patience import PATIENCE_SECONDS

COMMAND = str(Path(sys.executable).with_name("billingo-assets"))

COMPANY_FIELDS = {
    "key",
    "id",
    "name",
    "status",
    "mode",
    "processed",
    "created",
    "updated",
    "unchanged",
    "deleted",
    "skipped",
    "items",
    "api_calls",
    "duration_seconds",
    "run_id",
    "errors",
    "warnings",
}


def _synced(command: Command, *keys: str, code: int = 0) -> dict[str, dict[str, Any]]:
    answer = command("sync", *keys, "--json")
    assert answer.code == code, answer.err
    return {company["key"]: company for company in json.loads(answer.out)["companies"]}


def _drafts(world: World, key: str) -> list[int]:
    return [document["id"] for document in world.company(key).documents() if document["type"] == "draft"]


def test_without_keys_every_enabled_company_is_synced(command: Command, companies: dict[str, Company]) -> None:
    command("company", "disable", "ozon-bt")
    assert _synced(command).keys() == {"it-cardigan", "arvizturo"}


def test_json_is_one_object_with_the_agreed_fields(command: Command, companies: dict[str, Company]) -> None:
    answer = command("sync", "ozon-bt", "--json")
    told = json.loads(answer.out)
    assert told.keys() == {"companies", "summary"}
    assert told["companies"][0].keys() == COMPANY_FIELDS
    assert told["summary"].keys() == {"total", "successful", "partial", "failed", "processed", "duration_seconds"}


def test_after_a_sync_the_tables_equal_the_ledger(
    command: Command, companies: dict[str, Company], engine: Engine, world: World
) -> None:
    _synced(command)
    with engine.connect() as connection:
        for company in companies.values():
            ledger = world.company(company.key).ledger()
            rows = count_rows(connection, DOCUMENTS, company.id)
            assert (rows["invoices"], rows["invoice_items"]) == (ledger.documents, ledger.items)
            held = sums_by_currency(connection, company.id)
            told = {code: (sums.documents, sums.gross, sums.net, sums.vat) for code, sums in ledger.currencies.items()}
            assert held == told


def test_three_syncs_tell_created_then_unchanged_then_exactly_what_changed(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    counts = ("processed", "created", "updated", "unchanged", "deleted", "skipped")
    first = _synced(command, "it-cardigan")["it-cardigan"]
    assert [first[name] for name in counts] == [282, 282, 0, 0, 0, 0]
    second = _synced(command, "it-cardigan")["it-cardigan"]
    assert [second[name] for name in counts] == [MAX_PAGE_SIZE, 0, 0, MAX_PAGE_SIZE, 0, 0]  # the newest page
    invented = world.company("it-cardigan")
    changed, deleted = _drafts(world, "it-cardigan")[1:6], _drafts(world, "it-cardigan")[0]
    for document_id in changed:
        invented.change(document_id, comment="másik megjegyzés")
    invented.delete(deleted)
    third = _synced(command, "it-cardigan")["it-cardigan"]
    assert [third[name] for name in counts] == [281, 0, 5, 276, 1, 0]


def test_a_second_sync_is_incremental_and_one_that_is_asked_to_be_full_is_not(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    assert [_synced(command, "it-cardigan")["it-cardigan"]["mode"] for _ in range(2)] == ["full", "incremental"]
    out = command("sync", "it-cardigan", "--full").out
    items = world.company("it-cardigan").ledger().items
    assert f"282 documents processed, {items} items (full sync: requested)" in out


def test_a_sync_that_has_to_become_full_says_why(command: Command, companies: dict[str, Company], world: World) -> None:
    command("sync", "ozon-bt")
    world.company("ozon-bt").delete(_drafts(world, "ozon-bt")[0])
    out = command("sync", "ozon-bt").out
    assert "(full sync: Billingo counts 60 documents, 61 were held)" in out
    assert "1 deleted" in out


def test_an_api_that_shows_nothing_is_believed_only_when_asked_for(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    command("sync", "ozon-bt")
    for document in world.company("ozon-bt").documents():
        world.company("ozon-bt").delete(document["id"], even_if_issued=True)
    [fault] = _synced(command, "ozon-bt", code=1)["ozon-bt"]["errors"]
    assert "shows no documents for ozon-bt, although 61 are stored" in fault["error"]
    assert "sync ozon-bt --accept-empty" in fault["error"]
    answer = command("sync", "ozon-bt", "--accept-empty")
    assert (answer.code, "61 deleted" in answer.out) == (0, True)


def test_an_empty_answer_cannot_be_accepted_of_everyone(command: Command, companies: dict[str, Company]) -> None:
    answer = command("sync", "--accept-empty")
    assert answer.code == 2
    assert "Name the companies" in answer.err


def test_each_company_is_a_run_that_dagster_knows(command: Command, companies: dict[str, Company]) -> None:
    run_id = _synced(command, "ozon-bt")["ozon-bt"]["run_id"]
    with open_instance(load_settings()) as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.job_name == "sync_company"
    assert run.tags["dagster/partition"] == "ozon-bt"


def test_one_companys_revoked_key_stops_no_other(command: Command, companies: dict[str, Company], world: World) -> None:
    world.company("arvizturo").replace_api_key("1b4e28ba-2fa1-4d3b-883f-0016d3cca427")
    outcomes = _synced(command, code=1)
    assert {key: outcome["status"] for key, outcome in outcomes.items()} == {
        "arvizturo": "failed",
        "it-cardigan": "success",
        "ozon-bt": "success",
    }
    [fault] = outcomes["arvizturo"]["errors"]
    assert "does not accept the API key (401" in fault["error"]


def test_a_document_that_is_not_understood_makes_the_sync_partial_and_is_named(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    document_id = _drafts(world, "ozon-bt")[0]
    world.company("ozon-bt").change(document_id, gross_total="sok")
    outcome = _synced(command, "ozon-bt")["ozon-bt"]
    assert (outcome["status"], outcome["processed"], outcome["skipped"]) == ("partial", 61, 1)
    [fault] = outcome["errors"]
    assert fault["document_id"] == document_id
    assert "gross_total" in fault["error"]


def test_a_document_in_quarantine_is_a_warning_in_sync_as_everywhere_else(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    document_id = _drafts(world, "ozon-bt")[0]
    world.company("ozon-bt").change(document_id, gross_total="sok")
    answer = command("sync", "ozon-bt")
    assert answer.code == 0
    assert f"  warning: document {document_id}: " in answer.out
    assert "error:" not in answer.out


def test_what_was_accepted_is_counted_and_warns_nobody_until_it_changes(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    served = world.company("ozon-bt")
    rejected, unreconciled = _drafts(world, "ozon-bt")[:2]
    served.change(rejected, gross_total="sok")
    served.change(unreconciled, gross_total=1)
    outcome = _synced(command, "ozon-bt")["ozon-bt"]
    assert (outcome["status"], len(outcome["errors"]), len(outcome["warnings"])) == ("partial", 1, 1)
    assert "Accepted 1 document of ozon-bt in quarantine." in command("company", "accept-rejected", "ozon-bt").out
    assert "Accepted the totals of 1 invoice of ozon-bt." in command("company", "accept-totals", "ozon-bt").out
    for name in ("accept-rejected", "accept-totals"):
        assert "not accepted before" in command("company", name, "ozon-bt").out
    outcome = _synced(command, "ozon-bt", "--full")["ozon-bt"]
    assert (outcome["status"], outcome["skipped"]) == ("success", 1)
    assert (outcome["errors"], outcome["warnings"]) == ([], [])
    (past,) = json.loads(command("history", "--limit", "1", "--json").out)["syncs"]
    assert (past["status"], past["skipped"]) == ("success", 1)
    assert re.search(r"^ozon-bt +green ", command("status").out, re.MULTILINE)
    records = json.loads(command("audit", "--json", "--company", "ozon-bt").out)["records"]
    assert [(one["action"], one["details"]) for one in records if "accepted" in one["action"]] == [
        ("rejected documents accepted", {"documents": 1, "ids": [rejected]}),
        ("totals accepted", {"documents": 1, "ids": [unreconciled]}),
    ]
    served.change(rejected, comment="changed")
    served.change(unreconciled, comment="changed")
    outcome = _synced(command, "ozon-bt")["ozon-bt"]
    assert (outcome["status"], len(outcome["errors"]), len(outcome["warnings"])) == ("partial", 1, 1)


def test_a_check_that_failed_is_an_error_in_sync_and_history_and_the_exit_code(
    command: Command, companies: dict[str, Company], engine: Engine
) -> None:
    command("sync", "ozon-bt")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM billingo.invoice_items WHERE position = 1"))
    answers = [command("sync", "ozon-bt"), command("history", "--limit", "1")]
    assert [answer.code for answer in answers] == [1, 0]
    for answer in answers:
        assert "ozon-bt" in answer.out
        assert "partial" in answer.out
        assert "  error: item_count_matches_raw: " in answer.out
        assert "warning: item_count_matches_raw" not in answer.out
    (fault,) = _synced(command, "ozon-bt", code=1)["ozon-bt"]["errors"]
    assert (fault["check"], "document_id" in fault) == ("item_count_matches_raw", False)


def test_a_check_that_warns_leaves_the_exit_code_alone(
    command: Command, companies: dict[str, Company], engine: Engine, world: World
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.companies SET tax_code = NULL"))
    world.company("ozon-bt").tax_code = ""
    answer = command("sync", "ozon-bt")
    assert (answer.code, "  warning: tax_code_matches: " in answer.out) == (0, True)
    (warning,) = _synced(command, "ozon-bt")["ozon-bt"]["warnings"]
    assert f"  warning: {warning}\n" in answer.out


def test_people_get_a_block_for_each_company_and_the_totals(command: Command, companies: dict[str, Company]) -> None:
    answer = command("sync", "ozon-bt", "it-cardigan")
    assert "ozon-bt (Őzön Vízió Bt.): success" in answer.out
    assert "61 documents processed" in answer.out
    assert "2 companies: 2 successful, 0 partial, 0 failed; 343 documents" in answer.out
    assert "ozon-bt: syncing" in answer.err
    assert all(len(line) <= 80 for line in answer.out.splitlines())


def test_a_failure_is_told_without_a_traceback(command: Command, companies: dict[str, Company], world: World) -> None:
    world.company("ozon-bt").access = "no_subscription"
    answer = command("sync", "ozon-bt")
    assert answer.code == 1
    assert "subscription does not include the API" in answer.out
    assert "Traceback" not in answer.out + answer.err


def test_verbose_shows_the_runs_log_page_by_page(command: Command, companies: dict[str, Company]) -> None:
    assert "it-cardigan: page 3 of 3, 282 of 282 documents" in command("sync", "it-cardigan", "--verbose").err


def test_a_key_named_twice_is_synced_once(command: Command, companies: dict[str, Company]) -> None:
    answer = command("sync", "ozon-bt", "ozon-bt", "--json")
    assert json.loads(answer.out)["summary"]["total"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("enabled = false", "was disabled meanwhile, so it was not synced"),
        ("enabled = false, removed_at = now()", "was removed meanwhile, so it was not synced"),
    ],
    ids=["disabled", "removed"],
)
def test_a_company_that_is_disabled_or_removed_before_its_turn_is_left_out(
    command: Command, companies: dict[str, Company], engine: Engine, change: str, words: str
) -> None:
    first, *others = sorted(companies)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" UPDATE billingo.companies SET {change} WHERE key = '{others[0]}'; RETURN NULL; END $$;"
                " CREATE TRIGGER leave_out AFTER INSERT ON billingo.sync_state EXECUTE FUNCTION leave_out()"
            )
        )
    answer = command("sync", "--json")
    assert (answer.code, [one["key"] for one in json.loads(answer.out)["companies"]]) == (0, [first, *others[1:]])
    assert f"{others[0]} {words}" in answer.err


def test_a_disabled_company_that_is_named_is_synced(command: Command, companies: dict[str, Company]) -> None:
    command("company", "disable", "ozon-bt")
    assert _synced(command, "ozon-bt")["ozon-bt"]["status"] == "success"


def test_an_unknown_company_syncs_nothing(command: Command, companies: dict[str, Company], engine: Engine) -> None:
    answer = command("sync", "ozon-bt", "nobody")
    assert answer.code == 2
    assert "There is no company 'nobody'" in answer.err
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM billingo.raw_invoices")) == 0


def test_without_companies_it_says_how_to_add_one(command: Command, database: URL) -> None:
    answer = command("sync")
    assert answer.code == 2
    assert "company add" in answer.err


def test_a_lost_encryption_key_is_told_and_not_replaced(command: Command, companies: dict[str, Company]) -> None:
    path = load_settings().home / "encryption.key"
    path.unlink()
    answer = command("sync")
    assert answer.code == 2
    assert "encryption key is missing" in answer.err
    assert not path.exists()


def test_a_wrong_encryption_key_fails_the_company_in_words(
    command: Command, companies: dict[str, Company], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_ENCRYPTION_KEYS", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    [fault] = _synced(command, "ozon-bt", code=1)["ozon-bt"]["errors"]
    assert "cannot be decrypted" in fault["error"]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_output_that_cannot_be_written_stops_no_company(companies: dict[str, Company], words: list[str]) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run([COMMAND, "sync", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "The output cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    with open_instance(load_settings()) as instance:
        assert instance.get_runs_count() == 3


def test_a_reader_that_goes_away_stops_no_company(companies: dict[str, Company]) -> None:
    sync = subprocess.Popen([COMMAND, "sync"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert sync.stdout is not None
    sync.stdout.close()
    _, told = sync.communicate(timeout=PATIENCE_SECONDS)
    assert (sync.returncode, b"Traceback" in told, b"cannot be written" in told) == (0, False, False)
    with open_instance(load_settings()) as instance:
        assert instance.get_runs_count() == 3


def test_a_sync_that_fails_midway_tells_what_it_did(
    command: Command, companies: dict[str, Company], sandbox: SandboxServer
) -> None:
    sandbox.faults.add(Fault(kind="status", status=403, page=2))
    failed = _synced(command, "it-cardigan", code=1)["it-cardigan"]
    assert (failed["status"], failed["processed"], failed["created"]) == ("failed", 100, 100)
    assert failed["api_calls"] == len(sandbox.requests)
    mended = _synced(command, "it-cardigan")["it-cardigan"]
    assert (mended["created"], mended["unchanged"]) == (182, 100)


def test_a_database_that_goes_away_fails_each_company_at_once_and_in_words(
    command: Command, companies: dict[str, Company], sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave() -> None:
        monkeypatch.setenv("BILLINGO_DATABASE_URL", "postgresql://127.0.0.1:1/books")
        load_settings.cache_clear()

    sandbox.faults.after_page(1, leave, company="arvizturo")
    outcomes = _synced(command, code=1)
    assert {outcome["status"] for outcome in outcomes.values()} == {"failed"}
    assert "127.0.0.1:1 (books) cannot be used" in outcomes["ozon-bt"]["errors"][0]["error"]
    assert outcomes["ozon-bt"]["run_id"] == ""
