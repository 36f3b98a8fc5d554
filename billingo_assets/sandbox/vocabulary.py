"""The words of the generated documents: partners, products, VAT names, blocks and their frequencies.

Data only. How the words are combined is in `generator`; what the API's fields mean is not decided here.
"""

from decimal import Decimal
from typing import Literal, NamedTuple


class Vat(NamedTuple):
    """A VAT name as Billingo writes it, its rate as a fraction and the legal ground of an exemption."""

    name: str
    rate: Decimal
    entitlement: str | None = None


class Product(NamedTuple):
    """A thing sold: its unit and its net price in forints."""

    name: str
    unit: str
    price: Decimal


class Block(NamedTuple):
    """A document block: documents of `types` are numbered together, year by year, in one of two formats."""

    name: str
    prefix: str
    number_format: Literal["default", "short_with_hyphen"]
    types: tuple[str, ...]

    def number(self, year: int, sequence: int) -> str:
        """Write a document number: `SZ / 2026-000007` by default, or `SZ-2026-7`."""
        if self.number_format == "default":
            return f"{self.prefix} / {year}-{sequence:06}" if self.prefix else f"{year}-{sequence:06}"
        return f"{self.prefix}-{year}-{sequence}" if self.prefix else f"{year}-{sequence}"


STANDARD_VAT = Vat("27%", Decimal("0.27"))
OTHER_VAT = (
    Vat("18%", Decimal("0.18")),
    Vat("5%", Decimal("0.05")),
    Vat("27%", Decimal("0.27"), "KBAET"),  # a ground that was left on a taxed line, and means nothing
    Vat("0%", Decimal(0)),  # nor does the service ask for a ground
    Vat("0%", Decimal(0), "WITHOUT_ENTITLEMENT"),
    Vat("TAM", Decimal(0), "TAM"),
    Vat("FAD", Decimal(0)),
    Vat("F.AFA", Decimal(0)),
    Vat("K.AFA", Decimal(0), "SECOND_HAND"),
    Vat("K.AFA", Decimal(0), "ARTWORK"),
    Vat("K.AFA", Decimal(0), "ANTIQUES"),
    Vat("K.AFA", Decimal(0), "TRAVEL_AGENCY"),
    Vat("ÁKK", Decimal(0), "ATK"),
    Vat("ÁTHK", Decimal(0), "ATK"),
    Vat("MAA", Decimal(0), "NAM_1"),
    Vat("AM", Decimal(0), "NAM_2"),
)
EXEMPT_VAT = Vat("AAM", Decimal(0), "AAM")
"""On every line of a small business that is exempt."""
RECEIPT_VAT = (STANDARD_VAT, Vat("18%", Decimal("0.18")), Vat("5%", Decimal("0.05")), Vat("TAM", Decimal(0), "TAM"))
_WITHIN_EU = (
    Vat("EU", Decimal(0), "KBAET"),
    Vat("EU", Decimal(0), "EUFAD37"),
    Vat("EU", Decimal(0), "EUFAD37"),
    Vat("EU", Decimal(0), "EUFADE"),
)
FOREIGN_VAT = {
    "AT": (*_WITHIN_EU, Vat("20%", Decimal("0.20"), "EUE")),
    "FI": (*_WITHIN_EU, Vat("25,5%", Decimal("0.255"), "EUE")),
    "FR": (*_WITHIN_EU, Vat("5,5%", Decimal("0.055"), "EUE")),
    "PL": (*_WITHIN_EU, Vat("23%", Decimal("0.23"), "EUE")),
    "US": (Vat("EUK", Decimal(0), "HO"), Vat("EUK", Decimal(0), "EAM")),
}
"""By the partner's country; EUE is the other member state's own rate, declared through OSS."""
VAT_RATES = {
    vat.name: vat.rate
    for vats in ((STANDARD_VAT, EXEMPT_VAT), OTHER_VAT, RECEIPT_VAT, *FOREIGN_VAT.values())
    for vat in vats
}

BOTTLE = Product("Ásványvíz, visszaváltható palackban", "db", Decimal("251.97"))
DEPOSIT = Product("Visszaváltási díj", "db", Decimal(50))
DEPOSIT_VAT = Vat("ÁKK", Decimal(0), "ATK")
PRODUCTS = (
    BOTTLE,
    Product("Szoftverfejlesztés", "óra", Decimal(18500)),
    Product("Rendszerüzemeltetés, havi átalány", "hó", Decimal(145000)),
    Product("Árvíztűrő tükörfúrógép", "db", Decimal(23990)),
    Product("Kötöttáru: gyapjú kardigán", "db", Decimal(15748)),
    Product("Tárhelyszolgáltatás (50 GB)", "hó", Decimal(2990)),
    Product("Könyvelési díj", "hó", Decimal(35000)),
    Product("Kiszállás, Budapest XIII. kerület", "km", Decimal(150)),
    Product("Őrölt kávé, „Kávéház” válogatás", "kg", Decimal(6299)),
    Product("Földgáz elosztási díj", "m3", Decimal("102.37")),
    Product('Csavar 5/8" <rozsdamentes> & alátét', "csomag", Decimal("84.5")),
    Product("Grafikai tervezés", "óra", Decimal("12600.25")),
    Product("Fénymásolás", "oldal", Decimal("19.69")),
)
QUANTITIES = (
    *(Decimal(n) for n in (1, 1, 1, 2, 3, 5, 10, 12)),
    *(Decimal(text) for text in ("0.5", "1.5", "2.25", "7.333", "0.125", "38.75")),
)

