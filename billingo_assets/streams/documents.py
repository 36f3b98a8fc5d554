"""Documents: invoices, receipts, drafts and every other type, with their lines and links.

All their columns are declared here and nowhere else. The columns that the warehouse adds (`company_id`, `deleted_at`)
and the reading of values do not belong here.
"""

from __future__ import annotations

from billingo_assets.streams.stream import Changes, Clock, Column, NormalizedTable, Stream

INVOICES = NormalizedTable(
    name="invoices",
    comment="One row for each document of every type, drafts too: filter by type and deleted_at",
    asset=(
        "One row a document, with exact amounts and dates as dates. Its `type` tells invoices from drafts,"
        " receipts, cancellations and the rest; `deleted_at` is set when Billingo no longer has it."
    ),
    key=("id",),
    columns=(
        Column(
            "id",
            "integer",
            "Billingo's id of the document, unique within its company",
            "id",
            nullable=False,
            essential=True,
        ),
        Column(
            "invoice_number",
            "text",
            "Number printed on the document; NULL on drafts",
            "invoice_number",
            personal=False,
            essential=True,
        ),
        Column(
            "type",
            "text",
            "Document type: invoice, cancellation (storno), modification, advance, receipt, proforma, draft, …",
            "type",
            personal=False,
            essential=True,
        ),
        Column(
            "correction_type",
            "text",
            "Type of correction; Billingo repeats `type` on ordinary documents",
            "correction_type",
            personal=False,
        ),
        Column("cancelled", "boolean", "Whether another document cancels this one", "cancelled", essential=True),
        Column("block_id", "integer", "Billingo's id of the document block (number range)", "block_id"),
        Column(
            "payment_status",
            "text",
            "paid, partially_paid, outstanding, expired or none",
            "payment_status",
            personal=False,
            essential=True,
        ),
        Column(
            "payment_method", "text", "How it is to be paid: wire_transfer, cash, …", "payment_method", personal=False
        ),
        Column("gross_total", "amount", "Total with VAT, in `currency`", "gross_total", essential=True),
        Column("net_total", "amount", "Total without VAT, in `currency`", "summary.net_amount", essential=True),
        Column("vat_total", "amount", "VAT, in `currency`", "summary.vat_amount", essential=True),
        Column(
            "currency", "text", "ISO 4217 code of the document's currency", "currency", personal=False, essential=True
        ),
        Column(
            "conversion_rate",
            "amount",
            "Local currency (HUF) per unit of `currency`",
            "conversion_rate",
            essential=True,
        ),
        Column("invoice_date", "date", "Date of issue", "invoice_date", essential=True),
        Column(
            "fulfillment_date",
            "date",
            "Date of supply, which decides the VAT period",
            "fulfillment_date",
            essential=True,
        ),
        Column("due_date", "date", "Payment deadline", "due_date", essential=True),
        Column(
            "paid_date",
            "date",
            "Date of payment; NULL unless payment_status is paid or partially_paid",
            "paid_date",
            essential=True,
        ),
        Column("organization_name", "text", "Name of the issuing company", "organization.name", personal=True),
        Column(
            "organization_tax_number",
            "text",
            "Tax number of the issuer",
            "organization.tax_number",
            personal=True,
            is_code=True,
        ),
        Column(
            "organization_bank_account_number",
            "text",
            "The issuer's bank account",
            "organization.bank_account.account_number",
            personal=True,
            is_code=True,
        ),
        Column(
            "organization_bank_account_iban",
            "text",
            "The issuer's bank account as IBAN",
            "organization.bank_account.account_number_iban",
            personal=True,
            is_code=True,
        ),
        Column(
            "organization_swift",
            "text",
            "SWIFT code of the issuer's bank",
            "organization.bank_account.swift",
            personal=True,
            is_code=True,
        ),
        Column("partner_id", "integer", "Billingo's id of the partner (the customer)", "document_partner.id"),
        Column("partner_name", "text", "Name of the partner", "document_partner.name", personal=True, masked="initial"),
        Column(
            "partner_tax_number",
            "text",
            "Tax number of the partner",
            "document_partner.taxcode",
            personal=True,
            is_code=True,
        ),
        Column(
            "partner_iban",
            "text",
            "The partner's bank account as IBAN",
            "document_partner.iban",
            personal=True,
            is_code=True,
        ),
        Column(
            "partner_swift",
            "text",
            "SWIFT code of the partner's bank",
            "document_partner.swift",
            personal=True,
            is_code=True,
        ),
        Column(
            "partner_account_number",
            "text",
            "The partner's bank account",
            "document_partner.account_number",
            personal=True,
            is_code=True,
        ),
        Column("comment", "text", "Comment on the document", "comment", personal=True),
        Column(
            "online_szamla_status",
            "text",
            "State of its report to the tax authority (NAV Online Számla)",
            "online_szamla_status",
            personal=False,
        ),
        Column(
            "net_total_local",
            "amount",
            "Total without VAT, in local currency",
            "summary.net_amount_local",
            essential=True,
        ),
        Column("vat_total_local", "amount", "VAT, in local currency", "summary.vat_amount_local", essential=True),
        Column(
            "gross_total_local",
            "amount",
            "Total with VAT, in local currency",
            "summary.gross_amount_local",
            essential=True,
        ),
        Column("language", "text", "Language in which the document is issued", "language", personal=False),
        Column("electronic", "boolean", "Whether it is an electronic document", "electronic"),
        Column(
            "notification_status",
            "text",
            "Whether it was sent to the partner, or read",
            "notification_status",
            personal=False,
        ),
        Column(
            "rounding",
            "text",
            "Unit to which its total is rounded: none, one, five or ten",
            "settings.round",
            personal=False,
        ),
        Column("discount_type", "text", "Unit of `discount_value`: percent", "discount.type", personal=False),
        Column("discount_value", "amount", "Discount on the whole document", "discount.value"),
    ),
)

