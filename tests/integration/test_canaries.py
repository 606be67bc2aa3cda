"""Canaries: every secret setting holds words of its own, everything fails, and upstreams throw back what they are sent.

Afterwards the words are nowhere: not in the log, the tables, the file, bundles, pages, the API, /metrics, what commands
print, or a backup.
"""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from config.logging import configure_logging
from config.settings import PREFIX, Settings
from services.domain.errors import BroadsheetError
from services.domain.redaction import redact
from services.domain.users import Actor
from services.pipeline import drain, notify, operate, schedule, transfer
from services.pipeline.bundle import make_bundle
from services.runtime import Runtime
from services.storage.tables import Attempt, Delivery, Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, dump, entry, store
from tests.integration.command import Broadsheet
from tests.integration.web_site import Site, routes
from tests.servers import free_port

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Apprise and what it brings along

ME = Actor(name="boss", role="admin", origin="command")
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SECRETS = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
WORD = {name: f"canary-{name.replace('_', '-')}-3f8c1e" for name in SECRETS}
HOOKS = ("canary-hook-path-77aa10", "canary-hook-query-77aa11", "canary-slack-hook-77aa12", "canary-apprise-77aa13")
FEED_KEY = "canary-feed-key-77aa14"


def nothing_of_it(text: str | bytes, where: str) -> None:
    """No canary is in it."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    found = set(re.findall(r"canary-[a-z-]+-[0-9a-f]{6}", text)) | {PEM.splitlines()[1]} & set(text.split())
    at = text.find(next(iter(found))) if found else 0
    assert not found, f"{where}: {found}: …{text[max(0, at - 200) : at + 100]}…"


@dataclass(frozen=True)
class Echo:
    """An upstream that refuses everything, and throws back all it was sent."""

    url: str
    asked: list[str]


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0)).decode("utf-8", "replace")
            said = f"{self.command} {self.path} {' '.join(f'{k}: {v}' for k, v in self.headers.items())}"
            asked.append(said)
            body = json.dumps({"message": said, "error": said, "errors": [{"message": said}], "sent": sent}).encode()
            self.send_response(400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Echo(f"http://127.0.0.1:{server.server_port}", asked)
    server.shutdown()
    server.server_close()


def settings_of(echo: Echo) -> dict[str, str]:
    """All secrets set, and all upstreams the one that throws back."""
    upstreams = [name for name in Settings.model_fields if name.endswith("_url") and name not in {"public_url"}]
    values = dict.fromkeys(upstreams, echo.url) | dict(WORD)
    port = free_port()  # where nobody listens
    return values | {
        "smtp_url": f"smtp+starttls://user:{WORD['smtp_url']}@127.0.0.1:{port}", "dkim_key": PEM.replace("\n", "\\n"),
        "dkim_selector": "news", "dkim_domain": "example.org", "slack_api_url": f"{echo.url}/api", "llm_model": "one",
        "database_url": "",
        "broker_url": f"redis://:{WORD['smtp_url']}@127.0.0.1:{port}/0", "catalogues_contact": "ops@example.org",
        "code_host_tokens": f"git.example.org={WORD['code_host_tokens']}",
        "openreview_user": "somebody", "allowed_private_hosts": "127.0.0.1",
        "alert_to": f"webhook:{echo.url}/{HOOKS[0]}", "oidc_issuer": "",
    }  # fmt: skip


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """What is logged meanwhile, down to the last detail."""
    root = logging.getLogger()
    handlers, level, before = list(root.handlers), root.level, structlog.get_config()
    stream = io.StringIO()
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**before)


def go_wrong(rt: Runtime, echo: Echo) -> None:
    """One of everything that speaks to others, and fails."""
    for kind in ("hf_papers", "arxiv_api", "arxiv_rss", "rss"):
        params = {"category": "cs.CL"} if kind == "arxiv_rss" else {"query": "cat:cs.CL"} if kind == "arxiv_api" else {}
        add_feed(rt, kind.replace("_", "-"), kind, params=params,
                 url=f"{echo.url}/feed.xml?api_key={FEED_KEY}")  # fmt: skip
    held = add_feed(rt, "held", paused=True)
    store(rt, [entry(1, abstract="Code: https://github.com/shore/lantern")], feed=held)
    for to in (
        "ada@example.org", f"webhook:{echo.url}/{HOOKS[0]}?token={HOOKS[1]}", f"slack:{echo.url}/services/{HOOKS[2]}",
        "slack:C0123456789", f"apprise:json://127.0.0.1/{HOOKS[3]}",
    ):  # fmt: skip
        subscription, _ = operate.add_subscription(rt, ME, to=to, confirmed=True)
        due = schedule.edition_job(subscription.id or 0, "daily", "UTC", rt.now())
        rt.add_jobs([due])
        with pytest.raises(BroadsheetError):
            notify.send_test(rt, subscription.id or 0, to)
    with pytest.raises(BroadsheetError):
        operate.add_subscription(rt, ME, to=f"webhook:ftp://x/{HOOKS[0]}", confirmed=True)
    operate.suppress(rt, ME, f"webhook:https://hook.example/{HOOKS[0]}?k={HOOKS[1]}")
    for _ in range(7):
        drain.run_until_idle(rt)
        rt.sleep(3600)


@pytest.fixture(scope="module")
def words_are_long_enough() -> None:
    assert len(SECRETS) >= 12
    assert all(len(word) > 12 for word in WORD.values())


def test_no_secret_comes_out_anywhere(
    make_runtime: MakeRuntime, echo: Echo, home: Path, tmp_path: Path, words_are_long_enough: None
) -> None:
    rt = make_runtime(**settings_of(echo))
    with logged() as log:
        configure_logging(redact=redact, level="debug", style="json", secrets=rt.settings.secret_values(), stream=log)
        go_wrong(rt, echo)
        site = Site(rt)
        assert site.login(WORD["admin_password"]).status_code == 303
        token = site.token("admin")
        answers = [(path, site.get(path)) for method, path in routes(site.app) if method == "GET"]
        parts = {path.removeprefix("/api/v1") for _, path in routes(site.app) if path.startswith("/api/v1/")}
        answers += [(part, site.ask("GET", part, token)) for part in parts]
        answers += [(f"/admin/runs/{job.id}", site.get(f"/admin/runs/{job.id}")) for job in all_rows(rt, Job)]
        answers += [("login", site.post("/admin/login", {"user": "admin", "password": WORD["admin_password"] + "x"}))]
    jobs, deliveries = all_rows(rt, Job), all_rows(rt, Delivery)
    assert {job.kind for job in jobs if job.last_error} >= {"fetch_feed", "send_deliveries", "send_notice"}
    assert len(deliveries) == 5
    assert any(one.traceback for one in all_rows(rt, Attempt)), "there are tracebacks to look into"
    for word in (WORD["slack_token"], FEED_KEY):
        assert any(word in said for said in echo.asked), "the upstreams were told, and threw it back"
    assert len([answer for _, answer in answers if answer.status_code == 200]) > 40
    nothing_of_it(log.getvalue(), "log")
    for name, rows in dump(rt, but=["subscribers", "feeds"]).items():
        nothing_of_it(str(rows), f"table {name}")
    for path, answer in answers:
        nothing_of_it(f"{answer.headers} {answer.text}", path)
    for job in jobs:
        with zipfile.ZipFile(io.BytesIO(make_bundle(rt, job.id or 0))) as bundle:
            for part in bundle.namelist():
                nothing_of_it(bundle.read(part), f"bundle of {job.kind}: {part}")
    transfer.backup(rt, tmp_path / "backup.db")
    rt.close()
    for file in (*home.glob("broadsheet.db*"), tmp_path / "backup.db"):
        for word in (*HOOKS, FEED_KEY, *WORD.values()):
            assert word.encode() not in file.read_bytes(), f"{file.name}: {word}"


def test_no_command_prints_one(broadsheet: Broadsheet, echo: Echo) -> None:
    broadsheet.settings |= {name.upper(): value for name, value in settings_of(echo).items() if value}
    broadsheet("subscriptions", "add", "--to", f"webhook:{echo.url}/{HOOKS[0]}?t={HOOKS[1]}")
    broadsheet("feeds", "add", f"{echo.url}/feed.xml?token={FEED_KEY}", "--name", "keyed", "--no-check", code=0)
    for command in (
        ("feeds", "list"), ("feeds", "list", "--json"), ("feeds", "fetch", "keyed"),
        ("feeds", "fetch", "keyed", "--json"),
        ("doctor",), ("doctor", "--json"), ("settings",), ("settings", "--json"), ("feeds", "fetch", "daily-papers"),
        ("subscriptions", "list"), ("subscriptions", "show", "1"), ("run", "--once"), ("runs", "list"), ("audit",),
        ("bounces", "list"), ("deliveries", "list"), ("users", "list"), ("tokens", "list"), ("secrets", "rotate"),
    ):  # fmt: skip
        said = broadsheet("--verbose", *command)
        nothing_of_it(said.out + said.err, " ".join(command))


@pytest.mark.parametrize("name", SECRETS)
def test_a_setting_at_fault_is_told_without_its_value(name: str, broadsheet: Broadsheet) -> None:
    broadsheet.settings |= {name.upper(): f"://user:{WORD[name]}@[bad", "CONCURRENCY": "many"}
    said = broadsheet("feeds", "list", code=2)
    assert f"{PREFIX}CONCURRENCY" in said.err
    nothing_of_it(said.out + said.err, name)


def test_a_canary_that_got_out_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="canary-github-token"):
        nothing_of_it(f"token {WORD['github_token']} refused", "here")
    with pytest.raises(AssertionError):
        nothing_of_it(PEM, "here")
