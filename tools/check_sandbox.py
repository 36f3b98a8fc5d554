"""Compares what the sandbox answers with what is known of Billingo's API: `python -m tools.check_sandbox`.

The tables are facts: names of fields, types, values of enums, from the OpenAPI descriptions 3.0.14 and 3.0.15.
Every page of several worlds is read over HTTP, one for each of the sandbox's habits, and every error answer is called
forth. Ends with 1 when an answer has a field that is not known, of another type, or with a value that no enum has.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import msgspec

from billingo_assets.sandbox import Company, CompanySpec, Fault, Habits, RateLimit, SandboxServer, World

TABLES = {
    "listing": "data [document], total int, per_page int, current_page int, last_page int, prev_page_url str~,"
    " next_page_url str~",
    "document": "id int, invoice_number str~, type type, cancelled bool, block_id int, payment_status payment_status,"
    " payment_method payment_method, gross_total num, currency currency, conversion_rate num, invoice_date date,"
    " fulfillment_date date, due_date date~, paid_date date~, organization organization, partner partner,"
    " document_partner document_partner, electronic bool, comment str~, tags [str], notification_status notification,"
    " language language, items [item], summary summary, settings settings, online_szamla_status nav_status~,"
    " related_documents [related], discount discount~, correction_type correction_type, +recurring_id int",
    "related": "id int, invoice_number str",
    "discount": "type discount_type, value int",
    "item": "product_id int?, name str, net_unit_amount num, quantity num, unit str, net_amount num, gross_amount num,"
    " vat vat, vat_amount num, entitlement entitlement~, comment str, +sku str, +data_eraser_codes str,"
    " +is_deposit_fee bool, +ean str, +is_connect_product bool, +connected_item connected_item?,"
    " +connect_document_item_setting connection?",
    "nav_record": "transaction_id str, status nav_status, messages [nav_message]",
    "nav_message": "validation_result_code str, validation_error_code str, human_readable_message str",
    "connected_item": "+product_id int, +item_index int",
    "connection": "+apply_quantity bool, +disable_discount bool",
    "summary": "net_amount num, net_amount_local num, gross_amount_local num, vat_amount num, vat_amount_local num,"
    " vat_rate_summary [vat_row]",
    "vat_row": "vat_name str, vat_percentage num, vat_rate_net_amount num, vat_rate_vat_amount num,"
    " vat_rate_vat_amount_local num, vat_rate_gross_amount num",
    "settings": "mediated_service bool, without_financial_fulfillment bool, online_payment online_payment,"
    " +should_send_email bool, round round, no_send_onlineszamla_by_user bool,"
    " +dont_send_to_nav_reason not_sent_reason?, order_number str, place_id int?, instant_payment bool?,"
    " selected_type type?, +instant_payment_request payment_request?, +is_waybill_hide_prices bool?",
    "payment_request": "+debtor_bank_account str, +different_amount_allowed bool, +update_partner_payment_details bool",
    "organization": "name str, tax_number str, bank_account bank_account, address address, small_taxpayer bool,"
    " ev_number str, eu_tax_number str, cash_settled bool",
    "bank_account": "id int?, name str, account_number str, account_number_iban str, swift str",
    "address": "country_code country, post_code str, city str, address str",
    "document_partner": "id int, name str, address address, emails [str], taxcode str, iban str, swift str,"
    " account_number str, phone str, tax_type tax_type, +partner_shipping shipping?",
    "partner": "id int, name str, address address, emails [str], taxcode str, iban str, swift str, account_number str,"
    " phone str, tax_type tax_type, +partner_shipping shipping?, general_ledger_number str,"
    " custom_billing_settings billing, group_member_tax_number str?, +giro_settings giro?, +internal_comment str?,"
    " +partner_show_type show_type?",
    "billing": "payment_method payment_method?, document_form form?, due_days int, document_currency currency,"
    " template_language_code language?, discount discount?, +custom_label label?",
    "label": "+label str, +is_visible bool",
    "giro": "+giro_default_settings bool, +giro_payment_request_enabled bool, +giro_different_amount_allowed bool",
    "shipping": "+match bool, +name str, +mode shipping_mode, +address address?",
    "whose_key": "tax_code str, subscription subscription, +has_nav_connection bool",
    "subscription": "expiration_date date, features [feature]",
    "time": "epoch int, formatted str, w3c str, timezone str",
    "error": "error reason",
    "reason": "message str",
    "failure": "error traced_reason",
    "traced_reason": "message str, trace_id str",
    "invalid": "message str, errors [problem]",
    "problem": "field str, message str",
}
"""Objects: names and types. `[x]` is a list, `?` may be null; `~` is null or "" in practice, though nobody says so.