INVOICE_ITEMS = NormalizedTable(
    name="invoice_items",
    comment="The lines of documents that are not deleted",
    asset="One row a line of a document that is not deleted, replaced together with its document.",
    key=("invoice_id", "position"),
    columns=(
        Column("invoice_id", "integer", "The document that holds the line", "id", nullable=False),
        Column("position", "integer", "Place of the line in the document, from 1", "items[]", nullable=False),
        Column(
            "product_id", "integer", "Billingo's id of the product; NULL if the line names none", "items[].product_id"
        ),
        Column("name", "text", "Name of the product or service", "items[].name", personal=True),
        Column(
            "quantity",
            "amount",
            "How many of `unit`; may be fractional or negative",
            "items[].quantity",
            essential=True,
        ),
        Column("unit", "text", "Unit of `quantity`", "items[].unit", personal=True),
        Column("net_unit_amount", "amount", "Price of one unit without VAT", "items[].net_unit_amount", essential=True),
        Column(
            "net_amount",
            "amount",
            "Amount of the line without VAT, in the document's currency",
            "items[].net_amount",
            essential=True,
        ),
        Column(
            "vat_amount", "amount", "VAT of the line, in the document's currency", "items[].vat_amount", essential=True
        ),
        Column(
            "gross_amount",
            "amount",
            "Amount of the line with VAT, in the document's currency",
            "items[].gross_amount",
            essential=True,
        ),
        Column(
            "vat",
            "text",
            "VAT rate or the code of an exemption: 27%, AAM, K.AFA, …",
            "items[].vat",
            personal=False,
            essential=True,
        ),
        Column(
            "entitlement",
            "text",
            "Legal ground for an exemption from VAT",
            "items[].entitlement",
            personal=False,
            essential=True,
        ),
        Column("comment", "text", "Comment on the line", "items[].comment", personal=True),
        Column("sku", "text", "Stock-keeping unit of the product", "items[].sku", personal=True),
        Column("ean", "text", "Bar code (EAN) of the product", "items[].ean", personal=True),
    ),
)

RELATED_DOCUMENTS = NormalizedTable(
    name="related_documents",
    comment="Links from a document to others: storno, correction, advance",
    key=("invoice_id", "related_invoice_id"),
    columns=(
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
            personal=False,
        ),
    ),
)

# Billingo fills `paid_date` of an unpaid document with the day of the request, so the document differs a day later
# although nobody touched it. The rule lists the statuses in which the field is true. A missing status, or one that a
# later release of the API adds, is not among them: a false payment date is worse than none.
PAID_DATE = Clock(field="paid_date", unless="payment_status", values=("paid", "partially_paid"))

DOCUMENTS = Stream(
    name="documents",
    noun="document",
    about="""Every document of the company as Billingo sent it, with a hash of its content.

An unchanged document is not written. When a document changes, its former content goes to `raw_invoice_versions`. A
document that is gone keeps its row and gets `deleted_at`. One that cannot be stored goes to `rejected_documents`. After
the first full sync, each sync reads new and changed documents; if the counts then differ, it reads everything. A
company that is disabled or was removed is skipped.""",
    path="/documents",
    raw="raw_invoices",
    versions="raw_invoice_versions",
    raw_key="document_id",
    tables=(INVOICES, INVOICE_ITEMS, RELATED_DOCUMENTS),
    clock=PAID_DATE,
    no_content="the paid_date of an unpaid document",
    counted=INVOICE_ITEMS,
    is_numbered=True,
    normalizer_version=3,
    strategy=Changes(
        modified_since="last_modified_date",
        paid_since="paid_start_date",
    ),
)
