from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billingo_assets.normalize.batches import Rejection
from billingo_assets.streams.documents import INVOICES
from billingo_assets.streams.stream import Column
from billingo_assets_tests.support.documents import as_json, document, item, partner
from billingo_assets_tests.support.frames import Frames, normalize


def normalized(value: Any, document_id: int = 90_210_001) -> Frames:
    batch = normalize([(document_id, as_json(value))])
    assert batch.rejections == []
    return batch


def invoice(**changes: Any) -> dict[str, Any]:
    """Give the row of the typical invoice with these fields changed."""
    (row,) = normalized(document(**changes)).invoices.to_dict("records")
    return {str(name): value for name, value in row.items()}


def reason(text: str | bytes, document_id: int = 90_210_001) -> str:
    batch = normalize([(document_id, text)])
    assert batch.invoices.empty
    assert batch.items.empty
    assert batch.related.empty
    ((rejected_id, words),) = batch.rejections
    assert rejected_id == document_id
    return words


def test_each_field_of_an_invoice_goes_to_its_column() -> None:
    assert invoice() == {
        "id": 90_210_001,
        "invoice_number": "INV-2026-000123",
        "type": "invoice",
        "correction_type": None,
        "cancelled": False,
        "block_id": 112_233,
        "payment_status": "paid",
        "payment_method": "wire_transfer",
        "gross_total": Decimal("74924.97"),
        "net_total": Decimal("58996.05"),
        "vat_total": Decimal("15928.92"),
        "currency": "EUR",
        "conversion_rate": Decimal("391.250000"),
        "invoice_date": date(2026, 1, 31),
        "fulfillment_date": date(2026, 1, 30),
        "due_date": date(2026, 2, 8),
        "paid_date": date(2026, 2, 2),
        "organization_name": "Minta Kereskedő Zrt.",
        "organization_tax_number": "87654321-2-42",
        "organization_bank_account_number": "10300002-10666666-49020011",
        "organization_bank_account_iban": "HU93103000021066666649020011",
        "organization_swift": "MKKBHUHB",
        "partner_id": 1_790_214_001,
        "partner_name": "Próba Vevő Kft.",
        "partner_tax_number": "12345678-2-43",
        "partner_iban": "HU42117730161111101800000000",
        "partner_swift": "OTPVHUHB",
        "partner_account_number": "11773016-11111018-00000000",
        "comment": "Köszönjük a vásárlást!",
        "online_szamla_status": "success",
        "net_total_local": Decimal("23082204.56"),
        "vat_total_local": Decimal("6232189.95"),
        "gross_total_local": Decimal("29314394.51"),
        "language": "hu",
        "electronic": True,
        "notification_status": "read",
        "rounding": "none",
        "discount_type": None,
        "discount_value": None,
        "unreadable": None,
        "unreconciled_by": None,
        "totals_judged": True,
    }


def test_rounding_and_discount_of_a_document_go_to_their_columns() -> None:
    row = invoice(settings={"round": "five"}, discount={"type": "percent", "value": Decimal("2.5")})
    assert (row["rounding"], row["discount_type"], row["discount_value"]) == ("five", "percent", Decimal("2.5"))


def test_each_field_of_an_item_goes_to_its_column() -> None:
    (row,) = normalized(document(items=[item()])).items.to_dict("records")
    assert row == {
        "invoice_id": 90_210_001,
        "position": 1,
        "product_id": 8_112_233,
        "name": "Kötött kardigán, kék",
        "quantity": Decimal("2.5"),
        "unit": "db",
        "net_unit_amount": Decimal("7866.14"),
        "net_amount": Decimal("19665.35"),
        "vat_amount": Decimal("5309.64"),
        "gross_amount": Decimal("24974.99"),
        "vat": "27%",
        "entitlement": None,
        "comment": "Méret: M",
        "sku": "KARD-KEK-M",
        "ean": "5991234567890",
    }


def test_each_field_of_a_related_document_goes_to_its_column() -> None:
    (row,) = normalized(document()).related.to_dict("records")
    assert row == {
        "invoice_id": 90_210_001,
        "related_invoice_id": 90_209_999,
        "related_invoice_number": "D-2026-17",
    }