What begins with `+` came with 3.0.15, which also says what may be null.
"""

VALUES = {
    "type": "advance, cancellation, cert_of_completion, d_cert_of_completion, dossier, draft, draft_offer,"
    " draft_order_form, draft_waybill, invoice, modification, offer, order_form, proforma, receipt,"
    " receipt_cancellation, waybill",
    "correction_type": "advance, canceled, cancellation, cert_of_completion, d_cert_of_completion, dossier, draft,"
    " draft_offer, draft_order_form, draft_waybill, invoice, modification, modified, offer, order_form, proforma,"
    " receipt, receipt_cancellation, waybill",
    "payment_status": "expired, none, outstanding, paid, partially_paid",
    "payment_method": "aruhitel, bankcard, barion, barter, cash, cash_on_delivery, +cod_balance, +combined, coupon,"
    " +credit, +ebay, elore_utalas, ep_kartya, kompenzacio, levonas, online_bankcard, other, paylike, payoneer, paypal,"
    " paypal_utolag, payu, pick_pack_pont, postai_csekk, postautalvany, +revolut, skrill, +stripe, szep_card,"
    " transferwise, upwork, utalvany, valto, wire_transfer",
    "currency": "AED, +ALL, AUD, BGN, BRL, CAD, CHF, CNY, +COP, CZK, DKK, EUR, GBP, +GEL, HKD, HRK, HUF, IDR, ILS, INR,"
    " ISK, JPY, KRW, +LEJ, +MKD, +MNT, MXN, MYR, NOK, NZD, PHP, PLN, RON, RSD, RUB, SEK, SGD, +SKK, THB, TRY, UAH, USD,"
    " ZAR",
    "language": "de, en, fr, hr, hu, it, ro, sk, us",
    "notification": "closed, downloaded, failed, none, opened, readed",
    "discount_type": "percent",
    "round": "five, none, one, ten",
    "online_payment": ", Barion, SimplePay, +Stripe, no",
    "not_sent_reason": "+dont_send_foreign, +dont_send_oss, +dont_send_other",
    "tax_type": ", FOREIGN, HAS_TAX_NUMBER, NO_TAX_NUMBER",
    "vat": "0%, 1%, 2%, 3%, 4%, 5%, 5,5%, 6%, 7%, 7,7%, 8%, +8,1%, 9%, 9,5%, 10%, 11%, 12%, 13%, 14%, 15%, 16%, 17%,"
    " 18%, 19%, 20%, 21%, 22%, 23%, 24%, 25%, +25,5%, 26%, 27%, AAM, AM, EU, EUK, F.AFA, FAD, K.AFA, MAA, TAM, ÁKK,"
    " ÁTHK",
    "entitlement": "AAM, ANTIQUES, ARTWORK, ATK, EAM, EUE, EUFAD37, EUFADE, HO, KBAET, NAM_1, NAM_2, SECOND_HAND, TAM,"
    " TRAVEL_AGENCY, +WITHOUT_ENTITLEMENT",
    "nav_status": "aborted, done, +dont_send_external_import, +dont_send_foreign, +dont_send_oss, +dont_send_other,"
    " empty_organization_country_code, empty_partner_country_code, empty_tax, forbidden, invalid_address,"
    " invalid_client, invalid_conversion_rate, invalid_customer, invalid_invoice_reference, invalid_postalcode,"
    " +invalid_request_signature, invalid_security_user, invalid_tax, invalid_tax_number, invalid_user_relation,"
    " invalid_vat_data, invoice_number_not_unique, kobak_processing, missing_document_item_name, nav_warn,"
    " no_online_szamla_settings, no_send_by_user, non_exist_tax_number, not unique, not_checked,"
    " not_registered_customer, processing, received, saved, send_failed, sent, started, technical_error,"
    " under_tax_limit, user_has_invalid_kobak, user_hasnot_kobak, validation_ok",
    "shipping_mode": "+dhl_express, +dpd, +express_one, +fama_futar, +fedex, +foxpost, +gepard_futar, +gls, +go_futar,"
    " +home_delivery, +mpl, +none, +packeta, +personal_delivery, +sameday, +sprinter, +tnt_express, +ups",
    "form": "electronic, paper",
    "show_type": "+show_all, +show_incoming, +show_outgoing",
    "feature": "api_limit_basic, +api_limit_max, api_limit_pro, +api_limit_pro_limited, api_limit_standard,"
    " banksync_plus, +billingo_business, +billingo_one, campaign_manager_basic, campaign_manager_standard,"
    " ceginfo_enterprise, ceginfo_pro, ceginfo_standard, +flat_tax_plus, innovator, +inventory, limit_increase, master,"
    " partnermonitor_basic, partnermonitor_pro, partnermonitor_standard, softpos, subscription_basic, subscription_pro,"
    " subscription_standard, tendermonitor_standard, tendermonitor_vip, whitelabel",
}
"""Enums. What begins with `+` came with 3.0.15."""

UNDESCRIBED = {"document": {"vendor_id", "ai_suggestions"}}
"""What the sandbox sends beyond any description, since fields do appear without notice."""

ERRORS = {
    **dict.fromkeys((202, 400, 401, 402, 403, 404, 429), "error"),
    422: "invalid",
    500: "failure",
}
HABITS = (
    Habits(),
    Habits(storno_amounts="positive", storno_payment_status="paid", cancelled_payment_status="none"),
    Habits(storno_payment_status="outstanding", cancelled_payment_status="paid"),
    Habits(originals_list_corrections=True, originals_name_corrections=True),
    Habits(modification="restatement", discount="header"),
)

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_PATTERNS = {"country": re.compile(r"([A-Z]{2})?"), "date": re.compile(r"\d{4}-\d\d-\d\d")}
_SIMPLE: dict[str, tuple[type, ...]] = {"int": (int,), "num": (int, Decimal), "str": (str,), "bool": (bool,)}


class Field:
    """A field's name and type as a table says them."""

    def __init__(self, text: str) -> None:
        name, kind = text.split()
        self.is_newer, self.name = name.startswith("+"), name.removeprefix("+")
        self.is_nullable, self.is_empty_at_times = kind.endswith("?"), kind.endswith("~")
        self.kind = kind.rstrip("?~")


