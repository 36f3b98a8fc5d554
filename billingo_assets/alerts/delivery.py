"""The outbox: keeps each message for each channel, and sends it again until the channel accepts it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from billingo_assets.alerts.channels import Channel, DeliveryError, Message

DELIVERY_SECONDS = 25
"""How long one call of `deliver` may take; Dagster gives a sensor 60."""

_WRITE = text(
    "INSERT INTO billingo.alert_messages (severity, title, body) VALUES (:severity, :title, :body) RETURNING id"
)
_ADDRESS = text("INSERT INTO billingo.alert_deliveries (message_id, channel) VALUES (:message, :channel)")
_ABOUT = text("INSERT INTO billingo.alert_reasons (message_id, outage_id) VALUES (:message, :outage)")
# Skip what another process is sending.
_PENDING = text(
    """
    SELECT message_id, severity, title, body
    FROM billingo.alert_deliveries JOIN billingo.alert_messages ON id = message_id
    WHERE channel = :channel AND delivered_at IS NULL ORDER BY message_id LIMIT 1
    FOR UPDATE OF alert_deliveries SKIP LOCKED
    """
)
_TRIED = text(
    """
    UPDATE billingo.alert_deliveries
    SET attempts = attempts + 1, attempted_at = clock_timestamp(),
        delivered_at = CASE WHEN :delivered THEN clock_timestamp() END
    WHERE message_id = :message AND channel = :channel
    """
)


class Delivered(NamedTuple):
    """How many messages went out, and the errors of the channels that accepted none."""

    messages: int
    failures: Sequence[str]


def write_down(connection: Connection, messages: Sequence[Message], channels: Sequence[Channel]) -> None:
    """Put messages into the outbox. Belongs in the transaction that stores what they report as reported."""
    for message in messages:
        values = {"severity": message.severity, "title": message.title, "body": message.body}
        message_id = connection.scalar(_WRITE, values)
        for channel in channels:
            connection.execute(_ADDRESS, {"message": message_id, "channel": channel.id})
        for outage in message.outages:
            connection.execute(_ABOUT, {"message": message_id, "outage": outage})


def deliver(connection: Connection, channels: Sequence[Channel]) -> Delivered:
    """Send the waiting messages, the oldest first, to each channel in turn. One that fails is left for the next call.

    Each message arrives at least once: if the process dies after sending it, the next call sends it again.
    """
    deadline = time.monotonic() + DELIVERY_SECONDS
    sent, failures = 0, []
    turns = deque(channels)
    while turns and time.monotonic() < deadline:
        channel = turns.popleft()
        try:
            if _send_oldest(connection, channel):
                sent += 1
                turns.append(channel)
        except DeliveryError as error:
            failures.append(str(error))
    return Delivered(sent, failures)


def _send_oldest(connection: Connection, channel: Channel) -> bool:
    """Send a channel the oldest message that waits for it, and store the result. Returns whether there was one."""
    with connection.begin():
        waiting = connection.execute(_PENDING, {"channel": channel.id}).one_or_none()
        if waiting is None:
            return False
        failure = None
        try:
            channel.send(Message(waiting.severity, waiting.title, waiting.body))
        except DeliveryError as error:
            failure = error
        tried = {"message": waiting.message_id, "channel": channel.id, "delivered": failure is None}
        connection.execute(_TRIED, tried)
    if failure is not None:
        raise failure
    return True
