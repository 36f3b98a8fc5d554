"""Whose books an API key opens: asks Billingo, and compares the answer with what is registered.

A company is known by what its tax code keeps for life (`companies.tax_codes`). Where Billingo tells none, the issuer on
its newest document stands in.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.errors import IdentityMismatchError
from billingo_assets.billingo.models import Identity, usable_code
from billingo_assets.companies.registry import Company
from billingo_assets.companies.tax_codes import taxpayer
from billingo_assets.streams import DOCUMENTS


class _Issuer(msgspec.Struct):
    tax_number: str | None = None


class _Issued(msgspec.Struct):
    organization: _Issuer | None = None


def identify(client: BillingoClient, company: Company) -> Identity:
    """Ask whose the company's key is.

    Raises:
        IdentityMismatchError: it is another's, or nothing says that it is the company's.
        BillingoError: the API failed.
    """
    identity = client.identity()
    if company.tax_code is not None and identity.tax_code is None:
        identity = replace(identity, tax_code=_newest_issuer(client))
    require_same_company(company, identity.tax_code)
    return identity


def require_same_company(company: Company, tax_code: str | None) -> None:
    """Raise IdentityMismatchError when a key answers with the tax code of another taxpayer than the registered one."""
    stored = company.tax_code
    if stored is None or (tax_code is not None and taxpayer(tax_code) == taxpayer(stored)):
        return
    found = tax_code or "a company without a tax code"
    confirm = (
        "If it is the same company under a new tax number, as after joining or leaving a VAT group, confirm that with"
        f" `billingo-assets company confirm-identity {company.key} --tax-code {tax_code}`. If not, store the right key"
        if tax_code
        else "Store the right key"
    )
    raise IdentityMismatchError(
        f"The API key stored for {company.key} (tax code {stored}) opens the books of {found}. Nothing was read."
        f" {confirm} with `billingo-assets company set-key {company.key}`.",
        expected=stored,
        found=tax_code,
    )


def tax_code_of(client: BillingoClient) -> str | None:
    """Whose the books are that a key opens, without comparing; None where nothing says so."""
    return client.identity().tax_code or _newest_issuer(client)


def _newest_issuer(client: BillingoClient) -> str | None:
    """The tax number on the newest document. None where there is no document, or none that says it."""
    for document in client.records(DOCUMENTS.path, page=1, page_size=1).records[:1]:
        try:
            issuer = msgspec.json.decode(document, type=_Issued).organization
        except (ValueError, RecursionError):
            return None
        return usable_code(issuer.tax_number) if issuer else None
    return None