FIELDS = {table: {one.name: one for one in map(Field, text.split(", "))} for table, text in TABLES.items()}
ENUMS = {name: {value.removeprefix("+") for value in text.split(", ")} for name, text in VALUES.items()}


class Checker:
    """Compares answers with the tables; `seen` are the fields that some answer had, each as `table.field`."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.answers = 0

    def faults(self, body: bytes, kind: str) -> list[str]:
        """Say what is wrong with an answer that should be one of a kind."""
        self.answers += 1
        try:
            answer = _DECODER.decode(body)
        except msgspec.DecodeError as error:
            return [f"{kind} is not JSON: {error}"]
        return list(self._faults(answer, kind, kind))

    def _faults(self, value: Any, kind: str, where: str) -> Iterator[str]:
        if kind.startswith("["):
            if not isinstance(value, list):
                yield f"{where} is {value!r}, not a list"
                return
            for one in value:
                yield from self._faults(one, kind[1:-1], where)
        elif kind in FIELDS:
            yield from self._faults_of_object(value, kind, where)
        elif kind in _SIMPLE:
            if not isinstance(value, _SIMPLE[kind]) or (isinstance(value, bool) and kind != "bool"):
                yield f"{where} is {value!r}, not {kind}"
        elif not isinstance(value, str) or not (
            _PATTERNS[kind].fullmatch(value) if kind in _PATTERNS else value in ENUMS[kind]
        ):
            yield f"{where} is {value!r}, no {kind}"

    def _faults_of_object(self, value: Any, table: str, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{where} is {value!r}, not an object"
            return
        for name, inner in value.items():
            field = FIELDS[table].get(name)
            if field is None:
                if name not in UNDESCRIBED.get(table, ()):
                    yield f"{where}.{name} is not described"
                continue
            self.seen.add(f"{table}.{name}")
            may_be_empty = (inner is None and (field.is_nullable or field.is_empty_at_times)) or (
                inner == "" and field.is_empty_at_times
            )
            if not may_be_empty:
                yield from self._faults(inner, field.kind, f"{where}.{name}")


def faults_of_documents(checker: Checker, server: SandboxServer) -> Iterator[str]:
    """Read every company's documents by pages, one alone, whose key it is, and the time."""
    for company in server.world.companies:
        with _client(server, company) as client:
            page, last_page = 1, 1
            while page <= last_page:
                body = client.get("/documents", params={"page": page, "per_page": 100}).content
                yield from checker.faults(body, "listing")
                last_page, page = _DECODER.decode(body)["last_page"], page + 1
            newest = company.documents()[0]["id"]
            for path, kind in (
                (f"/documents/{newest}", "document"),
                ("/organization", "whose_key"),
                ("/utils/time", "time"),
            ):
                yield from checker.faults(client.get(path).content, kind)
            yield from faults_of_files(checker, client, company.documents())


