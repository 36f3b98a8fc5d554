"""The columns of the normalized tables: name, kind, meaning and source of each, in the tables' order.

This is the one place that says them: the reader of documents, the database tables and the column schemas
in the UI follow from it. What the caller adds (`company_id`, `deleted_at`) and how a value is read do not
belong here.
"""

from typing import Literal, NamedTuple

NORMALIZER_VERSION = 3
"""Raise it with every change of what a document normalizes to: stored documents are then normalized again."""

Kind = Literal["text", "integer", "amount", "date", "boolean"]
"""Python values: str, int of 64 bits, Decimal (see `values.AMOUNT`), datetime.date, bool."""


class Column(NamedTuple):
    """One column; `source` is its path in the document, `[]` standing for each element of a list."""

    name: str
    kind: Kind
    description: str
    source: str
    nullable: bool = True


INVOICE_COLUMNS = (
    Column("id", "integer", "Billingo's id of the document, unique within its company", "id", nullable=False),
    Column("invoice_number", "text", "Number printed on the document; NULL on drafts", "invoice_number"),
    Column(
        "type",
        "text",
        "Document type: invoice, cancellation (storno), modification, advance, receipt, proforma, draft, …",
        "type",
    ),
    Column(
        "correction_type",
        "text",
        "Type of correction; Billingo repeats `type` on ordinary documents",
        "correction_type",
    ),
    Column("cancelled", "boolean", "Whether another document cancels this one", "cancelled"),
    Column("block_id", "integer", "Billingo's id of the document block (number range)", "block_id"),
    Column("payment_status", "text", "paid, partially_paid, outstanding, expired or none", "payment_status"),
    Column("payment_method", "text", "How it is to be paid: wire_transfer, cash, …", "payment_method"),
    Column("gross_total", "amount", "Total with VAT, in `currency`", "gross_total"),
    Column("net_total", "amount", "Total without VAT, in `currency`", "summary.net_amount"),
    Column("vat_total", "amount", "VAT, in `currency`", "summary.vat_amount"),
    Column("currency", "text", "ISO 4217 code of the document's currency", "currency"),
    Column("conversion_rate", "amount", "Local currency (HUF) per unit of `currency`", "conversion_rate"),
    Column("invoice_date", "date", "Date of issue", "invoice_date"),
    Column("fulfillment_date", "date", "Date of supply, which decides the VAT period", "fulfillment_date"),
    Column("due_date", "date", "Payment deadline", "due_date"),
    Column("paid_date", "date", "Date of payment; NULL unless payment_status is paid or partially_paid", "paid_date"),
    Column("organization_name", "text", "Name of the issuing company", "organization.name"),
    Column("organization_tax_number", "text", "Tax number of the issuer", "organization.tax_number"),
    Column(
        "organization_bank_account_number",
        "text",
        "The issuer's bank account",
        "organization.bank_account.account_number",
    ),
    Column(
        "organization_bank_account_iban",
        "text",
        "The issuer's bank account as IBAN",
        "organization.bank_account.account_number_iban",
    ),
    Column("organization_swift", "text", "SWIFT code of the issuer's bank", "organization.bank_account.swift"),
    Column("partner_id", "integer", "Billingo's id of the partner (the customer)", "document_partner.id"),
    Column("partner_name", "text", "Name of the partner", "document_partner.name"),
    Column("partner_tax_number", "text", "Tax number of the partner", "document_partner.taxcode"),
    Column("partner_iban", "text", "The partner's bank account as IBAN", "document_partner.iban"),
    Column("partner_swift", "text", "SWIFT code of the partner's bank", "document_partner.swift"),
    Column("partner_account_number", "text", "The partner's bank account", "document_partner.account_number"),
    Column("comment", "text", "Comment on the document", "comment"),
    Column(
        "online_szamla_status",
        "text",
        "State of its report to the tax authority (NAV Online Számla)",
        "online_szamla_status",
    ),
    Column("net_total_local", "amount", "Total without VAT, in local currency", "summary.net_amount_local"),
    Column("vat_total_local", "amount", "VAT, in local currency", "summary.vat_amount_local"),
    Column("gross_total_local", "amount", "Total with VAT, in local currency", "summary.gross_amount_local"),
    Column("language", "text", "Language in which the document is issued", "language"),
    Column("electronic", "boolean", "Whether it is an electronic document", "electronic"),
    Column("notification_status", "text", "Whether it was sent to the partner, or read", "notification_status"),
    Column("rounding", "text", "Unit to which its total is rounded: none, one, five or ten", "settings.round"),
    Column("discount_type", "text", "Unit of `discount_value`: percent", "discount.type"),
    Column("discount_value", "amount", "Discount on the whole document", "discount.value"),
)

