"""Asks PyPI for known vulnerabilities of what a lock pins: `python -m tools.audit requirements.lock`.

Ends with 1 when there are any, or pip-audit does not do its work. Where the advisories cannot be had, as without a
network, it says so and ends with 0: a check that could not run has not failed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 300
NO_ANSWER = "The advisories of PyPI cannot be had here; the pinned packages were not audited."
NO_CONNECTION = re.compile(
    r"requests\.exceptions\.(ConnectionError|ConnectTimeout|ProxyError|ReadTimeout|SSLError): "
    r"|.*your network may be blocking this service"
)
"""What pip-audit's last words begin with then. Who does not prove to be PyPI, as behind some proxies, is not heard."""


def main() -> None:
    """Audit the lock that is named."""
    (lock,) = sys.argv[1:]
    if not Path(lock).is_file():
        sys.exit(f"There is no {lock}.")
    sys.exit(audit(lock))


def audit(lock: str) -> int:
    """Say what is known of the packages of a lock, and return 1 if any is vulnerable."""
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)  # noqa: S603
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        words, code = f"pip-audit was not done within {PATIENCE_SECONDS} seconds.", 1
    except (ValueError, KeyError):
        words, code = excuse(done.stderr)
    else:
        words, code = judge(packages)
    print(f"{lock}: {words}")
    return code


def excuse(errors: str) -> tuple[str, int]:
    """What is to be said where pip-audit told nothing but these errors, and the exit code."""
    last = (errors.strip().splitlines() or ["it said nothing"])[-1]
    return (NO_ANSWER, 0) if NO_CONNECTION.match(last) else (f"pip-audit failed, nothing was audited: {last}", 1)


def judge(packages: list[dict[str, Any]]) -> tuple[str, int]:
    """What is to be said of the packages as pip-audit tells them, and the exit code."""
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        return NO_ANSWER, 0
    found = [
        f"  {package['name']} {package['version']}: {fault['id']},"
        f" mended in {', '.join(fault['fix_versions']) or 'no version yet'}"
        for package in audited
        for fault in package["vulns"]
    ]
    if not found:
        return f"no known vulnerability in {len(audited)} of {len(packages)} packages.", 0
    return "\n".join([f"{len(found)} known vulnerabilities:", *found]), 1


if __name__ == "__main__":
    main()
