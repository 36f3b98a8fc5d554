"""What one process cost: time, processor, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import IO

_MAXRSS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of a contender.

    `wall_seconds` is the whole process, the start of Python included; `inner_seconds` is the work alone, in the
    contender's own words. `cpu_seconds` is the process and its children; `peak_mib` is the largest one of them.
    `postgres_seconds` is the processor time of PostgreSQL meanwhile, which is not among them; the API is not counted.
    """

    wall_seconds: float
    inner_seconds: float
    cpu_seconds: float
    peak_mib: float
    requests: int
    postgres_seconds: float


def median_of(samples: Sequence[Sample]) -> Sample:
    """The median of each figure by itself."""
    return Sample(*(median(asdict(sample)[field.name] for sample in samples) for field in fields(Sample)))


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that ended well: what it printed, and what it cost (see `Sample`)."""

    output: str
    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


def run(command: Sequence[str | Path], *, environment: dict[str, str], folder: Path, told: str = "") -> Finished:
    """Run a program in `folder`, with `told` on its standard input.

    It has a session of its own: Ctrl-C reaches it through us, and none of its children outlives it.
    Raises RuntimeError with its last words if it fails.
    """
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        given.write(told)
        given.seek(0)
        started = time.monotonic()
        process = subprocess.Popen(  # noqa: S603
            command, stdin=given, stdout=out, stderr=err, cwd=folder, env=environment, start_new_session=True
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        wall_seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{_text(out)[-2000:]}{_text(err)[-4000:]}")
        cpu_seconds = usage.ru_utime + usage.ru_stime
        return Finished(_text(out), wall_seconds, cpu_seconds, usage.ru_maxrss / _MAXRSS_PER_MIB)


def _text(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()
