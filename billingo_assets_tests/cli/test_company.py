"""`billingo-assets company`: the registry from the command line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import URL, Engine, text

from billingo_assets.companies import registry
from billingo_assets.companies.encryption import KEY_FILE, Keyring
from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support.instance import open_instance
from billingo_assets.names import COMPANIES
from billingo_assets.sandbox.faults import Fault
from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import World
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.locks import company_lock
from billingo_assets.warehouse.number_gaps import summarize_gaps
from billingo_assets_tests.cli.conftest import Answer, Command


def _partitions() -> set[str]:
    with open_instance(load_settings()) as instance:
        return set(instance.get_dynamic_partitions(COMPANIES))


@pytest.fixture
def add(command: Command, database: URL, sandbox: SandboxServer, world: World) -> Command:
    """Add a company with the API key of the sandbox's it-cardigan, unless another is given."""

    def call(*words: str, api_key: str = world.company("it-cardigan").api_key) -> Answer:
        return command("company", "add", "--api-key-stdin", *words, stdin=f"{api_key}\n")

    return call


def test_add_stores_whose_key_it_is_and_makes_the_partition_at_once(add: Command, engine: Engine, world: World) -> None:
    answer = add("it-cardigan", "--name", "IT Cardigan Kft.", "--id", "17", "--schedule", "hourly")
    assert answer.code == 0
    with engine.connect() as connection:
        row = connection.execute(text("SELECT id, name, tax_code, schedule, enabled FROM billingo.companies")).one()
    assert tuple(row) == (17, "IT Cardigan Kft.", world.company("it-cardigan").tax_code, "hourly", True)
    assert _partitions() == {"it-cardigan"}


def test_the_stored_api_key_is_encrypted_and_never_printed(add: Command, engine: Engine, world: World) -> None:
    answer = add("it-cardigan", "--name", "IT Cardigan Kft.")
    api_key = world.company("it-cardigan").api_key
    with engine.connect() as connection:
        stored = connection.scalar(text("SELECT api_key_encrypted FROM billingo.companies"))
    assert stored
    assert api_key not in stored
    assert api_key not in answer.out + answer.err


def test_an_api_key_that_billingo_refuses_adds_nothing(add: Command, engine: Engine) -> None:
    answer = add("it-cardigan", "--name", "X", api_key="0d9c8f3a-0000-4000-8000-000000000000")
    assert answer.code == 1
    assert "does not accept the API key (401" in answer.err
    assert "read scope" in answer.err
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM billingo.companies")) == 0
    assert _partitions() == set()


def test_a_company_without_subscription_is_told_so(add: Command, world: World) -> None:
    world.company("it-cardigan").access = "no_subscription"
    answer = add("it-cardigan", "--name", "X")
    assert answer.code == 1
    assert "subscription" in answer.err


