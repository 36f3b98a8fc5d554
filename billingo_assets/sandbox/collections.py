"""The collections beside the documents: each is made once for a company, and listed as it stands then.

Tests change the records of a company in place: `company.collections["/bank-accounts"]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billingo_assets.sandbox.books import Books

Records = list[dict[str, Any]]

COLLECTIONS: dict[str, Callable[[Books], Records]] = {}
"""The function that makes the records of each collection, by its path. A new one is listed here."""
