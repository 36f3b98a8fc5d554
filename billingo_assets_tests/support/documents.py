"""Documents as Billingo sends them, for the tests to alter. What is made of them is not said here."""

from decimal import Decimal
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def as_json(value: Any) -> str:
    """Write a value as JSON, decimals as numbers with the digits they have."""
    return _ENCODER.encode(value).decode()


def item(**changes: Any) -> dict[str, Any]:
    return {
        "product_id": 8_112_233,
        "name": "Kötött kardigán, kék",
        "net_unit_amount": Decimal("7866.14"),
        "quantity": Decimal("2.5"),
        "unit": "db",
        "net_amount": Decimal("19665.35"),
        "gross_amount": Decimal("24974.99"),
        "vat": "27%",
        "vat_amount": Decimal("5309.64"),
        "entitlement": None,
        "comment": "Méret: M",
        "sku": "KARD-KEK-M",
        "ean": "5991234567890",
        "data_eraser_codes": [],
        "is_deposit_fee": False,
    } | changes


def partner(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1_790_214_001,
        "name": "Próba Vevő Kft.",
        "address": {"country_code": "HU", "post_code": "1117", "city": "Budapest", "address": "Fő utca 1."},
        "emails": ["vevo@example.com"],
        "taxcode": "12345678-2-43",
        "iban": "HU42117730161111101800000000",
        "swift": "OTPVHUHB",
        "account_number": "11773016-11111018-00000000",
        "phone": "+36 1 234 5678",
        "tax_type": "HAS_TAX_NUMBER",
    } | changes


def document(document_id: int = 90_210_001, **changes: Any) -> dict[str, Any]:
    """Build an invoice in euro with three items; `changes` replace whole top-level fields."""
    return {
        "id": document_id,
        "invoice_number": "INV-2026-000123",
        "type": "invoice",
        "correction_type": None,
        "cancelled": False,
        "block_id": 112_233,
        "payment_status": "paid",
        "payment_method": "wire_transfer",
        "gross_total": Decimal("74924.97"),
        "currency": "EUR",
        "conversion_rate": Decimal("391.250000"),
        "invoice_date": "2026-01-31",
        "fulfillment_date": "2026-01-30",
        "due_date": "2026-02-08",
        "paid_date": "2026-02-02",
        "organization": {
            "name": "Minta Kereskedő Zrt.",
            "tax_number": "87654321-2-42",
            "bank_account": {
                "id": 55_001,
                "name": "Számla",
                "account_number": "10300002-10666666-49020011",
                "account_number_iban": "HU93103000021066666649020011",
                "swift": "MKKBHUHB",
            },
            "address": {"country_code": "HU", "post_code": "1052", "city": "Budapest", "address": "Tér 2."},
            "small_taxpayer": False,
            "ev_number": "",
            "eu_tax_number": "HU87654321",
            "cash_settled": False,
        },
        "document_partner": partner(),
        "electronic": True,
        "comment": "Köszönjük a vásárlást!",
        "tags": ["webshop"],
        "notification_status": "read",
        "language": "hu",
        "items": [item(), item(name="Gyapjú sál", vat="AAM"), item(name="Sapka", quantity=-1)],
        "summary": {
            "net_amount": Decimal("58996.05"),
            "net_amount_local": Decimal("23082204.56"),
            "gross_amount_local": Decimal("29314394.51"),
            "vat_amount": Decimal("15928.92"),
            "vat_amount_local": Decimal("6232189.95"),
            "vat_rate_summary": [{"vat_name": "27%", "vat_percentage": 27}],
        },
        "settings": {"mediated_service": False, "round": "none", "place_id": None},
        "online_szamla_status": "success",
        "related_documents": [{"id": 90_209_999, "invoice_number": "D-2026-17"}],
        "discount": None,
    } | changes
