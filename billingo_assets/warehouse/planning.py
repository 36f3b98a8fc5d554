"""Guides PostgreSQL's planner where its statistics are missing."""

from __future__ import annotations

from sqlalchemy import Connection


def plan_for_many_rows(connection: Connection) -> None:
    """Avoid nested loops in the rest of this transaction, for statements that compare whole tables of a company.

    Right after a first load there are no statistics: PostgreSQL expects one row, and its nested loop takes minutes.
    """
    connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
