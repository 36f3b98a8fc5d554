"""The words of the generated documents: partners, products, VAT names, blocks and their frequencies.

Data only. How the words are combined is in `generator`; what the API's fields mean is not decided here.
"""

from decimal import Decimal
from typing import NamedTuple


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
    """A document block: documents of `types` are numbered together, `prefix` + year + sequence."""

    name: str
    prefix: str
    types: tuple[str, ...]


STANDARD_VAT = Vat("27%", Decimal("0.27"))
OTHER_VAT = (
    Vat("18%", Decimal("0.18")),
    Vat("5%", Decimal("0.05")),
    Vat("5,5%", Decimal("0.055")),
    Vat("0%", Decimal(0)),
    Vat("AAM", Decimal(0), "AAM"),
    Vat("TAM", Decimal(0), "TAM_85"),
    Vat("FAD", Decimal(0), "FAD_142"),
    Vat("K.AFA", Decimal(0), "KBAET"),
    Vat("ÁKK", Decimal(0)),
    Vat("ÁTHK", Decimal(0)),
    Vat("MAA", Decimal(0)),
)
FOREIGN_VAT = (
    Vat("EU", Decimal(0), "KBAET"),
    Vat("EUFAD37", Decimal(0), "EUFAD37"),
    Vat("HO", Decimal(0), "HO"),
    Vat("EUK", Decimal(0)),
)

PRODUCTS = (
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
    *("paypal", "szep_card", "utalvany", "postai_csekk", "kompenzacio", "elore_utalas", "transferwise"),
    "instant_transfer",  # in no published list: the enum grows
)

BLOCKS = (
    Block("Számla", "", ("invoice", "advance", "cancellation", "modification", "draft")),
    Block("Webshop", "WEB-", ("invoice", "advance", "cancellation", "modification")),
    Block("Díjbekérő", "D-", ("proforma",)),
    Block("Nyugta", "NY-", ("receipt", "receipt_cancellation")),
    Block("Árajánlat", "AJ-", ("offer", "draft_offer")),
    Block("Megrendelőlap", "MR-", ("order_form", "draft_order_form")),
    Block("Szállítólevél", "SZL-", ("waybill", "draft_waybill")),
    Block("Teljesítési igazolás", "TIG-", ("cert_of_completion", "d_cert_of_completion")),
    Block("Dosszié", "DO-", ("dossier",)),
)
DRAFTS = frozenset({"draft", "draft_offer", "draft_order_form", "draft_waybill", "d_cert_of_completion"})
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
