"""Writes `rejected_documents`, the quarantine: records of a stream that could not be read, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection, text

from billingo_assets.normalize.numbering import UNNUMBERED, Numbering
from billingo_assets.streams import Stream
from billingo_assets.warehouse.acceptances import REJECTED

Stage = Literal["fetch", "normalize"]

_UPSERT = text(
    """
    INSERT INTO billingo.rejected_documents AS rejected
        (company_id, stream, content_hash, document_id, stage, reason, payload, normalizer_version,
         block_id, number_series, number_year, number, number_judged, gapless)
    VALUES (:company, :stream, :content_hash, :document_id, :stage, :reason, :payload, :normalizer_version,
            :block_id, :number_series, :number_year, :number, :number_judged, :gapless)
    ON CONFLICT (company_id, stream, content_hash) DO UPDATE
    SET document_id = excluded.document_id, stage = excluded.stage, reason = excluded.reason,
        normalizer_version = excluded.normalizer_version, last_seen_at = now(),
        block_id = excluded.block_id, number_series = excluded.number_series, number_year = excluded.number_year,
        number = excluded.number, number_judged = excluded.number_judged, gapless = excluded.gapless
    """
)

_DROP_FORMER_VERSIONS = text(
    """
    DELETE FROM billingo.rejected_documents
    WHERE company_id = :company AND stream = :stream AND stage = :stage AND document_id = :document_id
      AND content_hash <> :content_hash
    """
)

_DROP_UNSEEN = text(
    """
    DELETE FROM billingo.rejected_documents
    WHERE company_id = :company AND stream = :stream AND stage = 'fetch'
      AND content_hash <> ALL (CAST(:seen AS bytea[]))
    """
)


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record in quarantine. `payload` is its text as sent; `record_id` is None if it has no usable id."""

    content_hash: bytes
    record_id: int | None
    reason: str
    payload: str
    normalizer_version: int | None = None
    numbering: Numbering = UNNUMBERED


def reject(
    connection: Connection, stream: Stream, company_id: int, stage: Stage, records: Sequence[RejectedRecord]
) -> None:
    """Put records into quarantine, replacing their former versions there."""
    rows = [
        {
            "company": company_id,
            "stream": stream.name,
            "stage": stage,
            "content_hash": record.content_hash,
            "document_id": record.record_id,
            "reason": record.reason,
            # PostgreSQL's text holds no NUL; the replacement character shows where one was.
            "payload": record.payload.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            "normalizer_version": record.normalizer_version,
            **record.numbering._asdict(),
        }
        for record in records
    ]
    if rows:
        connection.execute(_DROP_FORMER_VERSIONS, rows)
        connection.execute(_UPSERT, rows)


def release_stored(connection: Connection, stream: Stream, company_id: int, ids: Collection[int]) -> None:
    """Release records that are stored now, although an earlier version could not be."""
    query = text(
        """
        DELETE FROM billingo.rejected_documents
        WHERE company_id = :company AND stream = :stream AND stage = 'fetch'
          AND document_id = ANY(CAST(:ids AS bigint[]))
        """
    )
    connection.execute(query, {"company": company_id, "stream": stream.name, "ids": list(ids)})


def quarantined(connection: Connection, stream: Stream, company_id: int, ids: Collection[int]) -> set[int]:
    """The ids among these of records in quarantine because they could not be stored."""
    query = text(
        """
        SELECT document_id FROM billingo.rejected_documents
        WHERE company_id = :company AND stream = :stream AND stage = 'fetch'
          AND document_id = ANY(CAST(:ids AS bigint[]))
        """
    )
    return set(connection.scalars(query, {"company": company_id, "stream": stream.name, "ids": list(ids)}))


def quarantined_since(connection: Connection, stream: Stream, company_id: int, since: datetime) -> set[int]:
    """The ids of records that went to quarantine since `since` because they could not be stored."""
    query = text(
        """
        SELECT document_id FROM billingo.rejected_documents
        WHERE company_id = :company AND stream = :stream AND stage = 'fetch'
          AND document_id IS NOT NULL AND first_seen_at >= :since
        """
    )
    return set(connection.scalars(query, {"company": company_id, "stream": stream.name, "since": since}))


def release_unseen(connection: Connection, stream: Stream, company_id: int, seen: Collection[bytes]) -> int:
    """Release records that a complete listing no longer showed unreadable: mended or gone. Returns how many."""
    return connection.execute(_DROP_UNSEEN, {"company": company_id, "stream": stream.name, "seen": list(seen)}).rowcount


class OpenRejection(NamedTuple):
    """A record in quarantine, why, and who accepted it, if anyone."""

    document_id: int | None
    reason: str
    accepted_at: datetime | None
    accepted_by: str | None


def open_rejections(connection: Connection, stream: Stream, company_id: int) -> list[OpenRejection]:
    """Every record in quarantine."""
    query = text(
        """
        SELECT rejected.document_id, reason, accepted_at, accepted_by FROM billingo.rejected_documents AS rejected
        LEFT JOIN billingo.accepted_faults AS accepted
            ON accepted.company_id = :company AND accepted.check_name = :check
            AND accepted.content_hash = rejected.content_hash
        WHERE rejected.company_id = :company AND rejected.stream = :stream
        ORDER BY rejected.document_id NULLS FIRST, rejected.content_hash
        """
    )
    return [
        OpenRejection(*row)
        for row in connection.execute(query, {"company": company_id, "stream": stream.name, "check": REJECTED})
    ]
