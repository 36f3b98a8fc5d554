"""An API key and a database password that can be recognized go through a whole life, and are looked for afterwards.

Nobody who reads outputs, logs, Dagster's history, alerts, the tables or the files may find either, in any form.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from sqlalchemy import URL

from billingo_assets.sandbox import SandboxServer, World
from billingo_assets.warehouse.roles import MAKE_ROLES, SYNC
from billingo_assets_tests.support.dagster_runs import LARGE, SMALL
from billingo_assets_tests.support.own_server import OwnServer, own_server
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until
from billingo_assets_tests.support.services import (
    CODE_LOCATION,
    PROGRAM,
    Place,
    Services,
    running_services,
)
from billingo_assets_tests.support.sinks import PASSWORD, TOKEN, MailSink, WebSink, mail_sink, web_sink

API_KEY = "k4nari-api/kulcs+9f7c=61"
DATABASE_PASSWORD = "k4nari jel/szo+3b8e%d2'x"
LEAK = "the server said it"
"""What begins the words with which the database gives both away."""


LOGS = """
    query ($id: ID!) { logsForRun(runId: $id) { __typename ... on EventConnection { events {
        __typename
        ... on MessageEvent { message level }
        ... on ErrorEvent { error { message stack className causes { message stack }
            errorChain { error { message stack } } } }
        ... on ExecutionStepFailureEvent { failureMetadata { description } }
    } } } }
"""
TICKS = """
    query ($selector: InstigationSelector!) { instigationStateOrError(instigationSelector: $selector) {
        __typename ... on InstigationState { ticks(limit: 50) {
            status skipReason error { message stack causes { message stack } } } } } }
"""


def forms(secret: str) -> dict[str, bytes]:
    """What it may look like, by name. Of base64 the part that is the same whatever surrounds it, at each offset."""
    quoted = {
        "itself": secret,
        "quoted": quote(secret, safe=""),
        "quoted as a path": quote(secret),
        "quoted as a form": quote_plus(secret),
        "quoted in small letters": quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
        "in JSON": json.dumps(secret)[1:-1],
        "in SQL": secret.replace("'", "''"),
        "in Python": repr(secret)[1:-1],
        "its beginning": secret[:12],
        "its end": secret[-12:],
    }
    encoded = {}
    for offset in range(3):
        text = base64.b64encode(b"x" * offset + secret.encode()).decode()
        encoded[f"base64 from {offset}"] = text[4 if offset else 0 : -4]
    urlsafe = {f"url-safe {name}": text.replace("+", "-").replace("/", "_") for name, text in encoded.items()}
    return {name: text.encode() for name, text in {**quoted, **encoded, **urlsafe}.items()}


@dataclass
class Evidence:
    """Everything that anybody could read, by where it is."""

    found: dict[str, bytes] = field(default_factory=dict)

    def add(self, where: str, content: bytes | str) -> None:
        self.found[f"{len(self.found)}: {where}"] = content.encode() if isinstance(content, str) else content

    def naming(self, secret: str) -> list[tuple[str, str]]:
        """Where a secret is, and in which form."""
        return [
            (where, form)
            for where, content in self.found.items()
            for form, text in forms(secret).items()
            if text in content
        ]

    def of(self, kind: str) -> bytes:
        """What was found in places whose name has that in it."""
        return b"\n".join(content for where, content in self.found.items() if kind in where)


@contextmanager
def echoing_api() -> Iterator[str]:
    """An API that knows no key, and repeats the one it got in its refusal, as some gateways do; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"error": {"message": f"Unknown key {self.headers['X-API-KEY']}"}}).encode()
            self.send_response(401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v3"
        server.shutdown()
        thread.join()


@dataclass
class Life:
    """The place of it all: a database that asks for the password, the API, where alerts go, what was seen."""

    server: OwnServer
    place: Place
    mail: MailSink
    web: WebSink
    evidence: Evidence = field(default_factory=Evidence)

    def call(self, *words: str, stdin: str = "", **variables: str) -> int:
        """Call the command, and keep what it says."""
        ended = subprocess.run(
            [PROGRAM, *words],
            env={**self.place.environment, **variables},
            input=stdin.encode(),
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )
        self.evidence.add(f"output of {' '.join(words)}", ended.stdout + b"\n" + ended.stderr)
        return ended.returncode

    @contextmanager
    def leaking(self, table: str, happening: str, *, both: bool = False) -> Iterator[None]:
        """While the block runs, have the database tell its password in an error, whenever that happens to a table.

        With `both` the API key too: where it is at work, that is. What a process never had it cannot know again.
        """
        what = "both" if both else "password"
        with self.connect() as connection:
            connection.execute(
                f"CREATE TRIGGER leak BEFORE {happening} ON {table} FOR EACH STATEMENT"
                f" EXECUTE FUNCTION public.leak('{what}')"
            )
        try:
            yield
        finally:
            with self.connect() as connection:
                connection.execute(f"DROP TRIGGER leak ON {table}")

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """As the server's owner."""
        url = self.server.url.set(database="canary")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)

    def look_through_the_database(self) -> None:
        """Both schemas as text, and what Dagster keeps compressed."""
        assert self.call("database", "dump") == 0
        with self.connect() as connection:
            for (body,) in connection.execute("SELECT snapshot_body FROM dagster.snapshots"):
                assert isinstance(body, bytes)
                self.evidence.add("database: a snapshot", zlib.decompress(body))

    def look_through_the_files(self) -> None:
        for path in sorted(self.place.home.parent.rglob("*")):
            if path.is_file():
                self.evidence.add(f"file {path}", path.read_bytes())


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    world = World()
    with own_server() as server, SandboxServer(world) as sandbox, mail_sink() as mail, web_sink() as web:
        world.company(SMALL).replace_api_key(API_KEY)
        spelt = DATABASE_PASSWORD.replace("'", "''")
        server.run(f"CREATE ROLE canary LOGIN PASSWORD '{spelt}'", "CREATE DATABASE canary OWNER canary")
        server.run(MAKE_ROLES, f"GRANT {SYNC} TO canary")
        rules = server.home / "postgres" / "pg_hba.conf"
        rules.write_text("local all canary scram-sha-256\n" + rules.read_text())
        server.run("SELECT pg_reload_conf()")
        url = URL.create(
            "postgresql", "canary", DATABASE_PASSWORD, database="canary", query={"host": str(server.socket)}
        )
        place = Place(
            url,
            tmp_path_factory.mktemp("secrecy") / "home",
            world,
            sandbox.url,
            {
                "BILLINGO_ALERT_URLS": f"{mail.url} {web.url}",
                "BILLINGO_HEARTBEAT_URL": web.heartbeat_url,
                "BILLINGO_REQUEST_ATTEMPTS": "1",
                "BILLINGO_DATABASE_URL": f"postgresql://canary:{quote(DATABASE_PASSWORD, safe='')}@/canary"
                f"?host={quote(str(server.socket), safe='')}",
            },
        )
        here = Life(server, place, mail, web)
        said = f"{LEAK}: postgresql://canary:{DATABASE_PASSWORD}@host".replace("'", "''")
        with here.connect() as connection:
            # Where the dump does not look: its source holds them.
            connection.execute(
                "CREATE FUNCTION public.leak() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN RAISE EXCEPTION USING MESSAGE = '{said}'"
                f" || CASE TG_ARGV[0] WHEN 'both' THEN ', X-API-KEY {API_KEY}' ELSE '' END; END $$"
            )
        live(here)
        yield here


