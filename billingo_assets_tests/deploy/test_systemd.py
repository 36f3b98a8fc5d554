"""The unit for systemd: taken as it is, and its service does with nothing to write but its data."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from billingo_assets.project import project_root
from billingo_assets.sandbox import DEFAULT_COMPANIES, SandboxServer, World
from billingo_assets.settings import Settings
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.support.services import PROGRAM, Place, running_services

UNIT = project_root() / "deploy" / "billingo-assets.service"

# As systemd has it with ProtectSystem=strict and PrivateTmp: all is read-only but two folders.
READ_ONLY = """
for folder in "$BILLINGO_HOME" "$TMPDIR"; do mount --bind "$folder" "$folder"; done
mount -o remount,bind,ro /
if touch "$0" 2>/dev/null; then exit 1; fi
exec "$@"
"""


def _service() -> dict[str, str]:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their capitals
    unit.read(UNIT, encoding="utf-8")
    return dict(unit["Service"])


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("There is no systemd-analyze, which comes with systemd.")
    command = _service()["ExecStart"].split()[0]
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text(encoding="utf-8").replace(command, str(PROGRAM)), encoding="utf-8")
    ended = subprocess.run([program, "verify", copy], check=False, capture_output=True, text=True)
    assert [line for line in ended.stderr.splitlines() if UNIT.name in line] == []
    assert ended.returncode == 0, ended.stderr


def test_the_service_may_write_its_data_and_not_its_own_code() -> None:
    service = _service()
    home = Settings.model_fields["home"].get_default(call_default_factory=True)
    assert service["ProtectSystem"] == "strict"
    assert Path(service["ReadWritePaths"]) == Path(service["WorkingDirectory"]) / home.relative_to(project_root())


def _may_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    tried = [unshare, "--mount", "sh", "-ec", "mount -o remount,bind,ro /; ! touch /tmp"]
    return subprocess.run(tried, check=False, capture_output=True).returncode == 0


def test_with_nothing_but_its_data_to_write_the_service_syncs(
    server_url: URL, admin: Engine, dagster_template: str, tmp_path: Path
) -> None:
    if not _may_mount():
        pytest.skip(
            "A file system is made read-only with `unshare --mount`, which root may where all is on one of them."
        )
    world = World(companies=DEFAULT_COMPANIES[:1])
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for folder in (home, temporary):
        folder.mkdir(mode=0o700)
    with fresh_database(server_url, admin, template=dagster_template) as url, SandboxServer(world) as sandbox:
        place = Place(url, home, world, sandbox.url, {"TMPDIR": os.fspath(temporary), "HOME": os.fspath(tmp_path)})
        place.register_companies()
        within = ["unshare", "--mount", "sh", "-ec", READ_ONLY, os.fspath(UNIT)]
        with running_services(place, within=within) as services:
            company = world.companies[0].key
            assert services.finished_run(services.launch(company, jobName="sync_company"))["status"] == "SUCCESS"
            assert place.held(company) == place.booked(company)
        place.engine.dispose()
