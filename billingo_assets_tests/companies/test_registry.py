import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from billingo_assets.companies import registry
from billingo_assets.companies.encryption import KEY_FILE, Keyring
from billingo_assets.companies.registry import Company
from billingo_assets.companies.schedule import SCHEDULES
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings, load_settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.urls import LIVE_API_URL
from billingo_assets.warehouse.raw_records import count_records
from billingo_assets_tests.support.patience import PATIENCE_SECONDS

TAX_CODE = "12345678-2-42"
SANDBOX_URL = "http://127.0.0.1:8765/v3"


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        yield opened


def add(connection: Connection, key: str = "it-cardigan", **given: Any) -> Company:
    """Register a company; what the test does not care about is filled in."""
    values = {"name": f"{key} Kft.", "tax_code": TAX_CODE, "api_key_encrypted": "token"}
    return registry.add_company(connection, key=key, **{**values, **given})


def keys(connection: Connection, **given: bool) -> list[str]:
    return [company.key for company in registry.list_companies(connection, **given)]


def refusal(connection: Connection, *args: Any, **given: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        add(connection, *args, **given)
    return str(caught.value)


@pytest.mark.parametrize("key", ["a", "7", "it-cardigan", "a--b", "2nd-company", "a" * 63])
def test_a_slug_can_be_a_key(key: str) -> None:
    assert registry.require_slug(key) == key


@pytest.mark.parametrize(
    "key",
    ["", "-a", "a-", "-", "A", "a b", "a_b", "a.b", "a/b", "árvíz", "a\n", "\na", "a" * 64, "a|b", "a,b", "٣", "a'b"],
)
def test_what_is_no_slug_is_refused_with_the_rules(key: str) -> None:
    with pytest.raises(ConfigurationError, match="lower-case letters a-z, digits and hyphens"):
        registry.require_slug(key)


def test_a_company_is_registered_as_it_was_given(connection: Connection) -> None:
    added = add(connection, "alma", name="Álma Kft.", schedule="hourly", company_id=9, is_demo=True)
    assert added == Company(
        id=9,
        key="alma",
        name="Álma Kft.",
        tax_code=TAX_CODE,
        is_demo=True,
        enabled=True,
        schedule="hourly",
        api_key_encrypted="token",
    )


def test_a_registered_company_is_found_by_its_key(connection: Connection) -> None:
    added = add(connection)
    assert registry.get_company(connection, added.key) == added


def test_a_company_that_is_told_little_syncs_daily_from_the_api_of_the_settings(connection: Connection) -> None:
    added = add(connection)
    assert (added.schedule, added.is_demo, added.enabled) == ("daily", False, True)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_database_takes_every_schedule(connection: Connection, schedule: str) -> None:
    assert add(connection, schedule=schedule).schedule == schedule


def test_the_database_takes_no_other_schedule(connection: Connection) -> None:
    with pytest.raises(IntegrityError, match="companies_schedule_check"):
        add(connection, schedule="now and then")


def test_companies_are_listed_by_key(connection: Connection) -> None:
    for key in ("korte", "alma", "szilva"):
        add(connection, key)
    assert keys(connection) == ["alma", "korte", "szilva"]


def test_a_disabled_company_is_listed_but_not_among_the_enabled(connection: Connection) -> None:
    for key in ("alma", "korte"):
        add(connection, key)
    registry.change_company(connection, "alma", enabled=False)
    assert (keys(connection), keys(connection, enabled_only=True)) == (["alma", "korte"], ["korte"])


def test_a_key_that_is_taken_is_refused(connection: Connection) -> None:
    add(connection, "alma")
    assert refusal(connection, "alma").startswith("There is a company alma already.")


def test_a_malformed_key_is_refused(connection: Connection) -> None:
    assert "cannot be a company's key" in refusal(connection, "Alma")


def test_an_id_that_is_taken_is_refused_by_its_company(connection: Connection) -> None:
    add(connection, "alma", company_id=5)
    assert "The id 5 belongs to the company alma." in refusal(connection, "korte", company_id=5)


def test_the_id_of_a_removed_company_stays_taken(connection: Connection) -> None:
    add(connection, "alma", company_id=5)
    registry.remove_company(connection, "alma")
    assert "The id 5 belongs to the company alma." in refusal(connection, "korte", company_id=5)


def test_ids_given_out_do_not_meet_one_given_by_hand(connection: Connection) -> None:
    by_hand = {"a": None, "b": 3, "c": None, "d": 2, "e": None}
    assert [add(connection, key, company_id=id_).id for key, id_ in by_hand.items()] == [1, 3, 4, 2, 5]


def test_an_unknown_company_gets_the_nearest_key(connection: Connection) -> None:
    add(connection, "it-cardigan")
    with pytest.raises(ConfigurationError, match=r"There is no company 'it-cardigen'\. Did you mean it-cardigan\?"):
        registry.get_company(connection, "it-cardigen")


def test_an_unknown_company_like_no_other_gets_a_place_to_look(connection: Connection) -> None:
    add(connection, "it-cardigan")
    with pytest.raises(ConfigurationError, match="`billingo-assets company list`"):
        registry.get_company(connection, "zzz")


def test_a_removed_company_is_not_suggested(connection: Connection) -> None:
    add(connection, "it-cardigan")
    registry.remove_company(connection, "it-cardigan")
    with pytest.raises(ConfigurationError, match="`billingo-assets company list`"):
        registry.get_company(connection, "it-cardigan")


def test_a_change_leaves_the_rest_as_it_was(connection: Connection) -> None:
    before = add(connection, is_demo=True, schedule="weekly")
    after = registry.change_company(connection, before.key, api_key_encrypted="another token")
    assert (after.api_key_encrypted, after.tax_code, after.is_demo, after.schedule, after.enabled) == (
        "another token",
        before.tax_code,
        before.is_demo,
        before.schedule,
        before.enabled,
    )


def test_a_change_of_one_company_leaves_the_others(connection: Connection) -> None:
    other = add(connection, "alma")
    add(connection, "korte")
    registry.change_company(connection, "korte", enabled=False)
    registry.set_tax_code(connection, registry.get_company(connection, "korte"), "0", confirmed=True)
    assert registry.get_company(connection, "alma") == other


@pytest.mark.parametrize("change", [registry.change_company, registry.remove_company])
def test_only_a_company_that_is_there_can_be_changed_or_removed(connection: Connection, change: Any) -> None:
    with pytest.raises(ConfigurationError, match="There is no company 'alma'"):
        change(connection, "alma")


def test_a_removed_company_is_gone_from_the_list(connection: Connection) -> None:
    add(connection, "alma")
    registry.remove_company(connection, "alma")
    assert keys(connection) == []


def test_removing_a_company_forgets_its_api_key(connection: Connection) -> None:
    add(connection, "alma")
    registry.remove_company(connection, "alma")
    assert connection.scalars(text("SELECT api_key_encrypted FROM billingo.companies")).all() == [None]


def test_removing_a_company_keeps_its_documents(connection: Connection) -> None:
    alma = add(connection, "alma")
    store_a_document(connection, alma)
    registry.remove_company(connection, "alma")
    assert count_records(connection, DOCUMENTS, alma.id) == 1


def test_removing_a_company_of_the_demo_leaves_nothing_of_it(connection: Connection) -> None:
    alma = add(connection, "alma", is_demo=True)
    store_a_document(connection, alma)
    registry.remove_company(connection, "alma")
    assert count_records(connection, DOCUMENTS, alma.id) == 0
    assert add(connection, "alma", tax_code="87654321-2-42").tax_code == "87654321-2-42"


def test_removing_a_company_of_the_demo_leaves_the_others(connection: Connection) -> None:
    add(connection, "alma", is_demo=True)
    korte = add(connection, "korte", is_demo=True)
    store_a_document(connection, korte)
    registry.remove_company(connection, "alma")
    assert (keys(connection), count_records(connection, DOCUMENTS, korte.id)) == (["korte"], 1)


def store_a_document(connection: Connection, company: Company) -> None:
    connection.execute(
        text(
            "INSERT INTO billingo.raw_invoices (company_id, document_id, payload, content_hash, item_count)"
            " VALUES (:company, 1, '{}', '', 0)"
        ),
        {"company": company.id},
    )


def test_a_company_that_comes_back_has_its_id_again(connection: Connection) -> None:
    before = add(connection, "alma")
    registry.remove_company(connection, "alma")
    add(connection, "korte")
    assert add(connection, "alma", api_key_encrypted="new", schedule="weekly") == Company(
        id=before.id,
        key="alma",
        name=before.name,
        tax_code=TAX_CODE,
        is_demo=False,
        enabled=True,
        schedule="weekly",
        api_key_encrypted="new",
    )


def test_a_company_that_comes_back_may_be_told_the_id_it_had(connection: Connection) -> None:
    before = add(connection, "alma", company_id=7)
    registry.remove_company(connection, "alma")
    assert add(connection, "alma", company_id=7).id == before.id


@pytest.mark.parametrize("rest", ["-2-25", "225", ""])
def test_a_company_comes_back_though_the_last_digits_of_its_tax_code_have_changed(
    connection: Connection, rest: str
) -> None:
    removed = add(connection, "alma")
    registry.remove_company(connection, "alma")
    assert add(connection, "alma", tax_code=TAX_CODE[:8] + rest).id == removed.id


@pytest.mark.parametrize(("before", "after"), [(None, TAX_CODE), (TAX_CODE, None), (None, None)])
def test_a_company_may_come_back_where_a_tax_code_is_unknown(
    connection: Connection, before: str | None, after: str | None
) -> None:
    removed = add(connection, "alma", tax_code=before)
    registry.remove_company(connection, "alma")
    assert add(connection, "alma", tax_code=after).id == removed.id


@pytest.mark.parametrize("given", [{"tax_code": "87654321-2-42"}, {"company_id": 8}])
def test_the_key_of_a_removed_company_is_not_given_to_another(connection: Connection, given: dict[str, Any]) -> None:
    add(connection, "alma", company_id=7)
    registry.remove_company(connection, "alma")
    told = refusal(connection, "alma", **given)
    assert told.startswith(f"alma was the key of another company (id 7, tax code {TAX_CODE})")


def test_of_two_additions_at_once_the_second_is_told_that_the_key_is_taken(engine: Engine) -> None:
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as first:
            add(first, "alma")
            second = threads.submit(add_in_a_transaction, engine, "alma")
            wait_until_somebody_waits(first)
        assert "There is a company alma already" in str(second.exception(timeout=PATIENCE_SECONDS))


def test_an_addition_at_the_same_time_as_another_takes_no_id_back(engine: Engine) -> None:
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as first:
            add(first, "alma", company_id=50)
            second = threads.submit(add_in_a_transaction, engine, "korte")
            wait_until_somebody_waits(first)
        assert second.result(timeout=PATIENCE_SECONDS).id == 51


def add_in_a_transaction(engine: Engine, key: str) -> Company:
    with engine.begin() as connection:
        return add(connection, key)


def wait_until_somebody_waits(connection: Connection) -> None:
    """Return once another connection waits for a lock of this database."""
    blocked = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE datname = current_database() AND NOT granted"
    )
    pause = threading.Event()
    for _ in range(1000):
        if connection.scalar(blocked):
            return
        pause.wait(0.005)
    pytest.fail("Nobody waits.")


