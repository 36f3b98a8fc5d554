"""Folders of ours that others can write to: refused, with advice that takes nothing away from anybody."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from billingo_assets.companies.encryption import open_keyring
from billingo_assets.dagster_support.instance import prepare_dagster_home
from billingo_assets.embedded_postgres import embedded_server
from billingo_assets.errors import ConfigurationError
from billingo_assets.home import make_private, require_private
from billingo_assets.settings import Settings

ELSEWHERE = "Set BILLINGO_HOME to a folder of your own"


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        require_private(folder, "BILLINGO_HOME")
    return str(caught.value)


def _used(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "encryption.key").touch()


def _shared(folder: Path) -> None:
    _used(folder)
    (folder / "somebody-elses").touch()


@pytest.mark.parametrize(
    ("mode", "fill"),
    [
        pytest.param(0o1777, _used, id="temporary"),
        pytest.param(0o2775, _used, id="of a group"),
        pytest.param(0o777, _shared, id="with other files"),
        pytest.param(0o775, _shared, id="a home directory"),
        pytest.param(0o777, lambda _: None, id="empty"),
    ],
)
def test_nobody_is_advised_to_close_a_folder_that_others_may_need(
    tmp_path: Path, mode: int, fill: Callable[[Path], object]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(folder)
    folder.chmod(mode)
    told = refusal(folder)
    assert ELSEWHERE in told
    assert "chmod" not in told


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp"])
def test_the_folder_for_temporary_files_is_refused_without_advice_to_close_it(place: str) -> None:
    assert ELSEWHERE in refusal(Path(place))
    assert "chmod" not in refusal(Path(place))


def test_a_folder_that_holds_our_data_alone_is_to_be_closed_and_not_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    _used(folder)
    folder.chmod(0o775)
    told = refusal(folder)
    assert f"chmod go-w '{folder}'" in told
    assert "Set BILLINGO_HOME" not in told


@pytest.mark.parametrize(
    "use",
    [
        lambda home: embedded_server(home),
        lambda home: open_keyring(Settings(home=home), may_create=lambda: True),
        lambda home: prepare_dagster_home(Settings(home=home)),
    ],
    ids=["database", "encryption key", "Dagster"],
)
def test_nothing_is_put_into_a_shared_folder_before_it_is_refused(
    tmp_path: Path, use: Callable[[Path], object]
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(ConfigurationError, match=ELSEWHERE):
        use(shared)
    assert list(shared.iterdir()) == []


def test_a_folder_that_does_not_exist_is_made_for_the_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(tmp_path / "new", "BILLINGO_HOME")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
