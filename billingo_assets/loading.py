"""Keeps what a process loads small, and the garbage collector off it: a million objects that live to its end.

Dagster, pandas and SQLAlchemy make so many while they are imported that the collector walks through all of them some
ten times, and once more when the process ends: 0.9 of the 2.2 s of CPU of a sync that finds nothing new.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Load within this what stays for as long as the process: nothing of it is collected, nor looked at again.

    Where everything was loaded before, nothing is kept: garbage would be, with the connections that hang on it.
    """
    before = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:
            gc.freeze()
        gc.enable()


@contextmanager
def without(module: str) -> Iterator[None]:
    """Load within this what takes `module` along where it is installed, and can do without it."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # as Python's own import system has it
    try:
        yield
    finally:
        del sys.modules[module]


# What is there at the end goes with the process.
atexit.register(gc.freeze)