def test_an_api_key_is_read_with_the_keyring_that_wrote_it(connection: Connection) -> None:
    keyring = registry.keyring_for(connection, load_settings())
    added = add(connection, api_key_encrypted=keyring.encrypt(SecretStr("the api key")))
    assert added.api_key(keyring).get_secret_value() == "the api key"


def test_a_company_whose_key_another_keyring_wrote_is_named(connection: Connection) -> None:
    keyring, other = (Keyring(SecretStr(Fernet.generate_key().decode())) for _ in range(2))
    added = add(connection, "alma", api_key_encrypted=keyring.encrypt(SecretStr("the api key")))
    with pytest.raises(ConfigurationError, match="The API key of alma cannot be decrypted"):
        added.api_key(other)


def test_a_company_without_an_api_key_is_told_how_to_get_one(connection: Connection) -> None:
    keyring = registry.keyring_for(connection, load_settings())
    with pytest.raises(ConfigurationError, match="`billingo-assets company set-key alma`"):
        add(connection, "alma", api_key_encrypted=None).api_key(keyring)


def test_a_company_does_not_show_its_api_key(connection: Connection) -> None:
    assert "secret-token" not in repr(add(connection, api_key_encrypted="secret-token"))


def test_an_encryption_key_is_not_made_anew_once_an_api_key_is_stored(connection: Connection) -> None:
    settings = load_settings()
    keyring = registry.keyring_for(connection, settings)
    add(connection, api_key_encrypted=keyring.encrypt(SecretStr("the api key")))
    (settings.home / KEY_FILE).unlink()
    with pytest.raises(ConfigurationError, match="The encryption key is missing"):
        registry.keyring_for(connection, settings)


