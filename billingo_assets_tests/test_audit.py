"""The audit of the pinned packages: what it makes of what pip-audit tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from billingo_assets.project import project_root
from tools.audit import NO_ANSWER, excuse, judge

SOUND = {"name": "six", "version": "1.16.0", "vulns": []}
UNKNOWN = {"name": "uv", "skip_reason": "Dependency not found on PyPI and could not be audited: uv (0.13.9)"}
BROKEN = {"name": "httpx", "version": "0.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["0.2"], "aliases": []}]}


def test_a_known_vulnerability_fails_it_and_is_named_with_its_remedy() -> None:
    words, code = judge([SOUND, BROKEN])
    assert (code, "httpx 0.1: PYSEC-1, mended in 0.2" in words) == (1, True)


def test_what_could_be_asked_for_is_counted() -> None:
    assert judge([SOUND, UNKNOWN]) == ("no known vulnerability in 1 of 2 packages.", 0)


def test_where_no_package_could_be_asked_for_it_does_not_say_that_all_is_well() -> None:
    assert judge([UNKNOWN]) == (NO_ANSWER, 0)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "one.lock"
    path.write_text(f"six==1.16.0 --hash=sha256:{'0' * 64}\n")
    return path


NOWHERE = "http://127.0.0.1:1"
WITHOUT_A_NETWORK = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), NOWHERE)


def audit(lock: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.audit", lock],
        cwd=project_root(),
        env={**os.environ, **WITHOUT_A_NETWORK, **environment},
        capture_output=True,
        text=True,
    )


def test_without_a_network_it_says_so_and_fails_nothing(lock: Path) -> None:
    done = audit(lock)
    assert (done.returncode, NO_ANSWER in done.stdout) == (0, True)


def test_a_connection_that_times_out_fails_nothing_either() -> None:
    tip = "Tip: your network may be blocking this service. Try another service with `-s SERVICE`"
    assert excuse(f"ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed\n{tip}\n") == (NO_ANSWER, 0)


def test_who_does_not_prove_to_be_pypi_is_not_heard() -> None:
    assert excuse("Traceback …\nrequests.exceptions.SSLError: certificate verify failed\n") == (NO_ANSWER, 0)


def test_where_pip_audit_is_missing_it_fails(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "pip_audit").mkdir()
    (tmp_path / "pip_audit" / "__init__.py").touch()  # found before what is installed, and nothing is behind it
    done = audit(lock, PYTHONPATH=str(tmp_path))
    assert (done.returncode, "nothing was audited" in done.stdout, "No module named" in done.stdout) == (1, True, True)


def test_where_pip_audit_crashes_it_fails_with_its_last_words(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "pip_audit.py").write_text("raise ImportError('a part of it is gone')")
    done = audit(lock, PYTHONPATH=str(tmp_path))
    assert (done.returncode, "nothing was audited: ImportError: a part of it is gone" in done.stdout) == (1, True)


def test_a_lock_that_pip_audit_refuses_fails(lock: Path) -> None:
    lock.write_text("six==1.16.0\n")
    done = audit(lock)
    assert (done.returncode, "nothing was audited" in done.stdout, "hash" in done.stdout) == (1, True, True)


def test_a_lock_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = audit(tmp_path / "not-there.lock")
    assert (done.returncode, "There is no" in done.stderr) == (1, True)
