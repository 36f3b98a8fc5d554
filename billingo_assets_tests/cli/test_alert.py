"""`billingo-assets alert test`: whether a message gets through, channel by channel."""

from __future__ import annotations

import pytest

from billingo_assets_tests.cli.conftest import Command
from billingo_assets_tests.support.sinks import PASSWORD, TOKEN, MailSink, WebSink


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch, mail: MailSink, web: WebSink) -> None:
    monkeypatch.setenv("BILLINGO_ALERT_URLS", f"{mail.url} {web.url}")
    monkeypatch.setenv("BILLINGO_HEARTBEAT_URL", web.heartbeat_url)


def test_every_channel_is_sent_a_test_and_the_heartbeat_is_called(
    command: Command, mail: MailSink, web: WebSink
) -> None:
    answer = command("alert", "test")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        f"sent: mailto://ops:****@127.0.0.1:{mail.port}",
        f"sent: json://127.0.0.1:{web.port}",
        "called: the heartbeat",
    ]
    assert mail.subjects == web.titles == ["Test of the alerts"]
    assert web.gets == [f"/beat/{TOKEN}"]


def test_a_channel_that_takes_nothing_is_named_and_the_others_are_tried(
    command: Command, mail: MailSink, web: WebSink
) -> None:
    mail.refusing = True
    answer = command("alert", "test")
    assert (answer.code, web.titles, len(web.gets)) == (1, ["Test of the alerts"], 1)
    assert answer.err.startswith("failed: mailto://ops:****@127.0.0.1")
    assert (PASSWORD in answer.err, "Traceback" in answer.err) == (False, False)


def test_a_heartbeat_that_fails_is_told(command: Command, web: WebSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_HEARTBEAT_URL", f"http://127.0.0.1:1/beat/{TOKEN}")
    answer = command("alert", "test")
    assert (answer.code, answer.err) == (1, "failed: The heartbeat URL cannot be reached (Connection refused).\n")


def test_without_a_channel_it_says_how_to_have_one(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BILLINGO_ALERT_URLS")
    monkeypatch.delenv("BILLINGO_HEARTBEAT_URL")
    answer = command("alert", "test")
    assert (answer.code, "Set BILLINGO_ALERT_URLS" in answer.err) == (2, True)


def test_a_url_that_cannot_be_used_is_told_by_its_place(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_ALERT_URLS", f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/")
    answer = command("alert", "test")
    assert (answer.code, "URL 1 cannot be used" in answer.err, TOKEN in answer.err) == (1, True, False)


def test_a_url_that_cannot_be_used_keeps_no_other_from_its_test(
    command: Command, monkeypatch: pytest.MonkeyPatch, web: WebSink
) -> None:
    monkeypatch.setenv("BILLINGO_ALERT_URLS", f"nonsense {web.url}")
    answer = command("alert", "test")
    assert (answer.code, "URL 1 cannot be used" in answer.err, web.titles) == (1, True, ["Test of the alerts"])
