"""Keeps the garbage collector off what a process loads: a million objects that live to its end.

Dagster, pandas and SQLAlchemy make so many while they are imported that the collector walks through all of them some
ten times, and once more when the process ends: 0.9 of the 2.2 s of CPU of a sync that finds nothing new.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Load within this what stays for as long as the process: nothing of it is collected, nor looked at again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


# What is there at the end goes with the process.
atexit.register(gc.freeze)