ITEM_COLUMNS = (
    Column("invoice_id", "integer", "The document that holds the line", "id", nullable=False),
    Column("position", "integer", "Place of the line in the document, from 1", "items[]", nullable=False),
    Column("product_id", "integer", "Billingo's id of the product; NULL if the line names none", "items[].product_id"),
    Column("name", "text", "Name of the product or service", "items[].name"),
    Column("quantity", "amount", "How many of `unit`; may be fractional or negative", "items[].quantity"),
    Column("unit", "text", "Unit of `quantity`", "items[].unit"),
    Column("net_unit_amount", "amount", "Price of one unit without VAT", "items[].net_unit_amount"),
    Column("net_amount", "amount", "Amount of the line without VAT, in the document's currency", "items[].net_amount"),
    Column("vat_amount", "amount", "VAT of the line, in the document's currency", "items[].vat_amount"),
    Column("gross_amount", "amount", "Amount of the line with VAT, in the document's currency", "items[].gross_amount"),
    Column("vat", "text", "VAT rate or the code of an exemption: 27%, AAM, K.AFA, …", "items[].vat"),
    Column("entitlement", "text", "Legal ground for an exemption from VAT", "items[].entitlement"),
    Column("comment", "text", "Comment on the line", "items[].comment"),
    Column("sku", "text", "Stock-keeping unit of the product", "items[].sku"),
    Column("ean", "text", "Bar code (EAN) of the product", "items[].ean"),
)

RELATED_COLUMNS = (
    Column("invoice_id", "integer", "The document that refers to another", "id", nullable=False),
    Column(
        "related_invoice_id",
        "integer",
        "The document referred to; it need not be in invoices",
        "related_documents[].id",
        nullable=False,
    ),
    Column(
        "related_invoice_number",
        "text",
        "Number of the document referred to",
        "related_documents[].invoice_number",
    ),
)

ESSENTIAL = frozenset(
    {
        "cancelled",
        "conversion_rate",
        "currency",
        "due_date",
        "entitlement",
        "fulfillment_date",
        "gross_amount",
        "gross_total",
        "gross_total_local",
        "id",
        "invoice_date",
        "invoice_number",
        "net_amount",
        "net_total",
        "net_total_local",
        "net_unit_amount",
        "paid_date",
        "payment_status",
        "quantity",
        "type",
        "vat",
        "vat_amount",
        "vat_total",
        "vat_total_local",
    }
)
"""Columns of invoices and lines without which nobody could rely on a document: which one it is, of what kind and state,
its dates and its amounts. A value of these that cannot be read sends the document to quarantine, and so does an object
or list that holds one of them. Any other column is NULL then, and the column `UNREADABLE` names it."""

UNREADABLE = "unreadable"
"""Of invoices: the names of such columns, as in `partner_name, invoice_items.comment, related_documents`."""

CODES = frozenset(
    {
        "organization_bank_account_iban",
        "organization_bank_account_number",
        "organization_swift",
        "organization_tax_number",
        "partner_account_number",
        "partner_iban",
        "partner_swift",
        "partner_tax_number",
    }
)
"""Numbers of accounts, banks and taxpayers: Billingo writes `--` where there is none."""
