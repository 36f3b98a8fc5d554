"""What is loaded within `loading` is out of the garbage collector's sight, and what comes after is not."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from billingo_assets.startup import loading


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def is_looked_at(thing: object) -> bool:
    return any(other is thing for other in gc.get_objects())


def test_only_what_was_loaded_is_spared() -> None:
    sys.modules.pop("colorsys", None)
    with loading():
        importlib.import_module("colorsys")
        loaded = ["stays"]
        assert not gc.isenabled()
    made = ["may go"]
    assert gc.isenabled()
    assert (is_looked_at(loaded), is_looked_at(made)) == (False, True)


def test_where_nothing_was_loaded_nothing_is_spared() -> None:
    with loading():
        made = ["may go"]
    assert gc.isenabled()
    assert is_looked_at(made)


def test_a_module_that_does_not_load_leaves_the_collector_on() -> None:
    with pytest.raises(ImportError, match="broken"), loading():
        raise ImportError("broken")
    assert gc.isenabled()


def test_the_end_of_a_process_is_no_collection_of_all_it_has() -> None:
    program = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count())); import billingo_assets.startup"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(ended.stdout) > 1000
