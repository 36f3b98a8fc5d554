"""What the tests of this room share: see `support/dagster_runs.py` and `support/past_runs.py`."""

from billingo_assets_tests.support.dagster_runs import defs, job, live_defs, migrated_template, sync
from billingo_assets_tests.support.past_runs import age, refuse

__all__ = ["age", "defs", "job", "live_defs", "migrated_template", "refuse", "sync"]
