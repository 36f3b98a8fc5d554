import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingo_assets.billingo.answers import raise_for_answer, seconds_to_wait, server_time
from billingo_assets.billingo.errors import (
    BillingoError,
    CredentialsError,
    InvalidRequestError,
    MalformedAnswerError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    SubscriptionError,
    UnavailableError,
)
from billingo_assets.text import MAX_EXCERPT

NOW = datetime(2026, 7, 2, 12, 0, tzinfo=UTC)
MESSAGE = {"error": {"message": "Something is wrong."}}
TRACED = {"error": {"message": "Internal server error.", "trace_id": "5e1f7a30"}}
INVALID = {"message": "Validation Failed", "errors": [{"field": "page", "message": "must be a number."}]}


words = st.sampled_from(["error", "errors", "message", "trace_id", "field"]) | st.text()
json_values = st.recursive(
    st.none() | st.integers() | words, lambda inner: st.lists(inner) | st.dictionaries(words, inner), max_leaves=10
)


def error_for(status: int, content: object = MESSAGE, headers: dict[str, str] | None = None) -> BillingoError:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(BillingoError) as caught:
        raise_for_answer(status, httpx.Headers(headers), body)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, MalformedAnswerError),
        (301, RedirectError),
        (302, RedirectError),
        (307, RedirectError),
        (400, InvalidRequestError),
        (401, CredentialsError),
        (402, SubscriptionError),
        (403, CredentialsError),
        (404, NotFoundError),
        (405, InvalidRequestError),
        (408, UnavailableError),
        (422, InvalidRequestError),
        (429, RateLimitError),
        (500, UnavailableError),
        (502, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
        (599, UnavailableError),
    ],
)
def test_a_status_has_its_error(status: int, kind: type[BillingoError]) -> None:
    assert type(error_for(status)) is kind


@pytest.mark.parametrize("status", [204, 408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_transient(status: int) -> None:
    assert error_for(status).transient


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 405, 422])
def test_what_will_not_pass_by_itself_is_not_transient(status: int) -> None:
    assert not error_for(status).transient


@pytest.mark.parametrize("status", [204, 302, 400, 401, 402, 403, 404, 422, 429, 500])
def test_an_error_names_its_status(status: int) -> None:
    assert str(status) in str(error_for(status))


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (302, "Set BILLINGO_API_URL to the address of the API itself."),
        (401, "Make a key with read scope in Billingo. `billingo-assets company set-key` puts it in place"),
        (402, "Renew the subscription in Billingo"),
        (404, "Check BILLINGO_API_URL"),
        (429, "lower BILLINGO_REQUESTS_PER_MINUTE"),
        (503, "Check the network and Billingo's status page"),
    ],
)
def test_an_error_says_what_to_do(status: int, advice: str) -> None:
    assert advice in str(error_for(status))


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        (404, MESSAGE, "(404: Something is wrong)"),
        (500, TRACED, "(500: Internal server error. [trace id 5e1f7a30, for Billingo's support])"),
        (422, INVALID, "(422: Validation Failed: page must be a number)"),
        (422, {"message": "Validation Failed", "errors": []}, "(422: Validation Failed)"),
        (404, {"error": "Not found"}, "(404: Not found)"),
        (502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "(502: no explanation)"),
        (503, b"", "(503: no explanation)"),
        (500, {"error": {"message": None}}, "(500: no explanation)"),
        (500, {"error": {"message": "spread\n\n over\tlines"}}, "(500: spread over lines)"),
        (500, {"error": {"message": "a \x1b[31mred\x07 alert"}}, "(500: a [31mred alert)"),
        (500, b'{"error": {"message": "cut o', "(500: no explanation)"),
        pytest.param(500, b'{"error":' * 10_000, "(500: no explanation)", id="bottomless"),
    ],
)
def test_an_error_repeats_what_the_body_says_on_one_line(status: int, content: object, told: str) -> None:
    assert told in str(error_for(status, content))


def test_a_long_message_is_cut() -> None:
    assert str(error_for(400, {"error": {"message": "x" * 5000}})).count("x") == MAX_EXCERPT


@pytest.mark.parametrize("content", [MESSAGE, TRACED, INVALID])
def test_an_error_in_a_200_is_no_answer(content: object) -> None:
    error = error_for(200, content)
    assert (type(error), error.transient) == (MalformedAnswerError, True)


@pytest.mark.parametrize("content", [{"data": [], "total": 0}, {"tax_code": "1", "message": "a field of this name"}])
def test_data_in_a_200_passes(content: object) -> None:
    assert raise_for_answer(200, httpx.Headers(), json.dumps(content).encode()) is None


def test_a_document_that_speaks_of_errors_passes() -> None:
    page = {"data": [{"id": 1, "error": {"message": "in a comment"}}], "total": 1, "last_page": 1}
    assert raise_for_answer(200, httpx.Headers(), json.dumps(page).encode()) is None


@given(
    status=st.integers(200, 599),
    content=st.binary() | json_values,
    retry_after=st.text(),
    date=st.text(),
)
def test_no_answer_leads_to_anything_but_a_named_error(status: int, content: Any, retry_after: str, date: str) -> None:
    headers = httpx.Headers({"Retry-After": retry_after.encode(), "Date": date.encode()})
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    outcome: BillingoError | None = None
    try:
        raise_for_answer(status, headers, body)
    except BillingoError as error:
        outcome = error
    assert isinstance(outcome, MalformedAnswerError | None if status == 200 else BillingoError)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("-7", None),
        ("7.5", None),
        ("", None),
        ("soon", None),
        ("9" * 400, None),
        ("Thu, 02 Jul 2026 12:00:30 GMT", 30.0),
        ("Thu, 02 Jul 2026 14:00:30 +0200", 30.0),
        ("Thu, 02 Jul 2026 12:00:30 -0000", 30.0),
        ("Thu, 02 Jul 2026 11:59:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_or_nothing(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, now=NOW) == seconds


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitError), (503, UnavailableError)])
def test_a_transient_error_carries_the_wait_that_was_asked_for(
    status: int, kind: type[RateLimitError | UnavailableError]
) -> None:
    error = error_for(status, headers={"Retry-After": "7"})
    assert isinstance(error, kind)
    assert error.retry_after == 7


def test_a_retry_after_date_is_read_against_the_clock_that_wrote_it() -> None:
    hours_off = {"Date": "Thu, 02 Jul 2020 09:00:00 GMT", "Retry-After": "Thu, 02 Jul 2020 09:00:05 GMT"}
    error = error_for(429, headers=hours_off)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 5


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Date": format_datetime(NOW, usegmt=True)}, NOW),
        ({"Date": "Thu, 02 Jul 2026 14:00:00 +0200"}, NOW),
        ({"Date": "yesterday"}, None),
        ({"Date": "Fri, 31 Dec 9999 23:59:59 -1200"}, None),
        ({}, None),
    ],
)
def test_the_date_header_is_the_clock_of_the_server(headers: dict[str, str], expected: datetime | None) -> None:
    assert server_time(httpx.Headers(headers)) == expected