def live(life: Life) -> None:
    """What happens to a company in its days, bad ones among them."""
    assert life.call("database", "upgrade") == 0
    assert life.call("database", "upgrade", BILLINGO_DATABASE_URL=_with_wrong_password(life)) == 2
    assert life.call("company", "add", SMALL, "--name", "Canary", "--api-key-stdin", stdin=f"{API_KEY}\n") == 0
    large = life.place.world.company(LARGE).api_key
    assert life.call("company", "add", LARGE, "--name", "Other", "--api-key-stdin", stdin=f"{large}\n") == 0
    assert life.call("sync", "--verbose") == 0
    assert life.call("sync", "--json") == 0
    with echoing_api() as echo:
        assert life.call("--verbose", "company", "check", SMALL, BILLINGO_API_URL=echo) == 1
        assert life.call(
            "--verbose", "company", "set-key", SMALL, "--api-key-stdin", stdin=API_KEY, BILLINGO_API_URL=echo
        )
        assert life.call("sync", SMALL, "--verbose", BILLINGO_API_URL=echo) == 1
        assert life.call("sync", SMALL, "--json", BILLINGO_API_URL=echo) == 1
        assert life.call("doctor", BILLINGO_API_URL=echo) == 2
    life.place.world.company(SMALL).create()
    with life.leaking("billingo.raw_invoices", "INSERT", both=True):
        assert life.call("sync", SMALL, "--full", "--verbose") == 1
    with life.leaking("billingo.companies", "UPDATE"):
        assert life.call("--verbose", "company", "disable", SMALL) == 2
    for form in (life.place.variables["BILLINGO_DATABASE_URL"], _with_password_in_query(life)):
        assert life.call("database", "psql", "-c", r"\! ps -ww -o args= -p $PPID", BILLINGO_DATABASE_URL=form) == 0
    with running_services(life.place) as services:
        _live_in_the_ui(life, services)
    with life.leaking("dagster.event_logs", "INSERT"):
        assert life.call("--verbose", "sync", SMALL) == 1
    assert life.call("sync", SMALL) == 0
    for words in (
        "doctor",
        "doctor --json",
        "status",
        "status --json",
        "history",
        "history --json",
        "company list",
        f"company show {SMALL}",
        f"company check {SMALL}",
        "company rotate-encryption",
        "alert test",
        "database url",
    ):
        assert life.call(*words.split()) in (0, 1, 2)
    for mail in life.mail.mails:
        life.evidence.add("mail", mail.as_bytes())
        life.evidence.add("mail, decoded", mail.get_content())
    for post in life.web.posts:
        life.evidence.add("post", json.dumps(post, ensure_ascii=False))
    life.look_through_the_database()
    life.look_through_the_files()


