"""The outbox: nothing is lost while a channel is down, nothing is told twice, and the order is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from billingo_assets.alerts import delivery
from billingo_assets.alerts.channels import Channel, Message, open_channels
from billingo_assets.alerts.delivery import deliver, write_down
from billingo_assets_tests.alerts.conftest import Configure
from billingo_assets_tests.support.sinks import PASSWORD, TOKEN, MailSink, WebSink

FIRST, SECOND, THIRD = (Message("error", f"message {number}", "It is broken.") for number in (1, 2, 3))


@pytest.fixture
def outbox(tables: Engine) -> Iterator[Connection]:
    with tables.connect() as connection:
        yield connection
        connection.rollback()
        connection.execute(text("TRUNCATE billingo.alert_messages CASCADE"))
        connection.commit()


@pytest.fixture
def channels(mail: MailSink, web: WebSink, configure: Configure) -> list[Channel]:
    opened = open_channels(configure(alert_urls=f"{web.url} {mail.url}")).usable
    for channel in opened:
        channel.service.request_rate_per_sec = 0  # or Apprise would wait for seconds between two messages
    return opened


def write(connection: Connection, channels: list[Channel], *messages: Message) -> None:
    with connection.begin():
        write_down(connection, messages, channels)


def test_a_message_goes_to_every_channel_once(
    outbox: Connection, channels: list[Channel], mail: MailSink, web: WebSink
) -> None:
    write(outbox, channels, FIRST)
    assert [deliver(outbox, channels), deliver(outbox, channels)] == [(2, []), (0, [])]
    assert (mail.subjects, web.titles) == (["message 1"], ["message 1"])


def test_a_channel_that_is_down_loses_nothing_and_the_order_is_kept(
    outbox: Connection, channels: list[Channel], web: WebSink
) -> None:
    web.status = 503
    write(outbox, channels, FIRST, SECOND)
    deliver(outbox, channels)
    write(outbox, channels, THIRD)
    deliver(outbox, channels)
    web.status = 200
    assert deliver(outbox, channels).messages == 3
    assert web.titles == ["message 1", "message 2", "message 3"]


def test_a_channel_that_is_down_keeps_nothing_from_another_which_is_told_once(
    outbox: Connection, channels: list[Channel], mail: MailSink, web: WebSink
) -> None:
    web.status = 503
    write(outbox, channels, FIRST, SECOND)
    for _ in range(3):
        deliver(outbox, channels)
    assert mail.subjects == ["message 1", "message 2"]


def test_a_channel_that_fails_is_asked_once_a_call(outbox: Connection, channels: list[Channel], mail: MailSink) -> None:
    mail.refusing = True
    write(outbox, channels, FIRST, SECOND)
    (failure,) = deliver(outbox, channels).failures
    assert failure.startswith(f"mailto://ops:****@127.0.0.1:{mail.port} did not accept the message")


def test_a_channel_with_much_to_catch_up_on_keeps_no_other_waiting(
    outbox: Connection, channels: list[Channel], mail: MailSink, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(outbox, channels, FIRST, SECOND, THIRD)
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 0.2)
    channels[0].service.request_rate_per_sec = 0.4
    deliver(outbox, channels)
    assert (web.titles[:1], mail.subjects[:1]) == (["message 1"], ["message 1"])
    assert len(web.titles) < 3


def test_attempts_are_counted_until_a_message_is_taken(
    outbox: Connection, channels: list[Channel], mail: MailSink
) -> None:
    mail.refusing = True
    write(outbox, channels, FIRST)
    deliver(outbox, channels)
    mail.refusing = False
    deliver(outbox, channels)
    rows = outbox.execute(
        text("SELECT attempts, delivered_at >= attempted_at FROM billingo.alert_deliveries ORDER BY attempts")
    )
    assert [tuple(row) for row in rows] == [(1, True), (2, True)]


def test_a_channel_that_is_added_later_is_not_sent_what_was_told_before(
    outbox: Connection, channels: list[Channel], mail: MailSink, web: WebSink
) -> None:
    of_web, of_mail = channels
    write(outbox, [of_web], FIRST)
    deliver(outbox, [of_web])
    write(outbox, [of_web, of_mail], SECOND)
    deliver(outbox, [of_web, of_mail])
    assert (mail.subjects, web.titles) == (["message 2"], ["message 1", "message 2"])


def test_what_another_process_is_sending_is_not_sent_as_well(
    outbox: Connection, channels: list[Channel], tables: Engine, web: WebSink
) -> None:
    write(outbox, channels[:1], FIRST)
    with tables.connect() as other:
        other.execute(text("SELECT 1 FROM billingo.alert_deliveries FOR UPDATE"))
        assert deliver(outbox, channels) == (0, [])
        other.rollback()
    assert deliver(outbox, channels).messages == 1
    assert web.titles == ["message 1"]


def test_a_message_is_told_again_when_the_process_died_before_it_was_noted(
    outbox: Connection, channels: list[Channel], web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(outbox, channels[:1], FIRST)
    original = type(channels[0].service).send

    def send_and_die(*arguments: object, **named: object) -> bool:
        original(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(channels[0].service), "send", send_and_die)
    with pytest.raises(KeyboardInterrupt):
        deliver(outbox, channels)
    monkeypatch.undo()
    assert deliver(outbox, channels).messages == 1
    assert web.titles == ["message 1", "message 1"]


def test_no_secret_of_a_channel_is_in_the_database(outbox: Connection, channels: list[Channel], web: WebSink) -> None:
    web.status = 500
    write(outbox, channels, FIRST)
    deliver(outbox, channels)
    rows = outbox.execute(
        text("SELECT a::text || d::text FROM billingo.alert_messages AS a, billingo.alert_deliveries AS d")
    )
    stored = "".join(row[0] for row in rows)
    assert channels[0].id in stored
    assert (PASSWORD in stored, TOKEN in stored) == (False, False)
