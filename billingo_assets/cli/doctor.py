"""`billingo-assets doctor`: finds faults, and says what to do about them."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from billingo_assets.cli.output import losing_output, say_json, say_parts
from billingo_assets.settings import load_settings

SHOWN = {"ok": "green", "warning": "yellow", "fault": "red"}
WIDTH = max(map(len, SHOWN))


@click.command(short_help="Find what is wrong, and what to do about it.")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object on standard output.")
def doctor(wants_json: bool) -> None:
    """Check everything that a sync and its alerts need.

    It checks who can read `.env`, the database, the encryption key, the API and its clock, each API key, the daemon,
    the last tick of each schedule and sensor, the alerts, and the heartbeat URL, which it calls once.

    Exit code: 0 all is well, 1 there are warnings, 2 there are faults.
    """
    from billingo_assets.cli.diagnosis import diagnose

    findings = []
    for finding in diagnose(load_settings()):
        findings.append(finding)
        if not wants_json:
            with losing_output():
                verdict = f"{finding.verdict:<{WIDTH}}", SHOWN[finding.verdict]
                say_parts(verdict, f"  {finding.what}: {finding.words}", hang=WIDTH + 2)
    if wants_json:
        with losing_output():
            say_json({"findings": [asdict(finding) for finding in findings]})
    verdicts = {finding.verdict for finding in findings}
    sys.exit(2 if "fault" in verdicts else 1 if "warning" in verdicts else 0)