def test_an_encryption_key_is_made_anew_when_the_last_api_key_is_forgotten(connection: Connection) -> None:
    settings = load_settings()
    registry.keyring_for(connection, settings)
    add(connection, "alma")
    registry.remove_company(connection, "alma")
    (settings.home / KEY_FILE).unlink()
    registry.keyring_for(connection, settings)
    assert (settings.home / KEY_FILE).exists()


def keyring_of(*names: str) -> Keyring:
    """A keyring of invented keys, the same for the same name."""
    return Keyring(SecretStr(",".join(urlsafe_b64encode(name[0].encode() * 32).decode() for name in names)))


def store(connection: Connection, key: str, keyring: Keyring) -> Company:
    """Register a company whose API key is told by its name."""
    return add(connection, key, api_key_encrypted=keyring.encrypt(SecretStr(f"the api key of {key}")))


def tokens(connection: Connection) -> dict[str, str | None]:
    return {company.key: company.api_key_encrypted for company in registry.list_companies(connection)}


def test_after_a_rotation_the_first_key_alone_reads_every_api_key(connection: Connection) -> None:
    store(connection, "alma", keyring_of("old"))
    store(connection, "barack", keyring_of("new"))
    rotated = registry.rotate_encryption(connection, keyring_of("new", "old"))
    assert [company.key for company in rotated] == ["alma", "barack"]
    for company in registry.list_companies(connection):
        assert company.api_key(keyring_of("new")).get_secret_value() == f"the api key of {company.key}"
        with pytest.raises(ConfigurationError):
            company.api_key(keyring_of("old"))