def test_items_have_their_position_in_the_order_of_the_document_and_from_1() -> None:
    items = normalized(document(items=[item(name="c"), item(name="a"), item(name="b")])).items
    assert list(zip(items["position"], items["name"], strict=True)) == [(1, "c"), (2, "a"), (3, "b")]


def test_positions_begin_again_in_each_document() -> None:
    batch = normalize([(document_id, as_json(document(document_id))) for document_id in (2, 1)])
    assert list(batch.items["invoice_id"]) == [2, 2, 2, 1, 1, 1]
    assert list(batch.items["position"]) == [1, 2, 3, 1, 2, 3]


def test_a_document_of_nothing_but_its_id_is_a_row_of_none() -> None:
    batch = normalized({"id": 5}, document_id=5)
    (row,) = batch.invoices.to_dict("records")
    assert {name for name, value in row.items() if value is not None} == {"id", "totals_judged"}
    assert batch.items.empty
    assert batch.related.empty


@pytest.mark.parametrize("nothing", [None, "", "  ", []])
def test_nothing_in_place_of_objects_and_lists_is_none_and_no_rows(nothing: Any) -> None:
    fields = ["organization", "summary", "items", "related_documents"]
    batch = normalized(document(**dict.fromkeys(fields, nothing)))
    (row,) = batch.invoices.to_dict("records")
    assert row["organization_name"] is None
    assert row["organization_swift"] is None
    assert row["net_total"] is None
    assert batch.items.empty
    assert batch.related.empty


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_the_deprecated_partner_stands_in_for_a_missing_one(nothing: Any) -> None:
    row = invoice(document_partner=nothing, partner=partner(name="Régi Vevő"))
    assert row["partner_name"] == "Régi Vevő"
    assert row["partner_tax_number"] == "12345678-2-43"


def test_the_deprecated_partner_is_ignored_beside_a_partner_of_the_document() -> None:
    row = invoice(document_partner={"name": "Új Vevő"}, partner=partner(name="Régi Vevő"))
    assert row["partner_name"] == "Új Vevő"
    assert row["partner_tax_number"] is None


def test_the_deprecated_partner_may_be_unreadable_as_well() -> None:
    row = invoice(document_partner=None, partner={"name": "Régi Vevő", "iban": ["HU42"]})
    assert (row["partner_name"], row["partner_iban"], row["unreadable"]) == ("Régi Vevő", None, "partner_iban")


ODD = ["Kovács", 5, 5.5, True, ["Kovács"], {"of": "Kovács"}]

OPTIONAL_OBJECTS = {
    ("discount",): ["discount_type", "discount_value"],
    ("settings",): ["rounding"],
    ("document_partner",): [
        column.name for column in INVOICES.columns if column.source.startswith("document_partner.")
    ],
    ("organization",): [column.name for column in INVOICES.columns if column.source.startswith("organization.")],
    ("organization", "bank_account"): [
        column.name for column in INVOICES.columns if column.source.startswith("organization.bank_account.")
    ],
}


@pytest.mark.parametrize("odd", [value for value in ODD if not isinstance(value, dict)], ids=repr)
@pytest.mark.parametrize("path", OPTIONAL_OBJECTS, ids=".".join)
def test_an_optional_object_of_another_type_is_null_and_named_and_costs_nothing_else(
    path: tuple[str, ...], odd: Any
) -> None:
    sent: Any = document(discount={"type": "percent", "value": 0})
    holder = sent
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = odd
    whole, found = invoice(discount={"type": "percent", "value": 0}), normalized(sent)
    (row,) = found.invoices.to_dict("records")
    columns = OPTIONAL_OBJECTS[path]
    assert set(row["unreadable"].split(", ")) == set(columns)
    about = {"unreadable", "totals_judged"}
    assert {name: value for name, value in row.items() if name not in about} == {
        name: None if name in columns else value for name, value in whole.items() if name not in about
    }
    assert len(found.items) == 3


@pytest.mark.parametrize("column", [one for one in INVOICES.columns if not one.is_required], ids=lambda one: one.name)
def test_an_optional_value_of_another_type_is_null_and_named(column: Column) -> None:
    sent: Any = document(discount={"type": "percent", "value": 0})
    *path, key = column.source.split(".")
    holder = sent
    for name in path:
        holder = holder[name]
    holder[key] = [["Kovács"]]
    (row,) = normalized(sent).invoices.to_dict("records")
    assert (row[column.name], row["unreadable"]) == (None, column.name)


