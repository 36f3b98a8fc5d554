import httpx
import pytest

from billingo_assets.sandbox import Company, SandboxServer
from billingo_assets.sandbox.company import Access

PATHS = ("/documents", "/organization", "/utils/time")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"X-API-KEY": "00000000-0000-4000-8000-000000000000"}])
def test_a_missing_or_unknown_key_is_a_401(server: SandboxServer, path: str, headers: dict[str, str]) -> None:
    answer = httpx.get(server.url + path, headers=headers)
    assert answer.status_code == 401
    assert answer.json().keys() == {"error"}
    assert answer.json()["error"].keys() == {"message"}


@pytest.mark.parametrize(("access", "status"), [("no_subscription", 402), ("no_scope", 403)])
def test_what_the_key_may_not_do_is_a_402_or_403(
    client: httpx.Client, alma: Company, access: Access, status: int
) -> None:
    alma.access = access
    answer = client.get("/documents")
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_replaced_key_stops_working(client: httpx.Client, alma: Company) -> None:
    alma.replace_api_key("11111111-1111-4111-8111-111111111111")
    assert client.get("/organization").status_code == 401


@pytest.mark.parametrize("path", ["/documents/1", "/documents/x", "/documents/1/payments", "/nothing", "/utils"])
def test_what_does_not_exist_is_a_404(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_only_get_is_accepted(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/documents")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_the_organization_says_whose_key_it_is(client: httpx.Client, alma: Company) -> None:
    content = client.get("/organization").json()
    assert content["tax_code"] == alma.tax_code
    assert content["subscription"].keys() == {"expiration_date", "features"}
    assert content["has_nav_connection"] is True


def test_the_server_tells_its_time(client: httpx.Client) -> None:
    answer = client.get("/utils/time")
    assert answer.json() == {
        "epoch": 1783000000,
        "formatted": "2026-07-02 15:46:40",
        "w3c": "2026-07-02T15:46:40+02:00",
        "timezone": "Europe/Budapest",
    }
    assert answer.headers["Date"] == "Thu, 02 Jul 2026 13:46:40 GMT"


def test_no_rate_limit_headers_are_sent(client: httpx.Client) -> None:
    names = set(client.get("/documents").headers)
    assert not {name for name in names if "ratelimit" in name or name == "retry-after"}
