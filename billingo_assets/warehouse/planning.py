"""How PostgreSQL is to plan what it does not know enough of."""

from __future__ import annotations

from sqlalchemy import Connection


def plan_for_many_rows(connection: Connection) -> None:
    """Plan no loop in the rest of this transaction, for statements that compare a company's tables whole.

    Right after a first load there are no statistics, and a loop over what is taken for one row takes minutes.
    """
    connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
