"""Who issues and who receives: the organization of a company, its API key and its partners.

Everything is drawn from the given generator, so the same seed gives the same identities. The documents are
written in `generator`.
"""

import uuid
from random import Random
from typing import Any

from billingo_assets.sandbox import vocabulary as words

_TAX_WEIGHTS = (9, 7, 3, 1, 9, 7, 3)


def tax_code(rng: Random) -> str:
    """Draw a Hungarian tax number NNNNNNNN-N-NN whose eighth digit is the check digit of the first seven."""
    digits = [rng.randrange(1, 10), *(rng.randrange(10) for _ in range(6))]
    check = -sum(digit * weight for digit, weight in zip(digits, _TAX_WEIGHTS, strict=True)) % 10
    return f"{''.join(map(str, digits))}{check}-2-{rng.choice(('41', '42', '13', '08'))}"


def api_key(rng: Random) -> str:
    """Draw a UUID-shaped API key."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def account_number(rng: Random) -> str:
    """Draw a Hungarian bank account number of three times eight digits."""
    return "-".join(f"{rng.randrange(10**8):08}" for _ in range(3))


def is_exempt(name: str) -> bool:
    """Whether a company of this name is a small business without VAT."""
    return name.endswith((" e.v.", " Bt."))


def organization(rng: Random, name: str) -> dict[str, Any]:
    """Draw the `organization` of a company's documents; only sole traders (e.v.) are small taxpayers."""
    post_code, city = rng.choice(words.TOWNS)
    account = account_number(rng)
    is_sole_trader = name.endswith(" e.v.")
    return {
        "name": name,
        "tax_number": tax_code(rng),
        "bank_account": {
            "id": rng.randrange(1000, 100000),
            "name": "Forint főszámla",
            "account_number": account,
            "account_number_iban": f"HU{rng.randrange(10, 98)}{account.replace('-', '')}",
            "swift": rng.choice(("OTPVHUHB", "GIBAHUHB", "BUDAHUHB")),
        },
        "address": {
            "country_code": "HU",
            "post_code": post_code,
            "city": city,
            "address": f"{rng.choice(words.STREETS)} {rng.randrange(1, 200)}.",
        },
        "small_taxpayer": is_sole_trader,
        "ev_number": f"{rng.randrange(10**7, 10**8)}" if is_sole_trader else "",
        "eu_tax_number": "",
        "cash_settled": not name.endswith(("Zrt.", "Nyrt.")) and rng.random() < 0.5,
    }


def partners(rng: Random, count: int) -> list[dict[str, Any]]:
    """Draw `count` partners: Hungarian companies and private persons, and every foreign one we know."""
    foreign = [_foreign(rng, id_, *row) for id_, row in enumerate(words.FOREIGN_PARTNERS, start=500_000)]
    return [_domestic(rng, id_) for id_ in range(500_100, 500_100 + count)] + foreign


def _domestic(rng: Random, id_: int) -> dict[str, Any]:
    family, given = rng.choice(words.FAMILY_NAMES), rng.choice(words.GIVEN_NAMES)
    private = rng.random() < 0.3
    post_code, city = rng.choice(words.TOWNS)
    account = "" if private else account_number(rng)
    return {
        "id": id_,
        "name": f"{family} {given}" if private else f"{family} {rng.choice(words.TRADES)} {rng.choice(words.FORMS)}",
        "address": {
            "country_code": "HU",
            "post_code": post_code,
            "city": city,
            "address": f"{rng.choice(words.STREETS)} {rng.randrange(1, 200)}/{rng.choice('AB')}",
        },
        "emails": [] if rng.random() < 0.2 else [f"szamla{id_}@example.hu"],
        "taxcode": "" if private else tax_code(rng),
        "iban": f"HU{rng.randrange(10, 98)}{account.replace('-', '')}" if account and rng.random() < 0.3 else "",
        "swift": "",
        "account_number": account or "--",
        "phone": rng.choice(("", "", "+36 30 123 4567")),
        "tax_type": "NO_TAX_NUMBER" if private else "HAS_TAX_NUMBER",
        "partner_shipping": _shipping(rng, f"{family} {given}"),
    }


def _foreign(
    rng: Random, id_: int, name: str, country_code: str, post_code: str, city: str, address: str, taxcode: str
) -> dict[str, Any]:
    return {
        "id": id_,
        "name": name,
        "address": {"country_code": country_code, "post_code": post_code, "city": city, "address": address},
        "emails": ["accounting@example.com", "office@example.com"],
        "taxcode": taxcode,
        "iban": f"{country_code}{rng.randrange(10**18):018}",
        "swift": "GIBAATWW",
        "account_number": "--",
        "phone": "+43 1 2345678",
        "tax_type": "FOREIGN",
        "partner_shipping": None,
    }


def _shipping(rng: Random, name: str) -> dict[str, Any] | None:
    if rng.random() < 0.8:
        return None
    return {"match": True, "name": name, "mode": rng.choice(words.SHIPPING_MODES), "address": None}