@pytest.mark.parametrize("column", [one for one in INVOICES.columns if one.is_required], ids=lambda one: one.name)
def test_an_essential_value_of_another_type_rejects_the_document(column: Column) -> None:
    sent: Any = document()
    *path, key = column.source.split(".")
    holder = sent
    for name in path:
        holder = holder[name]
    holder[key] = [["Kovács"]]
    assert reason(as_json(sent)).startswith(f"{column.source} is a list, not")


def test_optional_values_of_lines_and_links_are_null_and_named_once() -> None:
    related = [{"id": 7, "invoice_number": ["A"]}, {"invoice_number": "B"}, "C", {"id": 8, "invoice_number": "D"}]
    found = normalized(document(items=[item(comment=["x"]), item(comment=["y"], sku={})], related_documents=related))
    assert list(found.items["comment"]) == [None, None]
    assert list(found.items["gross_amount"]) == [Decimal("24974.99")] * 2
    assert found.related.to_numpy().tolist() == [[90_210_001, 7, None], [90_210_001, 8, "D"]]
    (row,) = found.invoices.to_dict("records")
    assert row["unreadable"] == (
        "invoice_items.comment, invoice_items.sku, related_documents, related_documents.related_invoice_number"
    )


def test_links_of_another_type_are_none() -> None:
    found = normalized(document(related_documents="D-2026-17"))
    assert found.related.empty
    assert list(found.invoices["unreadable"]) == ["related_documents"]


@pytest.mark.parametrize("nothing", ["--", " -- ", ""])
@pytest.mark.parametrize("column", [one for one in INVOICES.columns if one.is_code], ids=lambda one: one.name)
def test_what_billingo_writes_for_a_number_that_there_is_not_is_null(column: Column, nothing: str) -> None:
    sent: Any = document()
    *path, key = column.source.split(".")
    holder = sent
    for name in path:
        holder = holder[name]
    holder[key] = nothing
    (row,) = normalized(sent).invoices.to_dict("records")
    assert (row[column.name], row["unreadable"]) == (None, None)


def test_two_dashes_that_a_person_wrote_stay() -> None:
    found = normalized(document(comment="--", items=[item(name="--", unit="--")]))
    assert list(found.invoices["comment"]) == ["--"]
    assert found.items[["name", "unit"]].to_numpy().tolist() == [["--", "--"]]


def test_unknown_fields_are_ignored_and_new_enum_values_are_data() -> None:
    row = invoice(brand_new={"deep": [1]}, payment_method="barter", type="hologram")
    assert row["payment_method"] == "barter"
    assert row["type"] == "hologram"


def test_numbers_in_text_and_text_in_numbers_are_understood() -> None:
    row = invoice(invoice_number=123, gross_total="123.450", block_id="42", conversion_rate=1)
    assert row["invoice_number"] == "123"
    assert str(row["gross_total"]) == "123.450"
    assert row["block_id"] == 42
    assert type(row["conversion_rate"]) is Decimal


def test_an_id_as_digits_is_the_same_id() -> None:
    assert list(normalized(document(id="90210001")).invoices["id"]) == [90_210_001]


def test_a_document_named_twice_as_related_is_one_row_the_first() -> None:
    numbers = [(7, "A"), (6, "B"), ("7", "C")]
    related = [{"id": key, "invoice_number": number} for key, number in numbers]
    rows = normalized(document(related_documents=related)).related
    assert rows.to_numpy().tolist() == [[90_210_001, 7, "A"], [90_210_001, 6, "B"]]


def test_of_a_field_sent_twice_the_last_counts_as_in_postgresql() -> None:
    batch = normalize([(1, '{"id": 1, "currency": "EUR", "currency": "HUF"}')])
    assert list(batch.invoices["currency"]) == ["HUF"]


@pytest.mark.parametrize("status", ["paid", "partially_paid"])
def test_what_was_paid_bears_its_day(status: str) -> None:
    batch = normalize([(90_210_001, as_json(document(payment_status=status)))])
    assert list(batch.invoices["paid_date"]) == [date(2026, 2, 2)]


