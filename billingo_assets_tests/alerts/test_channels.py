"""One message to one channel: how it looks on the other side, and what is said where it does not get there."""

from __future__ import annotations

import io
import logging
import re
import traceback
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from billingo_assets.alerts.channels import Channel, DeliveryError, Message, call_heartbeat, open_channels
from billingo_assets_tests.alerts.conftest import Configure
from billingo_assets_tests.support.sinks import PASSWORD, TOKEN, MailSink, WebSink, free_port

MESSAGE = Message("error", "it-cardigan: the sync failed", "IT Cardigan & Fia <Kft.>\n- Árvíztűrő 401.\n  http://ui/1")
SLACK_TOKEN = "TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What reaches the root logger, as in Dagster's processes; pytest's own fixture is handed more than that."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


def only_channel(configure: Configure, url: str) -> Channel:
    (channel,) = open_channels(configure(alert_urls=url)).usable
    return channel


def test_a_mail_is_plain_text_line_by_line_as_it_was_written(mail: MailSink, configure: Configure) -> None:
    only_channel(configure, mail.url).send(MESSAGE)
    (received,) = mail.mails
    assert (received["Subject"], received["To"]) == (MESSAGE.title, "bookkeeping@example.com")
    assert received.get_content_type() == "text/plain"
    assert received.get_content().strip().splitlines() == MESSAGE.body.splitlines()


@pytest.mark.parametrize(("severity", "kind"), [("error", "failure"), ("warning", "warning"), ("recovery", "success")])
def test_a_webhook_is_told_how_bad_it_is(web: WebSink, configure: Configure, severity: str, kind: str) -> None:
    only_channel(configure, web.url).send(Message(severity, MESSAGE.title, MESSAGE.body))  # type: ignore[arg-type]
    (post,) = web.posts
    assert (post["type"], post["title"], post["message"]) == (kind, MESSAGE.title, MESSAGE.body)


def test_a_message_longer_than_a_service_takes_is_sent_in_pieces(web: WebSink, configure: Configure) -> None:
    channel = only_channel(configure, web.url)
    channel.service.body_maxlen = 500
    channel.send(Message("error", MESSAGE.title, "\n".join(f"line {number}" for number in range(200))))
    assert len(web.posts) > 2
    assert "line 199" in web.posts[-1]["message"]


def test_without_urls_there_is_no_channel(configure: Configure) -> None:
    assert open_channels(configure()) == ([], [])


def test_a_channel_that_is_named_twice_is_one(mail: MailSink, web: WebSink, configure: Configure) -> None:
    settings = configure(alert_urls=f"{web.url}, {mail.url} {web.url}")
    assert [channel.name for channel in open_channels(settings).usable] == [
        f"json://127.0.0.1:{web.port}",
        f"mailto://ops:****@127.0.0.1:{mail.port}",
    ]


@pytest.mark.parametrize("urls", ["nonsense", "gopher://host", "mailto://", ","])
def test_a_url_that_is_none_is_told_by_its_place_and_not_repeated(configure: Configure, urls: str) -> None:
    usable, (told,) = open_channels(configure(alert_urls=urls))
    assert usable == []
    assert re.match(r"BILLINGO_ALERT_URLS: URL 1 cannot be used \(\w.*\)\.", told)
    assert urls == "," or urls not in told.replace("mailtos://", "")


def test_what_apprise_says_of_a_url_is_passed_on_without_its_token(
    configure: Configure, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    urls = f"json://127.0.0.1/ slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/#general"
    usable, (told,) = open_channels(configure(alert_urls=urls))
    assert [channel.name for channel in usable] == ["json://127.0.0.1"]
    assert re.search(r"URL 2 cannot be used \(An invalid Slack .* Token", told)
    assert TOKEN not in f"{told} {log.getvalue()} {capfd.readouterr()}"


@pytest.mark.parametrize(
    "url",
    [
        f"slack://T1JJ3T3L2/A1BRTD4JD/{SLACK_TOKEN}/#general",
        f"json://127.0.0.1/hook/{TOKEN}",
        f"json://127.0.0.1/hook?+X-Token={TOKEN}",
        f"jsons://ops:{TOKEN}@127.0.0.1/",
        f"tgram://123456789:{TOKEN}_hIB6LyJDDxy_Cw/12315544/",
    ],
)
def test_the_name_of_a_channel_holds_no_secret(configure: Configure, url: str) -> None:
    channel = only_channel(configure, url)
    told = f"{channel.name} {channel!r} {channel.id}"
    assert (TOKEN in told, SLACK_TOKEN in told) == (False, False)


def unreachable(kind: str) -> str:
    return {
        "mail": f"mailto://ops:{PASSWORD}@127.0.0.1:{free_port()}/?mode=insecure&from=a@example.com&to=bookkeeping@example.com",
        "webhook": f"json://ops:{PASSWORD}@127.0.0.1:{free_port()}/hook/{TOKEN}",
    }[kind]


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_a_channel_that_is_down_is_told_by_name_and_without_its_secrets(
    configure: Configure, kind: str, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    channel = only_channel(configure, unreachable(kind))
    with pytest.raises(DeliveryError, match="did not accept the message: ") as told:
        channel.send(MESSAGE)
    everything = "".join(traceback.format_exception(told.value)) + log.getvalue() + "".join(capfd.readouterr())
    assert channel.name in str(told.value)
    assert PASSWORD not in everything
    assert TOKEN not in everything


def test_a_mail_server_that_refuses_has_not_taken_the_message(mail: MailSink, configure: Configure) -> None:
    mail.refusing = True
    with pytest.raises(DeliveryError):
        only_channel(configure, mail.url).send(MESSAGE)


@pytest.mark.parametrize("status", [404, 500])
def test_a_webhook_that_answers_with_an_error_has_not_taken_the_message(
    web: WebSink, configure: Configure, status: int
) -> None:
    web.status = status
    with pytest.raises(DeliveryError, match=f"error={status}"):
        only_channel(configure, web.url).send(MESSAGE)


def test_what_a_service_trips_over_is_a_failure_to_deliver(web: WebSink, configure: Configure) -> None:
    channel = only_channel(configure, web.url)
    channel.service.method = 7  # upon which the service itself breaks off
    with pytest.raises(DeliveryError, match="did not accept the message"):
        channel.send(MESSAGE)


def test_the_heartbeat_is_a_request_to_its_url(web: WebSink) -> None:
    call_heartbeat(SecretStr(web.heartbeat_url))
    assert web.gets == [f"/beat/{TOKEN}"]


@pytest.mark.parametrize("place", ["127.0.0.1:{port}", "127.0.0.1:1", "127.0.0.1:99999"], ids=["500", "closed", "none"])
def test_a_heartbeat_that_fails_says_so_without_its_url(web: WebSink, place: str) -> None:
    web.status = 500
    url = f"http://{place.format(port=web.port)}/beat/{TOKEN}"
    with pytest.raises(DeliveryError, match=r"The heartbeat URL (answered 500|cannot be reached)") as told:
        call_heartbeat(SecretStr(url))
    assert TOKEN not in "".join(traceback.format_exception(told.value))
