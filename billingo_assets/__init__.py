"""Every Billingo document of every company in one PostgreSQL, as Dagster assets.

`definitions` is the code location; `cli` is the `billingo-assets` command. The rooms below them
(`billingo`, `sync`, `normalize`, `warehouse`, `companies`) do not import Dagster.
"""

__version__ = "0.1.0"