def _with_wrong_password(life: Life) -> str:
    return life.place.variables["BILLINGO_DATABASE_URL"].replace("@/", "0@/")


def _with_password_in_query(life: Life) -> str:
    host, password = quote(str(life.server.socket), safe=""), quote(DATABASE_PASSWORD, safe="")
    return f"postgresql://canary@/canary?host={host}&password={password}"


def _live_in_the_ui(life: Life, services: Services) -> None:
    """A run that fails, a job that crashes, a sensor that crashes: all as the UI shows them."""
    life.place.world.company(SMALL).create()
    with life.leaking("billingo.raw_invoices", "INSERT", both=True):
        with life.leaking("billingo.outages", "INSERT OR UPDATE"):  # first: the sensor may come upon the failure soon
            failed = services.finished_run(services.launch(SMALL, jobName="sync_company"))
            with life.leaking("billingo.alert_messages", "DELETE"):
                crashed = services.finished_run(services.launch(SMALL, jobName="prune_history"))
            until(lambda: _failed_tick(services), what="a sensor's crash")
        # Once the run was tried again, in vain.
        until(lambda: life.mail.subjects or None, what="the alert")
    assert [failed["status"], crashed["status"]] == ["FAILURE", "FAILURE"]
    for run in (failed, crashed):
        life.evidence.add("graphql: logs", json.dumps(services.ask(LOGS, id=run["id"]), ensure_ascii=False))
    ticks = services.ask(TICKS, selector={**CODE_LOCATION, "name": "alerts"})
    life.evidence.add("graphql: ticks", json.dumps(ticks, ensure_ascii=False))


def _failed_tick(services: Services) -> bool | None:
    ticks = services.ask(TICKS, selector={**CODE_LOCATION, "name": "alerts"}).get("ticks", [])
    return any(tick["status"] == "FAILURE" for tick in ticks) or None


@pytest.mark.parametrize(
    "secret", [API_KEY, DATABASE_PASSWORD, PASSWORD, TOKEN], ids=["API key", "database password", "mail", "webhook"]
)
def test_a_secret_is_found_nowhere(life: Life, secret: str) -> None:
    assert life.evidence.naming(secret) == []


def test_an_encryption_key_is_found_in_its_file_alone(life: Life) -> None:
    key = (life.place.home / "encryption.key").read_text().strip()
    assert {where.partition(": ")[2] for where, _ in life.evidence.naming(key)} == {
        f"file {life.place.home / 'encryption.key'}"
    }


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("output of --verbose company check", "401: Unknown key ***"),
        ("output of --verbose company check", "Traceback (most recent call last)"),
        ("output of sync ozon-bt --verbose", "401: Unknown key ***"),
        ("output of sync ozon-bt --json", "401: Unknown key ***"),
        ("output of doctor", "401: Unknown key ***"),
        ("output of sync ozon-bt --full --verbose", f"{LEAK}: postgresql://canary:***@host, X-API-KEY ***"),
        ("output of --verbose company disable", "psycopg.errors.RaiseException"),
        ("output of --verbose company disable", f"{LEAK}: postgresql://canary:***@host"),
        ("output of --verbose sync", f"{LEAK}: postgresql://canary:***@host"),
        ("output of database dump", f"{LEAK}: postgresql://canary:***@host"),
        ("output of database psql", "psql --dbname postgresql://canary@/canary?host="),
        ("graphql: logs", f"{LEAK}: postgresql://canary:***@host, X-API-KEY ***"),
        ("graphql: logs", "DELETE FROM billingo.alert_messages"),
        ("graphql: ticks", f"{LEAK}: postgresql://canary:***@host"),
        ("mail, decoded", LEAK),
        ("post", LEAK),
        ("file", "canary"),
    ],
)
def test_what_was_looked_through_is_where_they_would_be(life: Life, kind: str, words: str) -> None:
    assert words.encode() in life.evidence.of(kind)


@pytest.mark.parametrize("form", forms(API_KEY))
def test_a_secret_would_be_found_in_each_form(form: str) -> None:
    evidence = Evidence()
    evidence.add("somewhere", b"before" + forms(API_KEY)[form] + b"after")
    assert ("0: somewhere", form) in evidence.naming(API_KEY)
