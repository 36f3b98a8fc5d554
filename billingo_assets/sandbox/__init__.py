"""A Billingo API v3 server to develop, test and demonstrate against, with faults on request.

Everything the sandbox says about the API belongs here. Nothing of the product is imported: the client and
the sandbox are two readings of the same documentation, and a mistake in one must not hide in the other.
"""

from billingo_assets.sandbox.company import Company, CompanySpec
from billingo_assets.sandbox.errors import (
    NotLoopbackError,
    PortTakenError,
    RefusedMutationError,
    SandboxError,
    UnknownCompanyError,
    UnknownDocumentError,
)
from billingo_assets.sandbox.faults import AfterPage, Fault, Faults, RateLimit
from billingo_assets.sandbox.ledger import CurrencyTotals, Ledger
from billingo_assets.sandbox.quirks import Habits, Quirks
from billingo_assets.sandbox.server import RequestRecord, SandboxServer, serve
from billingo_assets.sandbox.world import DEFAULT_COMPANIES, World

__all__ = [
    "DEFAULT_COMPANIES",
    "AfterPage",
    "Company",
    "CompanySpec",
    "CurrencyTotals",
    "Fault",
    "Faults",
    "Habits",
    "Ledger",
    "NotLoopbackError",
    "PortTakenError",
    "Quirks",
    "RateLimit",
    "RefusedMutationError",
    "RequestRecord",
    "SandboxError",
    "SandboxServer",
    "UnknownCompanyError",
    "UnknownDocumentError",
    "World",
    "serve",
]
