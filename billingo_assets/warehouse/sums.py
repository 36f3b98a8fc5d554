"""Adds up a company's totals, to compare with books kept elsewhere. Nothing is written."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection, text


class CurrencySums(NamedTuple):
    """The count of live documents in one currency, and the exact sums of their totals."""

    documents: int
    gross: Decimal
    net: Decimal
    vat: Decimal


def sums_by_currency(connection: Connection, company_id: int) -> dict[str, CurrencySums]:
    """The sums over `invoices` by currency; documents without one are under the empty string."""
    query = text(
        """
        SELECT coalesce(currency, ''), count(*), coalesce(sum(gross_total), 0), coalesce(sum(net_total), 0),
               coalesce(sum(vat_total), 0)
        FROM billingo.invoices WHERE company_id = :company AND deleted_at IS NULL
        GROUP BY currency ORDER BY currency
        """
    )
    return {currency: CurrencySums(*sums) for currency, *sums in connection.execute(query, {"company": company_id})}
