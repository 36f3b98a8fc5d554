"""The past of a company: which documents were created, in which order and when, from the seed alone.

Every document type occurs in a company of a few dozen documents or more. What a document looks like is
decided in `generator`.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from billingo_assets.sandbox import vocabulary as words
from billingo_assets.sandbox.generator import Document, Generator

_MINIMUM_FOR_EVERY_TYPE = 40  # documents; fewer than that cannot hold each type and each chain
_OPENING_HOUR, _OPEN_SECONDS = 6, 12 * 3600  # UTC: far from midnight, so the local date is the same
_SHOWCASE = (
    *("invoice→cancellation", "receipt→receipt_cancellation", "invoice→modification", "advance→invoice"),
    *sorted(words.DOCUMENT_TYPES - words.FOLLOW_UPS - {"advance", "invoice"}),
)


def documents(generator: Generator, count: int, *, first: date, until: date) -> Iterator[tuple[Document, int]]:
    """Write `count` documents created from `first` to `until`, oldest first, each with its creation time.

    Times are in whole seconds since the epoch. A document that another one of the same past cancels is
    already marked as cancelled.
    """
    pending: dict[int, tuple[str, Document]] = {}
    days = (until - first).days + 1
    opening = int(datetime(first.year, first.month, first.day, _OPENING_HOUR, tzinfo=UTC).timestamp())
    showcase = dict(enumerate(_SHOWCASE, start=2)) if count >= _MINIMUM_FOR_EVERY_TYPE else {}
    for at in range(count):
        day_number, second = divmod(at * days * _OPEN_SECONDS // count, _OPEN_SECONDS)
        created_at = opening + day_number * 86400 + second
        day = first + timedelta(days=day_number)
        if at in pending:
            type_, original = pending.pop(at)
            document = generator.follow_up(type_, original, day, today=until)
            # Modifications come in chains: a modification may be modified again.
            sequel = "modification" if type_ == "modification" and generator.chance(0.4) else ""
        else:
            type_, _, sequel = (showcase.get(at) or generator.choose(words.TYPES_BY_FREQUENCY)).partition("→")
            document = generator.document(type_, day, today=until)
            sequel = sequel or _sequel(generator, type_)
        if sequel:
            slot = at + generator.draw(len(_SHOWCASE), 2 * len(_SHOWCASE))
            while slot in pending:
                slot += 1
            if slot < count:
                pending[slot] = sequel, document
                document["cancelled"] = sequel.endswith("cancellation")
        yield document, created_at


def _sequel(generator: Generator, type_: str) -> str:
    if type_ == "advance":
        return "invoice"
    if type_ == "receipt":
        return "receipt_cancellation" if generator.chance(0.03) else ""
    if type_ == "invoice" and generator.chance(0.08):
        return "cancellation" if generator.chance(0.6) else "modification"
    return ""
