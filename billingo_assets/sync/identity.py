"""Finds out which company an API key belongs to, and compares it with the registered one.

The part of a tax code that a taxpayer keeps for life identifies a company (`companies.tax_codes`). If Billingo returns
no tax code, the issuer's on the newest document counts.
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
    """Ask Billingo which company the key belongs to.

    Raises:
        IdentityMismatchError: it belongs to another company, or nothing shows that it is this one's.
        BillingoError: the API failed.
    """
    identity = client.identity()
    if company.tax_code is not None and identity.tax_code is None:
        identity = replace(identity, tax_code=_newest_issuer(client))
    require_same_company(company, identity.tax_code)
    return identity


def require_same_company(company: Company, tax_code: str | None) -> None:
    """Raise IdentityMismatchError if the key's tax code is another taxpayer's than the registered one."""
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
    """Return the tax code of a key's company, without comparing it; None if nothing shows it."""
    return client.identity().tax_code or _newest_issuer(client)


def _newest_issuer(client: BillingoClient) -> str | None:
    """The issuer's tax number on the newest document; None if there is no document, or no number on it."""
    for document in client.records(DOCUMENTS.path, page=1, page_size=1).records[:1]:
        try:
            issuer = msgspec.json.decode(document, type=_Issued).organization
        except (ValueError, RecursionError):
            return None
        return usable_code(issuer.tax_number) if issuer else None
    return None
