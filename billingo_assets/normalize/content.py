"""Which fields of a document are its content, and which only follow the clock.

Billingo fills `paid_date` of a document that is not paid with the day on which it is read, so that the document differs
from itself a day later although nobody touched it. Such a field is no content: it is not hashed, not compared, and no
column shows it. The stored payload keeps it as sent.

The rule names the statuses in which the field is true. A status that is missing, or that a later release of the API
brings, is none of them: a payment date that nobody paid on is worse than none.
"""

from __future__ import annotations

PAID_DATE = "paid_date"
PAYMENT_STATUS = "payment_status"
PAID_STATUSES = ("paid", "partially_paid")
"""With any other `payment_status`, or none, `paid_date` follows the clock."""


def follows_clock(payment_status: object) -> bool:
    """Whether `paid_date` of a document with this status says nothing but the day on which it was read."""
    return payment_status not in PAID_STATUSES
