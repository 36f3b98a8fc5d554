"""Encrypts API keys at rest with Fernet. The source of the encryption keys is chosen here and nowhere else."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from billingo_assets import redaction
from billingo_assets.errors import ConfigurationError
from billingo_assets.home import make_private
from billingo_assets.settings import Settings

KEY_FILE = "encryption.key"


_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
"""Fernet itself stops reading at the `=`, and skips unknown characters."""


class Keyring:
    """Encrypts with the first key, decrypts with any.

    Keys are separated by commas or blanks; `source` names their origin in error messages.
    """

    def __init__(self, keys: SecretStr, *, source: str = "BILLINGO_ENCRYPTION_KEYS") -> None:
        words = keys.get_secret_value().replace(",", " ").split()
        redaction.remember(*words)
        if not words or not all(_FERNET_KEY.fullmatch(word) for word in words):
            raise ConfigurationError(
                f"{source} holds something that is not a Fernet key (44 characters of URL-safe base64); several are"
                " separated by commas. Put the former content back."
            )
        self._fernet = MultiFernet([Fernet(word) for word in words])

    def encrypt(self, api_key: SecretStr) -> str:
        """Return the API key as a Fernet token."""
        redaction.remember(api_key)
        return self._fernet.encrypt(api_key.get_secret_value().encode()).decode()

    def decrypt(self, token: str, *, company: str) -> SecretStr:
        """Return the API key of `company`. Raises ConfigurationError if none of the keys fits."""
        try:
            api_key = SecretStr(self._fernet.decrypt(token).decode())
        except InvalidToken:
            raise ConfigurationError(
                f"The API key of {company} cannot be decrypted with the encryption key in use."
                " Put the former key back (BILLINGO_ENCRYPTION_KEYS or the file encryption.key). If it is lost for"
                f" good, store the API key again: billingo-assets company set-key {company} --encryption-key-is-lost"
            ) from None
        redaction.remember(api_key)
        return api_key


def open_keyring(settings: Settings, *, may_create: Callable[[], bool]) -> Keyring:
    """Return the keyring of the settings, or of the key file, which is created on first use.

    `may_create` is called before a file is created: a new encryption key could read none of the API keys that are
    stored already.

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
                " keys are stored. Put the former key back. If it is lost for good, set BILLINGO_ENCRYPTION_KEYS to a"
                " new one and store each key again: billingo-assets company set-key KEY --encryption-key-is-lost"
            )
        _create(path)
    return Keyring(_read(path), source=str(path))


def _create(path: Path) -> None:
    """Write a new key, completely or not at all: two concurrent commands end up with the same file."""
    try:
        make_private(path.parent, "BILLINGO_HOME")
        # With mode 0600, and under a unique name in case another process writes one.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.") as draft:
            draft.write(Fernet.generate_key() + b"\n")
            draft.flush()
            os.fsync(draft.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft.name)
    except OSError as error:
        raise ConfigurationError(f"The encryption key {path} cannot be created: {error.strerror}.") from None


def _read(path: Path) -> SecretStr:
    """Read a key file, which must belong to this user and be closed to others. Symbolic links are followed."""
    try:
        # Without blocking, as on a pipe. The open file is checked, so a change of the path cannot matter.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"The encryption key {path} cannot be read: it is not a file.")
            if status.st_uid not in (os.geteuid(), 0):
                raise ConfigurationError(
                    f"{path} belongs to another user (uid {status.st_uid}), who can read it. Run the command as that"
                    f" user. If nobody else uses the file, it can become yours: chown {os.geteuid()} '{path}'"
                )
            if status.st_mode & 0o077:
                raise ConfigurationError(f"Others on this machine can read {path}. Close it with: chmod 600 '{path}'")
            return SecretStr(file.read().decode("ascii", errors="replace"))
    except OSError as error:
        raise ConfigurationError(f"The encryption key {path} cannot be read: {error.strerror}.") from None