@pytest.mark.parametrize("status", ["outstanding", "expired", "none", None, "", "a status of later days", 7])
@pytest.mark.parametrize("day", ["2026-02-02", "2026-02-30", 7])
def test_what_was_not_paid_has_no_day_of_payment_whatever_it_says(status: Any, day: Any) -> None:
    batch = normalize([(90_210_001, as_json(document(payment_status=status, paid_date=day)))])
    assert list(batch.invoices["paid_date"]) == [None]


def test_bytes_are_read_as_text_is() -> None:
    batch = normalize([(90_210_001, as_json(document()).encode())])
    assert list(batch.invoices["partner_name"]) == ["Próba Vevő Kft."]


def test_missing_values_stay_none_beside_values_in_the_same_column() -> None:
    full, empty = document(1), {"id": 2, "items": [{}]}
    batch = normalize([(1, as_json(full)), (2, as_json(empty))])
    for frame in (batch.invoices, batch.items):
        last = frame.iloc[-1, 2:].drop("totals_judged", errors="ignore")
        assert all(value is None for value in last)
    assert type(batch.invoices["block_id"].iloc[0]) is int
    assert type(batch.invoices["cancelled"].iloc[0]) is bool
    assert type(batch.invoices["invoice_date"].iloc[0]) is date


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"invoice_date": "2026-13-01"}, 'invoice_date is "2026-13-01", not a date like 2026-01-31'),
        ({"items": [item(), {}, item(net_amount="abc")]}, 'items[2].net_amount is "abc", not a number'),
        ({"items": [item(), "x"]}, "items[1] is text, not an object"),
        ({"items": [None]}, "items[0] is missing, not an object"),
        ({"items": {"0": item()}}, "items is an object, not a list"),
        ({"summary": 5}, "summary is a number, not an object"),
        ({"cancelled": 0}, "cancelled is 0, not true or false"),
        ({"id": None}, "id is missing, not a whole number of at most 64 bits"),
        ({"id": 7}, "id is 7, not 90210001, under which the document is stored"),
    ],
)
def test_a_reason_names_the_field_what_was_found_and_what_was_expected(changes: dict[str, Any], words: str) -> None:
    assert reason(as_json(document(**changes))) == words


@pytest.mark.parametrize(
    "changes",
    [
        {"invoice_number": "Kovács\0"},
        {"type": ["Kovács"]},
        {"due_date": {"name": "Kovács"}},
        {"items": ["Kovács"]},
    ],
)
def test_a_reason_shows_nothing_personal(changes: dict[str, Any]) -> None:
    assert "Kov" not in reason(as_json(document(**changes)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "the document is a list, not an object"),
        ("null", "the document is null, not an object"),
        ('"Kovács"', "the document is text, not an object"),
        ("", "the document is not readable JSON: Input data was truncated"),
        (
            '{"id": 1} {}',
            "the document is not readable JSON: JSON is malformed: trailing characters (byte 11)",
        ),
        ('{"x":' * 100_000 + "1" + "}" * 100_000, "the document is nested too deeply to be read"),
        (
            '{"id":1e99999999999999999999}',
            "the document holds a number with an exponent too large to be read",
        ),
        (b'{"comment":"\xff"}', "the document is not valid UTF-8 text"),
        ('{"comment":"\ud800"}', "the document is not valid UTF-8 text"),
    ],
)
def test_what_is_no_json_object_is_rejected_in_words(text: str | bytes, words: str) -> None:
    assert reason(text) == words


def test_half_of_an_escaped_surrogate_pair_is_rejected() -> None:
    assert reason(r'{"comment":"\ud800 x"}').startswith("the document is not readable JSON")


def test_a_broken_document_does_not_affect_the_others_of_its_batch() -> None:
    documents: list[tuple[int, str | bytes]] = [
        (1, as_json(document(1))),
        (2, as_json(document(2, items=[item(), item(quantity="many")]))),
        (3, as_json(document(3))),
    ]
    batch = normalize(documents)
    alone = normalize([documents[0], documents[2]])
    assert batch.rejections == [Rejection(2, 'items[1].quantity is "many", not a number')]
    assert batch.invoices.equals(alone.invoices)
    assert batch.items.equals(alone.items)
    assert batch.related.equals(alone.related)
