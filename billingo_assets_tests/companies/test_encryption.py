import os
import subprocess
import sys
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from billingo_assets.companies.encryption import KEY_FILE, Keyring, open_keyring
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings
from billingo_assets_tests.support.patience import PATIENCE_SECONDS

API_KEY = SecretStr("2f6d1c9e-0000-4000-8000-1234567890ab")
OLD, NEW = (urlsafe_b64encode(letter * 32).decode() for letter in (b"o", b"n"))


def keyring_of(*keys: str) -> Keyring:
    return Keyring(SecretStr(",".join(keys)))


def reads(keyring: Keyring, token: str) -> bool:
    try:
        return keyring.decrypt(token, company="it-cardigan") == API_KEY
    except ConfigurationError:
        return False


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings without encryption keys, whose home is not there yet."""
    return Settings(home=tmp_path / "a new" / "home")


@pytest.fixture
def key_file(settings: Settings) -> Path:
    return settings.home / KEY_FILE


def test_an_encrypted_api_key_comes_back() -> None:
    keyring = keyring_of(NEW)
    assert keyring.decrypt(keyring.encrypt(API_KEY), company="it-cardigan") == API_KEY


def test_an_encrypted_api_key_cannot_be_seen() -> None:
    assert API_KEY.get_secret_value() not in keyring_of(NEW).encrypt(API_KEY)


def test_the_first_key_encrypts() -> None:
    token = keyring_of(NEW, OLD).encrypt(API_KEY)
    assert (reads(keyring_of(NEW), token), reads(keyring_of(OLD), token)) == (True, False)


def test_every_key_decrypts() -> None:
    both = keyring_of(NEW, OLD)
    assert reads(both, keyring_of(OLD).encrypt(API_KEY))
    assert reads(both, keyring_of(NEW).encrypt(API_KEY))


def test_keys_may_stand_apart() -> None:
    token = keyring_of(OLD).encrypt(API_KEY)
    for apart in (f" {NEW} ,\n{OLD}, ", f"{NEW}\n{OLD}\n", f"{NEW} {OLD}"):
        assert reads(Keyring(SecretStr(apart)), token)


@pytest.mark.parametrize(
    "keys",
    [
        "",
        ",",
        "secret-but-short",
        f"{NEW},árvíztűrő",
        NEW[:-2],
        f"{NEW};{OLD}",
        f"{NEW}{OLD}",
        f"{NEW[:20]}!{NEW[20:]}",
    ],
)
def test_what_is_no_fernet_key_is_refused_and_not_repeated(keys: str) -> None:
    with pytest.raises(ConfigurationError, match="BILLINGO_ENCRYPTION_KEYS holds something that is not") as caught:
        keyring_of(keys)
    assert not keys.strip(",") or keys not in str(caught.value)


@pytest.mark.parametrize(
    "token", [pytest.param(keyring_of(OLD).encrypt(API_KEY), id="another key's"), "", "no token", "gAAAAA=="]
)
def test_a_token_that_no_key_reads_is_told_by_its_company(token: str) -> None:
    with pytest.raises(ConfigurationError, match="The API key of it-cardigan cannot be decrypted") as caught:
        keyring_of(NEW).decrypt(token, company="it-cardigan")
    assert "set-key it-cardigan" in str(caught.value)


def test_the_keys_of_the_settings_make_a_file_unnecessary(key_file: Path, settings: Settings) -> None:
    own = settings.model_copy(update={"encryption_keys": SecretStr(f"{NEW},{OLD}")})
    keyring = open_keyring(own, may_create=lambda: True)
    assert (reads(keyring, keyring_of(OLD).encrypt(API_KEY)), key_file.exists()) == (True, False)


def test_the_key_file_is_made_for_its_owner_alone(settings: Settings, key_file: Path) -> None:
    open_keyring(settings, may_create=lambda: True)
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_the_key_file_is_made_once(settings: Settings) -> None:
    token = open_keyring(settings, may_create=lambda: True).encrypt(API_KEY)
    assert reads(open_keyring(settings, may_create=lambda: True), token)


def test_nothing_but_the_key_file_is_left_in_the_home(settings: Settings) -> None:
    open_keyring(settings, may_create=lambda: True)
    assert [path.name for path in settings.home.iterdir()] == [KEY_FILE]


def test_a_key_file_is_not_made_where_api_keys_are_stored(settings: Settings, key_file: Path) -> None:
    with pytest.raises(ConfigurationError, match="The encryption key is missing"):
        open_keyring(settings, may_create=lambda: False)
    assert not key_file.exists()


def test_a_key_file_that_is_there_needs_no_permission_to_be_made(settings: Settings) -> None:
    token = open_keyring(settings, may_create=lambda: True).encrypt(API_KEY)
    assert reads(open_keyring(settings, may_create=lambda: False), token)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o777])
def test_a_key_file_that_others_can_reach_is_refused(settings: Settings, key_file: Path, mode: int) -> None:
    open_keyring(settings, may_create=lambda: True)
    key_file.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"chmod 600 '{key_file}'"):
        open_keyring(settings, may_create=lambda: True)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"not a key", OLD[:-2].encode()])
def test_a_key_file_without_a_key_is_refused_and_kept(settings: Settings, key_file: Path, content: bytes) -> None:
    open_keyring(settings, may_create=lambda: True)
    key_file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{key_file} holds something that is not a Fernet key"):
        open_keyring(settings, may_create=lambda: True)
    assert key_file.read_bytes() == content


def test_a_key_file_may_hold_several_keys(settings: Settings, key_file: Path) -> None:
    before = open_keyring(settings, may_create=lambda: True).encrypt(API_KEY)
    key_file.write_text(f"{NEW},{key_file.read_text()}")
    keyring = open_keyring(settings, may_create=lambda: False)
    assert (reads(keyring, before), reads(keyring_of(NEW), keyring.encrypt(API_KEY))) == (True, True)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_a_key_file_that_is_no_file_is_told_by_its_path(
    settings: Settings, key_file: Path, make: Callable[[Path, int], None]
) -> None:
    key_file.parent.mkdir(parents=True)
    make(key_file, 0o600)
    with pytest.raises(ConfigurationError, match=f"{key_file} cannot be read: (Is a directory|it is not a file)"):
        open_keyring(settings, may_create=lambda: True)


def test_a_key_file_that_leads_nowhere_is_told_by_its_path_and_kept(settings: Settings, key_file: Path) -> None:
    key_file.parent.mkdir(parents=True)
    key_file.symlink_to("an unmounted disk")
    with pytest.raises(ConfigurationError, match=f"{key_file} cannot be read: No such file"):
        open_keyring(settings, may_create=lambda: True)
    assert key_file.is_symlink()
    assert [path.name for path in settings.home.iterdir()] == [KEY_FILE]


def test_a_key_file_may_be_elsewhere_and_is_as_closed_as_what_the_link_leads_to(
    settings: Settings, key_file: Path, tmp_path: Path
) -> None:
    token = open_keyring(settings, may_create=lambda: True).encrypt(API_KEY)
    elsewhere = key_file.rename(tmp_path / "elsewhere")
    key_file.symlink_to(elsewhere)
    assert reads(open_keyring(settings, may_create=lambda: False), token)
    elsewhere.chmod(0o640)
    with pytest.raises(ConfigurationError, match=f"Others on this machine can read {key_file}"):
        open_keyring(settings, may_create=lambda: False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away, and read it then")
def test_a_key_file_of_another_user_is_refused(settings: Settings, key_file: Path) -> None:
    open_keyring(settings, may_create=lambda: True)
    os.chown(key_file, 12345, -1)
    with pytest.raises(ConfigurationError, match=f"{key_file} belongs to another user \\(uid 12345\\)"):
        open_keyring(settings, may_create=lambda: True)


def test_a_home_that_cannot_hold_the_key_file_is_told_by_its_path(settings: Settings, key_file: Path) -> None:
    settings.home.parent.mkdir()
    settings.home.touch()
    with pytest.raises(ConfigurationError, match=f"{key_file} cannot be created: "):
        open_keyring(settings, may_create=lambda: True)


def test_threads_that_make_the_key_file_at_once_get_the_same_key(settings: Settings) -> None:
    both_found_none = threading.Barrier(2)

    def open_and_encrypt() -> str:
        keyring = open_keyring(settings, may_create=lambda: both_found_none.wait(PATIENCE_SECONDS) >= 0)
        return keyring.encrypt(API_KEY)

    with ThreadPoolExecutor(2) as threads:
        opened = [threads.submit(open_and_encrypt) for _ in range(2)]
        tokens = [thread.result() for thread in opened]
    keyring = open_keyring(settings, may_create=lambda: False)
    assert [reads(keyring, token) for token in tokens] == [True, True]


def test_processes_that_make_the_key_file_at_once_get_the_same_key(settings: Settings) -> None:
    program = f"""
from pathlib import Path
from pydantic import SecretStr
from billingo_assets.companies.encryption import open_keyring
from billingo_assets.settings import Settings

def found_none():
    print("found none", flush=True)
    return bool(input())

keyring = open_keyring(Settings(home=Path({str(settings.home)!r})), may_create=found_none)
print(keyring.encrypt(SecretStr({API_KEY.get_secret_value()!r})))
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "found none\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go on\n")
        process.stdin.flush()
    tokens = [process.communicate(timeout=PATIENCE_SECONDS)[0].strip() for process in processes]
    keyring = open_keyring(settings, may_create=lambda: False)
    assert [reads(keyring, token) for token in tokens] == [True, True]