FAMILY_NAMES = ("Nagy", "Kovács", "Tóth", "Szabó", "Horváth", "Őze", "Fűzfás", "Csütörtöki", "Győri", "Éliás")
GIVEN_NAMES = ("Ágnes", "Béla", "Csilla", "Dénes", "Gergő", "Örs", "Zsófia", "Kálmán", "Márta")
TRADES = ("Bútor", "Informatika", "Pékség", "Fuvarozó", "Ügyvédi Iroda", "Kertészet", "Építőipari", "Sütöde")
FORMS = ("Kft.", "Bt.", "Zrt.", "Nyrt.", "e.v.")
STREETS = ("Váci út", "Petőfi Sándor utca", "Kőrösi Csoma sétány", "Fő tér", "Üllői út", "Dózsa György út")
TOWNS = (
    ("1138", "Budapest"),
    ("9021", "Győr"),
    ("6720", "Szeged"),
    ("4024", "Debrecen"),
    ("7621", "Pécs"),
    ("8000", "Székesfehérvár"),
    ("9700", "Szombathely"),
)
FOREIGN_PARTNERS = (
    ("Müller & Söhne GmbH", "AT", "1010", "Wien", "Kärntner Straße 12", "ATU12345675"),
    ("Łódź Tekstylia Sp. z o.o.", "PL", "90-001", "Łódź", "Piotrkowska 7", "PL5260001246"),
    ("Librairie Éluard SARL", "FR", "69002", "Lyon", "Rue Mercière 18", "FR40303265045"),
    ("Mäkinen Oy", "FI", "00100", "Helsinki", "Mannerheimintie 4", "FI20774740"),
    ("Knitwear Trading LLC", "US", "10001", "New York", "5th Avenue 350", ""),
)

COMMENTS = (
    "Köszönjük a vásárlást!",
    "A termék(ek) átvételéig a tulajdonjog az eladót illeti.",
    "Fizetési határidő: 8 nap\nKésedelem esetén késedelmi kamatot számítunk fel.",
    "Pénzforgalmi elszámolás – rendelésszám: „2/Ű-Ő”",
)
TAGS = ("kiemelt", "webshop", "éves szerződés", "belföld", "export")
PAYMENT_METHODS = (
    *("wire_transfer",) * 6,
    *("bankcard", "cash", "online_bankcard", "cash_on_delivery", "barion") * 2,
    *("paypal", "szep_card", "utalvany", "postai_csekk", "kompenzacio", "elore_utalas", "transferwise", "revolut"),
)
ROUNDINGS = (*("one",) * 8, "none", "none", "five", "ten")
"""Of documents in forints; paid in cash, half of them are rounded to five."""
NOTIFICATIONS = (*("none",) * 4, *("opened", "readed") * 3, "closed", "downloaded", "failed")
ONLINE_PAYMENTS = (*("",) * 6, "no", "Barion", "SimplePay", "Stripe")
NAV_RECORDED = frozenset({"done", "processing", "nav_warn"})  # other states have no record at the tax office
NAV_STATES = (*("done",) * 16, "processing", "nav_warn", "no_online_szamla_settings", "not_checked")
SHIPPING_MODES = ("none", "gls", "mpl", "foxpost", "packeta", "personal_delivery")
FEATURES = ("api_limit_pro", "subscription_pro", "inventory")

BLOCKS = (
    Block("Számla", "", "default", ("invoice", "advance", "cancellation", "modification", "draft")),
    Block("Webshop", "WEB", "short_with_hyphen", ("invoice", "advance", "cancellation", "modification")),
    Block("Díjbekérő", "D", "default", ("proforma",)),
    Block("Nyugta", "NY", "short_with_hyphen", ("receipt", "receipt_cancellation")),
    Block("Árajánlat", "AJ", "default", ("offer", "draft_offer")),
    Block("Megrendelőlap", "MR", "short_with_hyphen", ("order_form", "draft_order_form")),
    Block("Szállítólevél", "SZL", "default", ("waybill", "draft_waybill")),
    Block("Teljesítési igazolás", "TIG", "short_with_hyphen", ("cert_of_completion", "d_cert_of_completion")),
    Block("Dosszié", "DO", "default", ("dossier",)),
    Block("Export", "EXP", "default", ("invoice", "advance", "cancellation", "modification")),
    Block("Szerviz", "", "short_with_hyphen", ("invoice", "advance", "cancellation", "modification")),
)
DRAFTS = frozenset({"draft", "draft_offer", "draft_order_form", "draft_waybill", "d_cert_of_completion"})
RECEIPTS = frozenset({"receipt", "receipt_cancellation"})
FOLLOW_UPS = frozenset({"cancellation", "receipt_cancellation", "modification"})
MODIFIABLE = frozenset({"invoice", "advance", "modification"})
RECEIVABLES = frozenset({"invoice", "advance", "modification", "receipt"})
ONLINE_SZAMLA = frozenset({"invoice", "advance", "modification", "cancellation"})
DOCUMENT_TYPES = frozenset(type_ for block in BLOCKS for type_ in block.types)
TYPES_BY_FREQUENCY = (
    *("invoice",) * 60,
    *("receipt",) * 14,
    *("proforma",) * 8,
    *("draft",) * 5,
    *("advance", "offer", "waybill") * 3,
    *("order_form", "cert_of_completion", "draft_offer", "dossier"),
)
