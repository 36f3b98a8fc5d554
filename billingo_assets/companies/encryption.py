"""Encrypts API keys at rest with Fernet. Where the encryption keys come from is decided here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings

KEY_FILE = "encryption.key"


class Keyring:
    """Encrypts with the first key, decrypts with any."""

    def __init__(self, keys: SecretStr) -> None:
        try:
            self._fernet = MultiFernet(
                [Fernet(key.strip()) for key in keys.get_secret_value().split(",") if key.strip()]
            )
        except ValueError:
            raise ConfigurationError(
                "BILLINGO_ENCRYPTION_KEYS holds something that is not a Fernet key (44 characters of URL-safe base64)."
            ) from None

    def encrypt(self, api_key: SecretStr) -> str:
        """Return the API key as a Fernet token."""
        return self._fernet.encrypt(api_key.get_secret_value().encode()).decode()

    def decrypt(self, token: str, *, company: str) -> SecretStr:
        """Return the API key of `company`. Raises ConfigurationError when none of the keys fits."""
        try:
            return SecretStr(self._fernet.decrypt(token).decode())
        except InvalidToken:
            raise ConfigurationError(
                f"The API key of {company} cannot be decrypted with the encryption key in use."
                " Put the former key back (BILLINGO_ENCRYPTION_KEYS or the file encryption.key), or store the API key"
                f" again with `billingo-assets company set-key {company}`."
            ) from None


def open_keyring(settings: Settings, *, may_create: Callable[[], bool]) -> Keyring:
    """Return the keyring of the settings, or of the key file, which is made on first use.

    `may_create` is asked before a file is made: where API keys are stored already, a new encryption key could
    read none of them.

    Raises:
        ConfigurationError: the key is missing or malformed, or others can read its file.
    """
    if settings.encryption_keys is not None:
        return Keyring(settings.encryption_keys)
    path = settings.home / KEY_FILE
    if not path.exists():
        if not may_create():
            raise ConfigurationError(
                f"The encryption key is missing: {path} is not there and BILLINGO_ENCRYPTION_KEYS is not set, but API"
                " keys are stored. Put the former key back, or store each key again with"
                " `billingo-assets company set-key` under a new BILLINGO_ENCRYPTION_KEYS."
            )
        _create(path)
    return Keyring(_read(path))


def _create(path: Path) -> None:
    """Write a new key, whole or not at all: two commands at once end up with the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, Fernet.generate_key() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> SecretStr:
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"Others on this machine can read {path}. Close it with: chmod 600 '{path}'")
    key = path.read_text(encoding="ascii", errors="replace").strip()
    try:
        Fernet(key)
    except ValueError:
        raise ConfigurationError(f"{path} does not hold a Fernet key. Put the former file back.") from None
    return SecretStr(key)