def test_a_rotation_passes_over_companies_without_an_api_key(connection: Connection) -> None:
    add(connection, "alma", api_key_encrypted=None)
    store(connection, "barack", keyring_of("old"))
    assert [c.key for c in registry.rotate_encryption(connection, keyring_of("new", "old"))] == ["barack"]


def test_an_api_key_that_no_key_reads_leaves_all_as_they_were(connection: Connection) -> None:
    for key, encrypted_with in [("alma", "old"), ("barack", "lost"), ("cseresznye", "old")]:
        store(connection, key, keyring_of(encrypted_with))
    before = tokens(connection)
    with pytest.raises(ConfigurationError, match="The API key of barack cannot be decrypted"):
        registry.rotate_encryption(connection, keyring_of("new", "old"))
    assert tokens(connection) == before


def test_a_rotation_lets_nobody_store_an_api_key_meanwhile(engine: Engine, connection: Connection) -> None:
    with connection.begin():
        add(connection, "alma", api_key_encrypted=None)  # whose row is not written to, and so not locked
    with connection.begin():
        registry.rotate_encryption(connection, keyring_of("new", "old"))
        with engine.connect() as another, another.begin():
            another.execute(text("SET LOCAL lock_timeout = '100ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                registry.change_company(another, "alma", api_key_encrypted="an older one")


def test_the_first_company_whose_api_key_is_unreadable_is_named(connection: Connection) -> None:
    store(connection, "alma", keyring_of("old"))
    store(connection, "barack", keyring_of("lost"))
    registry.require_readable(connection, keyring_of("new", "old", "lost"))
    with pytest.raises(ConfigurationError, match="The API key of barack cannot be decrypted"):
        registry.require_readable(connection, keyring_of("old"))


def test_the_key_of_a_company_goes_to_the_api_of_the_settings(connection: Connection) -> None:
    assert add(connection).api_url(Settings(sandbox_url=SANDBOX_URL)) == LIVE_API_URL


def test_the_key_of_a_company_of_the_demo_goes_to_the_sandbox(connection: Connection) -> None:
    assert add(connection, is_demo=True).api_url(Settings(sandbox_url=SANDBOX_URL)) == SANDBOX_URL


def test_the_key_of_a_company_of_the_demo_goes_nowhere_without_a_sandbox(connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match="it-cardigan is a demo company"):
        add(connection, is_demo=True).api_url(Settings())


def test_a_company_that_comes_back_keeps_the_tax_code_that_its_key_no_longer_tells(connection: Connection) -> None:
    add(connection, "alma")
    registry.remove_company(connection, "alma")
    assert add(connection, "alma", tax_code=None).tax_code == TAX_CODE
