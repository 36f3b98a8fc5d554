"""The past of a company: which documents were created, in which order and when, from the seed alone.

Every document type occurs in a company of a few dozen documents or more. What a document looks like is
decided in `generator`.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from billingo_assets.sandbox import vocabulary as words
from billingo_assets.sandbox.generator import Document, FollowUp, Generator


class _Beginning(NamedTuple):
    """A document of its own, what will follow it, and whether it was paid, where that is not left to chance."""

    type: str
    sequel: FollowUp | None = None
    is_paid: bool | None = None


_MINIMUM_FOR_EVERY_TYPE = 40  # documents; fewer than that cannot hold each type and each chain
_OPENING_HOUR, _OPEN_SECONDS = 6, 12 * 3600  # UTC: far from midnight, so the local date is the same
_SHOWCASE = (
    _Beginning("invoice", "cancellation", is_paid=True),
    _Beginning("invoice", "cancellation", is_paid=False),
    _Beginning("receipt", "receipt_cancellation"),
    _Beginning("invoice", "modification"),
    _Beginning("advance", "final"),
    _Beginning("advance", "smaller final"),
    *(_Beginning(type_) for type_ in sorted(words.DOCUMENT_TYPES - words.FOLLOW_UPS - {"advance", "invoice"})),
)
_FIRST_OF_SHOWCASE = 2
_SEQUEL_AFTER = (_FIRST_OF_SHOWCASE + len(_SHOWCASE), 30)  # documents, at least and at most


def documents(generator: Generator, count: int, *, first: date, until: date) -> Iterator[tuple[Document, int]]:
    """Write `count` documents created from `first` to `until`, oldest first, each with its creation time.

    Times are in whole seconds since the epoch. What a document does to the one that it refers to is not done here.
    """
    pending: dict[int, tuple[FollowUp, Document]] = {}
    days = (until - first).days + 1
    opening = int(datetime(first.year, first.month, first.day, _OPENING_HOUR, tzinfo=UTC).timestamp())
    showcase = dict(enumerate(_SHOWCASE, start=_FIRST_OF_SHOWCASE)) if count >= _MINIMUM_FOR_EVERY_TYPE else {}
    for at in range(count):
        day_number, second = divmod(at * days * _OPEN_SECONDS // count, _OPEN_SECONDS)
        created_at = opening + day_number * 86400 + second
        day = first + timedelta(days=day_number)
        sequel: FollowUp | None
        if at in pending:
            kind, original = pending.pop(at)
            document = generator.follow_up(kind, original, day, today=until)
            # Modifications come in chains: a modification may be modified again.
            sequel = "modification" if kind == "modification" and generator.chance(0.4) else None
        else:
            type_, sequel, is_paid = showcase.get(at) or _Beginning(generator.choose(words.TYPES_BY_FREQUENCY))
            document = generator.document(type_, day, today=until, is_paid=is_paid)
            sequel = sequel or _sequel(generator, type_)
        if sequel:
            slot = at + generator.draw(*_SEQUEL_AFTER)
            while slot in pending:
                slot += 1
            if slot < count:
                pending[slot] = sequel, document
        yield document, created_at


def _sequel(generator: Generator, type_: str) -> FollowUp | None:
    if type_ == "advance":
        return "smaller final" if generator.chance(0.2) else "final"
    if type_ == "receipt":
        return "receipt_cancellation" if generator.chance(0.03) else None
    if type_ == "invoice" and generator.chance(0.08):
        return "cancellation" if generator.chance(0.6) else "modification"
    return None
