"""What the tests of this room share: see `support/dagster_runs.py`."""

from billingo_assets_tests.support.dagster_runs import defs, job, live_defs, migrated_template, sync

__all__ = ["defs", "job", "live_defs", "migrated_template", "sync"]