def faults_of_files(checker: Checker, client: httpx.Client, documents: list[dict[str, Any]]) -> Iterator[str]:
    """Read the tax office's record of every document, and the PDF of the newest."""
    for document in documents:
        answer = client.get(f"/documents/{document['id']}/online-szamla")
        yield from checker.faults(answer.content, "nav_record" if answer.is_success else ERRORS[answer.status_code])
    path = f"/documents/{documents[0]['id']}/download"
    begun, done = client.get(path), client.get(path)
    yield from checker.faults(begun.content, ERRORS[begun.status_code])
    if not done.content.startswith(b"%PDF-"):
        yield f"{path} is no PDF at the second request"


def faults_of_errors(checker: Checker, server: SandboxServer) -> Iterator[str]:
    """Call forth every error: by a fault, and where there is a way by what brings it about."""
    company = server.world.companies[0]

    def judged(answer: httpx.Response, status: int) -> Iterator[str]:
        if answer.status_code != status:
            yield f"{answer.url} answered {answer.status_code}, not {status}"
        yield from checker.faults(answer.content, ERRORS[status])

    with _client(server, company) as client:
        for status in ERRORS:
            server.faults.add(Fault(kind="status", status=status))
            yield from judged(client.get("/documents"), status)
        yield from judged(client.get("/documents", headers={"X-API-KEY": "nobody's"}), 401)
        yield from judged(client.get("/documents/1"), 404)
        yield from judged(client.get("/documents?per_page=101&start_date=x"), 422)
        for access, status in (("no_subscription", 402), ("no_scope", 403)):
            company.access = access  # type: ignore[assignment]
            yield from judged(client.get("/documents"), status)
        company.access = "read"
        server.faults.rate_limit = RateLimit(requests=0)
        yield from judged(client.get("/documents"), 429)
        server.faults.rate_limit = None


def check(habits: Iterable[Habits], documents: int) -> tuple[Checker, set[str]]:
    """Check a world of each of these habits, with about as many documents in all."""
    checker, faults = Checker(), set[str]()
    worlds = list(habits)
    per_company = max(40, documents // (2 * len(worlds)))
    for seed, one in enumerate(worlds):
        companies = [CompanySpec("kft", "Alma Kft.", per_company), CompanySpec("ev", "Alma Anna e.v.", per_company)]
        with SandboxServer(World(seed=seed, companies=companies, habits=one)) as server:
            faults.update(faults_of_documents(checker, server), faults_of_errors(checker, server))
    return checker, faults


def main() -> None:
    """Check, and say what was found."""
    parser = argparse.ArgumentParser(description="Compare the sandbox's answers with what is known of the API.")
    parser.add_argument("--documents", type=int, default=10_000)
    asked = parser.parse_args()
    checker, faults = check(HABITS, asked.documents)
    described = {f"{table}.{name}" for table, fields in FIELDS.items() for name in fields}
    print(f"{checker.answers} answers compared, {len(checker.seen)} of {len(described)} fields seen.")
    print(f"Never sent: {', '.join(sorted(described - checker.seen)) or 'none'}.")
    for fault in sorted(faults):
        print(fault)
    sys.exit(bool(faults))


def _client(server: SandboxServer, company: Company) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"X-API-KEY": company.api_key}, timeout=60)


if __name__ == "__main__":
    main()