def test_an_api_that_cannot_be_reached_is_told_so(
    add: Command, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_API_URL", "http://127.0.0.1:1/v3")
    monkeypatch.setenv("BILLINGO_REQUEST_ATTEMPTS", "1")
    answer = add("it-cardigan", "--name", "X")
    assert answer.code == 1
    assert "http://127.0.0.1:1/v3/ cannot be reached" in answer.err


@pytest.mark.parametrize("key", ["IT-Cardigan", "it cardigan", "-it", "it-", "it_cardigan", "árvíz", "a...b", "[", ""])
def test_a_malformed_key_is_refused_with_the_rules(add: Command, key: str, sandbox: SandboxServer) -> None:
    answer = add("--name", "X", "--", key)
    assert answer.code == 2
    assert "1 to 63 lower-case letters a-z, digits and hyphens" in answer.err
    assert not sandbox.requests


def test_a_key_that_is_taken_is_refused_before_the_api_is_asked(add: Command, sandbox: SandboxServer) -> None:
    add("it-cardigan", "--name", "X")
    sandbox.requests.clear()
    answer = add("it-cardigan", "--name", "Y")
    assert answer.code == 2
    assert "There is a company it-cardigan already" in answer.err
    assert not sandbox.requests


@pytest.mark.parametrize("api_key", ["", "two words", "árvíz", "a\tb"])
def test_what_cannot_be_an_api_key_is_not_sent(add: Command, sandbox: SandboxServer, api_key: str) -> None:
    answer = add("it-cardigan", "--name", "X", api_key=api_key)
    assert answer.code == 2
    assert "This is not an API key" in answer.err
    assert not sandbox.requests


def test_without_a_terminal_the_api_key_must_be_piped_in(
    command: Command, database: URL, sandbox: SandboxServer
) -> None:
    answer = command("company", "add", "it-cardigan", "--name", "X", stdin="secret\n")
    assert answer.code == 2
    assert "--api-key-stdin" in answer.err


def test_a_company_that_does_not_exist_is_named_with_the_nearest_that_does(
    command: Command, companies: dict[str, Company]
) -> None:
    answer = command("company", "show", "it-kardigan")
    assert answer.code == 2
    assert "There is no company 'it-kardigan'. Did you mean it-cardigan?" in answer.err


def test_list_shows_each_company_on_a_line(command: Command, companies: dict[str, Company]) -> None:
    command("company", "disable", "ozon-bt")
    lines = command("company", "list").out.splitlines()
    assert lines[0].split() == ["company", "id", "state", "schedule", "name"]
    assert [line.split()[:4] for line in lines[1:]] == [
        ["arvizturo", str(companies["arvizturo"].id), "enabled", "daily"],
        ["it-cardigan", str(companies["it-cardigan"].id), "enabled", "daily"],
        ["ozon-bt", str(companies["ozon-bt"].id), "disabled", "daily"],
    ]


def test_list_says_how_to_add_the_first_company(command: Command, database: URL) -> None:
    assert "company add KEY" in command("company", "list").out


def test_show_tells_all_but_the_api_key(command: Command, companies: dict[str, Company], world: World) -> None:
    out = command("company", "show", "it-cardigan").out
    assert "IT Cardigan Kft." in out
    assert world.company("it-cardigan").tax_code in out
    assert "last synced: never" in out
    assert world.company("it-cardigan").api_key not in out


def test_check_tells_whose_books_the_key_opens_and_how_many_documents(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    answer = command("company", "check", "it-cardigan")
    assert answer.code == 0
    assert f"tax code {world.company('it-cardigan').tax_code}, 282 documents" in answer.out


def test_check_notices_a_key_of_another_company(
    command: Command, companies: dict[str, Company], engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE billingo.companies SET api_key_encrypted ="
                " (SELECT api_key_encrypted FROM billingo.companies WHERE key = 'ozon-bt') WHERE key = 'it-cardigan'"
            )
        )
    answer = command("company", "check", "it-cardigan")
    assert answer.code == 1
    assert "opens the books of" in answer.err


def test_set_key_refuses_the_key_of_another_company_and_keeps_the_old_one(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    answer = command("company", "set-key", "it-cardigan", "--api-key-stdin", stdin=world.company("ozon-bt").api_key)
    assert answer.code == 2
    assert "The stored key was not changed" in answer.err
    assert command("company", "check", "it-cardigan").code == 0


@pytest.mark.parametrize("told", ["", "--"])
def test_where_billingo_tells_no_tax_code_a_key_is_known_by_the_issuer_of_its_newest_document(
    add: Command, command: Command, companies: dict[str, Company], world: World, told: str
) -> None:
    own, other = world.company("it-cardigan"), world.company("ozon-bt")
    known, own.tax_code, other.tax_code = own.tax_code, told, told
    words = ("company", "set-key", "it-cardigan", "--api-key-stdin")
    assert command(*words, stdin=own.api_key).code == 0
    assert command(*words, stdin=other.api_key).code == 2
    assert f"tax code:    {known}" in command("company", "show", "it-cardigan").out
    assert "it-cardigan" in add("cardigan-again", "--name", "X").err


def test_set_key_puts_a_new_key_in_place_of_a_revoked_one(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    world.company("it-cardigan").replace_api_key("1b4e28ba-2fa1-4d3b-883f-0016d3cca427")
    assert command("company", "check", "it-cardigan").code == 1
    command("company", "set-key", "it-cardigan", "--api-key-stdin", stdin="1b4e28ba-2fa1-4d3b-883f-0016d3cca427\n")
    assert command("company", "check", "it-cardigan").code == 0


def test_set_key_under_another_encryption_key_is_refused_until_that_is_meant(
    command: Command, companies: dict[str, Company], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("company", "set-key", "it-cardigan", "--api-key-stdin")
    api_key = world.company("it-cardigan").api_key
    monkeypatch.setenv("BILLINGO_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    refused = command(*words, stdin=api_key)
    assert refused.code == 2
    assert "Put the former key back" in refused.err
    assert command(*words, "--encryption-key-is-lost", stdin=api_key).code == 0
    assert command("company", "check", "it-cardigan").code == 0


def test_set_key_with_an_api_that_fails_keeps_the_old_key(
    command: Command, companies: dict[str, Company], world: World, sandbox: SandboxServer
) -> None:
    sandbox.faults.add(Fault(kind="redirect", location="https://elsewhere.example/", times=1))
    answer = command("company", "set-key", "it-cardigan", "--api-key-stdin", stdin=world.company("it-cardigan").api_key)
    assert answer.code == 1
    assert "redirect" in answer.err
    assert command("company", "check", "it-cardigan").code == 0


def test_rotate_encryption_makes_the_old_key_unnecessary(
    command: Command, companies: dict[str, Company], monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = load_settings().home / KEY_FILE
    new = Fernet.generate_key().decode()
    monkeypatch.setenv("BILLINGO_ENCRYPTION_KEYS", f"{new},{key_file.read_text()}")
    answer = command("company", "rotate-encryption")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("3 API keys are encrypted under the first encryption key")
    key_file.unlink()
    monkeypatch.setenv("BILLINGO_ENCRYPTION_KEYS", new)
    assert command("company", "check", "it-cardigan").code == 0


def test_rotate_encryption_works_within_the_key_file(command: Command, companies: dict[str, Company]) -> None:
    key_file, new = load_settings().home / KEY_FILE, Fernet.generate_key().decode()
    key_file.write_text(f"{new},{key_file.read_text()}")
    assert command("company", "rotate-encryption").code == 0
    key_file.write_text(f"{new}\n")
    assert command("company", "check", "it-cardigan").code == 0


def test_rotate_encryption_with_a_wrong_key_changes_nothing(
    command: Command, companies: dict[str, Company], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    answer = command("company", "rotate-encryption")
    assert (answer.code, answer.out) == (2, "")
    assert "The API key of arvizturo cannot be decrypted" in answer.err
    with engine.connect() as connection:
        stored = {one.key: one.api_key_encrypted for one in registry.list_companies(connection)}
    assert stored == {key: company.api_key_encrypted for key, company in companies.items()}


def test_add_stores_nothing_while_another_companys_key_cannot_be_read(
    add: Command, companies: dict[str, Company], sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    answer = add("another", "--name", "Another")
    assert answer.code == 2
    assert "The API key of arvizturo cannot be decrypted" in answer.err
    assert len(sandbox.requests) == 0


def test_add_notices_that_the_keys_were_rotated_while_somebody_typed(
    add: Command, companies: dict[str, Company], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Keyring(SecretStr(f"{Fernet.generate_key().decode()},{(load_settings().home / KEY_FILE).read_text()}"))

    class RotatedMeanwhile(io.StringIO):
        def readline(self, size: int | None = -1, /) -> str:
            with engine.begin() as connection:
                registry.rotate_encryption(connection, new)
            return super().readline(-1 if size is None else size)

    monkeypatch.setattr(io, "StringIO", RotatedMeanwhile)
    answer = add("another", "--name", "Another")
    assert answer.code == 2
    assert "cannot be decrypted" in answer.err
    with engine.connect() as connection:
        assert {one.key for one in registry.list_companies(connection)} == companies.keys()


def test_remove_asks_first_and_says_what_stays(command: Command, companies: dict[str, Company]) -> None:
    answer = command("company", "remove", "ozon-bt", stdin="n\n")
    assert answer.code == 1
    assert "documents stay in the tables" in answer.out
    assert command("company", "show", "ozon-bt").code == 0


def test_remove_takes_the_partition_away_and_forgets_the_key(
    command: Command, companies: dict[str, Company], instance: dg.DagsterInstance, engine: Engine
) -> None:
    assert command("company", "remove", "ozon-bt", "--yes").code == 0
    assert command("company", "show", "ozon-bt").code == 2
    assert _partitions() == {"it-cardigan", "arvizturo"}
    with engine.connect() as connection:
        key = connection.scalar(text("SELECT api_key_encrypted FROM billingo.companies WHERE key = 'ozon-bt'"))
    assert key is None


def test_remove_leaves_a_company_alone_that_is_being_synced(
    command: Command, companies: dict[str, Company], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_LOCK_WAIT_SECONDS", "0")
    company = companies["ozon-bt"]
    with (
        engine.connect() as other,
        company_lock(other, company.id, company=company.key, by="run of-another", wait_seconds=0),
    ):
        answer = command("company", "remove", "ozon-bt", "--yes")
    assert answer.code == 1
    assert "is in use by run of-another" in answer.err
    assert command("company", "show", "ozon-bt").code == 0


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["add", "new", "--name", "X"], "--api-key-stdin"),
        (["add", "new", "--name", "X", "--api-key-stdin"], "not an API key"),
        (["remove", "ozon-bt"], "--yes"),
        (["erase", "ozon-bt"], "--yes-erase ozon-bt"),
    ],
)
def test_a_closed_standard_input_is_told(companies: dict[str, Company], words: list[str], cure: str) -> None:
    command = Path(sys.executable).with_name("billingo-assets")
    line = [*("sh", "-c", 'exec "$0" "$@" <&-'), str(command), "company", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert cure in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("word", "cure"), [("remove", "--yes"), ("erase", "--yes-erase ozon-bt")])
def test_who_is_not_there_to_answer_is_told_how_not_to_be_asked(
    command: Command, companies: dict[str, Company], word: str, cure: str
) -> None:
    answer = command("company", word, "ozon-bt", stdin="")
    assert answer.code == 2
    assert answer.err == f"billingo-assets: No terminal for the confirmation. Pass {cure} to skip it.\n"
    assert answer.out.endswith(": \n")
    assert command("company", "show", "ozon-bt").code == 0


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "red \x1b[31m", "x" * 201])
def test_a_name_that_would_break_a_line_is_refused(add: Command, name: str, sandbox: SandboxServer) -> None:
    answer = add("it-cardigan", "--name", name)
    assert answer.code == 2
    assert "one line of 1 to 200 visible characters" in " ".join(answer.err.split())
    assert not sandbox.requests


def test_missing_numbers_are_accepted_once_and_on_record(
    command: Command, companies: dict[str, Company], engine: Engine
) -> None:
    company = companies["ozon-bt"]
    gap = (
        "INSERT INTO billingo.number_gaps (company_id, block_id, series, year, first_number, last_year, last_number)"
        " VALUES (:company, 1, '2026', 2026, 7, 2026, 9)"
    )
    with engine.begin() as connection:
        connection.execute(text(gap), {"company": company.id})
    answer = command("company", "accept-gaps", "ozon-bt")
    assert (answer.code, "Accepted 3 missing invoice numbers of ozon-bt." in answer.out) == (0, True)
    assert "was not accepted before" in command("company", "accept-gaps", "ozon-bt").out
    with engine.begin() as connection:
        found = summarize_gaps(connection, company.id, most=10)
    assert (found.missing, found.accepted, found.listed) == (0, 3, ())
    records = json.loads(command("audit", "--json", "--company", "ozon-bt").out)["records"]
    accepted = [record["details"] for record in records if record["action"] == "number gaps accepted"]
    assert accepted == [{"numbers": 3}]


def test_the_same_books_under_a_second_key_are_refused_unless_that_is_meant(add: Command, command: Command) -> None:
    assert add("it-cardigan", "--name", "X").code == 0
    refused = add("cardigan-again", "--name", "X")
    assert refused.code == 2
    assert "it-cardigan (X) has the tax code" in refused.err
    assert "--same-tax-code" in refused.err
    assert _partitions() == {"it-cardigan"}
    assert "cardigan-again" not in command("company", "list").out
    assert add("cardigan-again", "--name", "X", "--same-tax-code").code == 0
    assert "same tax code accepted" in command("audit", "--company", "cardigan-again").out


def test_a_company_that_was_removed_keeps_nobody_from_its_tax_code(add: Command, command: Command) -> None:
    add("it-cardigan", "--name", "X")
    command("company", "remove", "it-cardigan", "--yes")
    assert add("cardigan-again", "--name", "X").code == 0


NEW = "17345678-5-41"
"""The number of a VAT group that the company joined."""


@pytest.fixture
def joined(companies: dict[str, Company], world: World) -> str:
    """What the tax code was before the company joined a VAT group."""
    company = world.company("it-cardigan")
    before, company.tax_code = company.tax_code, NEW
    return before


def test_a_new_identity_is_confirmed_by_naming_it_and_recorded(command: Command, joined: str) -> None:
    assert command("company", "check", "it-cardigan").code == 1
    answer = command("company", "confirm-identity", "it-cardigan", "--tax-code", NEW)
    assert answer.code == 0
    assert NEW in answer.out
    assert joined in answer.out
    assert command("company", "check", "it-cardigan").code == 0
    assert "identity confirmed" in command("audit", "--company", "it-cardigan").out


def test_a_removed_company_of_another_tax_number_comes_back_once_that_is_confirmed(
    add: Command, command: Command, joined: str, companies: dict[str, Company]
) -> None:
    command("company", "remove", "it-cardigan", "--yes")
    refused = add("it-cardigan", "--name", "X")
    assert (refused.code, f"--accept-tax-code {NEW}" in refused.err) == (2, True)
    wrong = add("it-cardigan", "--name", "X", "--accept-tax-code", "27345678-5-41")
    assert (wrong.code, f"belongs to {NEW}, not to 27345678-5-41" in " ".join(wrong.err.split())) == (2, True)
    assert "it-cardigan" not in command("company", "list").out
    assert add("it-cardigan", "--name", "X", "--accept-tax-code", NEW).code == 0
    assert f"id:          {companies['it-cardigan'].id}" in command("company", "show", "it-cardigan").out
    records = json.loads(command("audit", "--json", "--company", "it-cardigan").out)["records"]
    assert [record["details"] for record in records if record["action"] == "identity confirmed"] == [
        {"from": joined, "to": NEW}
    ]
    assert command("company", "check", "it-cardigan").code == 0


@pytest.mark.parametrize("given", ["27345678-5-41", "17345679-5-41", "nonsense"])
def test_an_identity_that_billingo_does_not_tell_is_not_confirmed(command: Command, joined: str, given: str) -> None:
    answer = command("company", "confirm-identity", "it-cardigan", "--tax-code", given)
    assert answer.code == 2
    assert f"it-cardigan stays {joined}" in " ".join(answer.err.split())
    assert command("company", "check", "it-cardigan").code == 1


def test_an_identity_is_not_confirmed_without_its_tax_code(command: Command, joined: str) -> None:
    refused = command("company", "confirm-identity", "it-cardigan")
    assert (refused.code, "--tax-code" in refused.err) == (2, True)


def test_an_identity_that_another_company_has_is_refused_unless_that_is_meant(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    other = world.company("ozon-bt").tax_code
    world.company("it-cardigan").tax_code = other
    words = ("company", "confirm-identity", "it-cardigan", "--tax-code", other)
    assert command(*words).code == 2
    assert command(*words, "--same-tax-code").code == 0


def test_set_key_takes_the_key_of_a_new_identity_that_is_named(command: Command, joined: str, world: World) -> None:
    api_key = world.company("it-cardigan").api_key
    words = ("company", "set-key", "it-cardigan", "--api-key-stdin")
    refused = command(*words, stdin=api_key)
    assert refused.code == 2
    assert "--accept-tax-code" in refused.err
    assert command(*words, "--accept-tax-code", "27345678-5-41", stdin=api_key).code == 2
    assert command(*words, "--accept-tax-code", NEW, stdin=api_key).code == 0
    assert command("company", "check", "it-cardigan").code == 0


def test_set_key_stores_a_tax_code_of_which_the_last_digits_have_changed(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    company = world.company("it-cardigan")
    company.tax_code = f"{company.tax_code[:8]}-1-07"
    answer = command("company", "set-key", "it-cardigan", "--api-key-stdin", stdin=company.api_key)
    assert answer.code == 0
    assert company.tax_code in command("company", "show", "it-cardigan").out
    assert "tax code changed" in command("audit", "--company", "it-cardigan").out
