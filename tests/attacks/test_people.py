"""Hostile people: who is subscribed is not found out, nothing is set by the way, no page is framed or leads elsewhere,
no archive unpacks outside its folder, and nobody holds a connection by sending slowly."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from collections.abc import MutableMapping
from typing import Any

import pytest

from services.channels.outbox_folder import file_name
from services.domain.jobs import NewJob
from services.domain.users import Actor
from services.pipeline import accounts, drain, operate
from services.pipeline.bundle import bundle_name, make_bundle
from services.pipeline.subscribe import subscribe
from services.storage.tables import Job, User
from tests.attacks.strings import STRINGS
from tests.factories import all_rows, asked_of, dump
from tests.integration.web_site import OTHERS, Site, declared, hidden, routes
from workers.web import readers, security

ME = Actor(name="boss", role="admin", origin="command")


# -- who is here -----------------------------------------------------------------------------------------------


def test_subscribing_does_not_tell_who_is_subscribed(stranger: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    rt = stranger.rt
    with rt.writing() as session:
        subscribe(rt, session, to="known@example.org", confirmed=True)
    operate.suppress(rt, ME, "struck@example.org")
    later: list[int] = []
    monkeypatch.setattr(readers, "LEAST_FORM_AGE_S", 0.0)
    monkeypatch.setattr(drain, "run_next", lambda _, *, job_id: later.append(job_id))
    csrf = hidden(stranger.get("/subscribe").text, "csrf")
    told = set()
    for name in ("known", "fresh", "struck"):
        with asked_of(rt) as asked:
            answer = stranger.post("/subscribe", {"email": f"{name}@example.org", "csrf": csrf})
        told.add((answer.status_code, answer.text.replace(name, "somebody"), len(asked)))
    assert len(told) == 1, "the same answer, after the same work"
    kept = all_rows(rt, Job, kind="ask_to_confirm")
    assert [job.id for job in kept] == later, "the wish is kept before the answer, and the rest comes after it"
    assert "example.org" not in repr([job.payload for job in kept]), "nobody reads there who asked"
    assert len(kept) == 3


@pytest.mark.parametrize("name", ["admin", "grace", "disabled", "nobody"])
def test_a_login_does_not_tell_who_has_an_account(
    name: str, shared: Site, stranger: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in ("grace", "disabled"):
        if not [user for user in all_rows(shared.rt, User) if user.name == known]:
            accounts.add_user(shared.rt, ME, known, "a lantern in the fog", "viewer")
    accounts.set_disabled(shared.rt, ME, "disabled", True)
    verified: list[str] = []
    real = accounts._verify

    def verify(kept: str, word: str) -> bool:
        verified.append(kept)
        return real(kept, word)

    monkeypatch.setattr(accounts, "_verify", verify)
    with asked_of(shared.rt) as asked:
        answer = stranger.post("/admin/login", {"user": name, "password": "a guess"}, csrf_from="/admin/login")
    assert answer.status_code == 401
    assert "not the right name and password" in answer.text
    assert len(verified) == 1, "the slow part is done once, whoever it is"
    looked = [one for one, _ in asked if "WHERE users.name" in one]
    assert len(looked) == (0 if name == "admin" else 1)
    assert set(answer.headers) == {
        "content-length",
        "content-type",
        "cache-control",
        "x-robots-tag",
        *security.HEADERS,
    } | ({"strict-transport-security"})


@pytest.mark.parametrize("path", ["unsubscribe", "preferences", "data", "saved"])
def test_links_tell_nothing_of_whom_they_are_not_for(path: str, stranger: Site) -> None:
    told = set()
    for token in ("WzEsMV0.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb", "WzksOV0.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"):
        with asked_of(stranger.rt) as asked:
            answer = stranger.get(f"/{path}/{token}")
        told.add((answer.status_code, answer.text.replace(token, ""), len(asked)))
    assert len(told) == 1
    assert next(iter(told))[0] == 404


# -- what is set by the way ------------------------------------------------------------------------------------

EXTRA = {"id": 77, "role": "admin", "origin": "catalogue", "state": "active", "token_version": 9, "made_by": "eve"}


def written(site: Site) -> list[tuple[str, str]]:
    """Each route of the API that takes a body: (method, path with harmless values)."""
    return [
        (method.upper(), re.sub(r"\{[^}]*\}", "1", path))
        for path, operations in site.app.openapi()["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    ]


def test_no_route_of_the_api_takes_a_field_it_does_not_know(shared: Site) -> None:
    routes_with_bodies = written(shared)
    assert len(routes_with_bodies) >= 10
    token = shared.token("admin", "mass")
    shared.ask("GET", "/runs", token)  # its use is written down
    before = dump(shared.rt)
    for method, path in routes_with_bodies:
        answer = shared.ask(method, path.removeprefix("/api/v1"), token, json={"zzz_unknown": 1, **EXTRA})
        assert answer.status_code == 422, path
        assert "zzz_unknown" in answer.text, f"{path} does not refuse what it does not know"
    assert dump(shared.rt) == before


def test_every_schema_of_what_is_taken_is_closed(shared: Site) -> None:
    document = shared.app.openapi()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for media in operation.get("requestBody", {}).get("content", {}).values():
                name = media["schema"]["$ref"].rpartition("/")[2]
                assert document["components"]["schemas"][name]["additionalProperties"] is False, (path, name)


# -- frames and redirects --------------------------------------------------------------------------------------


def check_headers(answer: Any, where: str) -> None:
    """No page elsewhere shows it in a frame, or makes a script of it."""
    headers = answer.headers
    assert headers["x-frame-options"] == "DENY", where
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy, where
    assert "default-src 'none'" in policy, where
    assert not re.search(r"unsafe|\*|https?:", policy), where
    assert headers["x-content-type-options"] == "nosniff", where
    assert headers["referrer-policy"] == "same-origin", where


def test_every_answer_has_the_headers(shared: Site, stranger: Site) -> None:
    seen = set()
    for site in (shared, stranger):
        for method, path in (*routes(site.app), *OTHERS, ("GET", "/nowhere"), ("PUT", "/"), ("TRACE", "/admin")):
            if method == "GET" or site is stranger:
                answer = site.browser.request(method, path)
                check_headers(answer, f"{method} {path}")
                seen.add(answer.status_code)
    assert {200, 303, 401, 403, 404, 405, 422} <= seen


TARGETS = ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)")
NAMES = ("next", "url", "to", "return", "returnTo", "redirect", "redirect_uri", "continue", "r", "q", "said", "about")


def test_no_parameter_of_any_page_leads_elsewhere(shared: Site, stranger: Site) -> None:
    led = 0
    for site in (shared, stranger):
        for method, path in routes(site.app):
            if method != "GET" or "oidc" in path:
                continue
            for target in TARGETS[:: 1 if path.startswith("/admin/l") else 3]:
                answer = site.get(path, params=dict.fromkeys(NAMES, target))
                location = answer.headers.get("location", "")
                led += bool(location)
                assert location == "" or location.startswith(("/admin", "/papers", "/?", "/feeds", "/static")), path
                assert not re.match(r"/[/\\]|[a-z]+:", location), location
                assert "refresh" not in answer.headers
                assert not re.search(r"""http-equiv=["']?refresh""", answer.text, re.IGNORECASE)
    assert led


def test_no_get_has_a_twin_that_acts(shared: Site) -> None:
    """Whatever is changed is changed by POST: a picture or a link on another site does nothing."""
    before = dump(shared.rt, but=["audit"])
    for method, path in declared(shared.app):
        if method == "POST" and "{" not in path and path.startswith(("/admin", "/subscribe")):
            assert shared.get(path, params={"name": "daily-papers"}).status_code in {200, 303, 404, 405}
    assert dump(shared.rt, but=["audit"]) == before


# -- archives --------------------------------------------------------------------------------------------------

PLAIN = re.compile(r"[a-z]+\.(json|txt)")


@pytest.mark.parametrize("name", ["../../../etc/cron.d/x", "/etc/passwd", "..\\..\\x", "C:\\x", "a\x00b", "con", "."])
def test_nothing_unpacks_outside_its_folder(name: str, shared: Site) -> None:
    rt = shared.rt
    text = name.replace("\x00", "")
    rt.add_jobs([NewJob(kind="fetch_feed", key=f"lost {text}", payload={"feed": text, "batch": text, "slot": text})])
    job = all_rows(rt, Job)[-1]
    with zipfile.ZipFile(io.BytesIO(make_bundle(rt, job.id or 0))) as bundle:
        assert bundle.testzip() is None
        for one in bundle.infolist():
            assert PLAIN.fullmatch(one.filename.lower()), one.filename
            assert one.external_attr >> 28 != 0xA, "no symbolic link"
    written = file_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", written), written
    assert ".." not in written
    assert re.fullmatch(r"broadsheet-run-\d+\.zip", bundle_name(job.id or 0))
    answer = shared.get(f"/admin/runs/{job.id}/bundle")
    assert re.fullmatch(r'attachment; filename="[a-z0-9.-]+"', answer.headers["content-disposition"])


@pytest.mark.parametrize("form", ["csv", "bibtex", "ris", "jsonl", "csl"])
def test_the_name_of_an_export_is_ours(form: str, stranger: Site) -> None:
    for text in (STRINGS["path"], STRINGS["breaks"], '"; filename="x.exe'):
        answer = stranger.get(f"/export/{form}", params={"q": text.encode("utf-8", "ignore").decode()[:200]})
        told = answer.headers.get("content-disposition", "attachment")
        assert re.fullmatch(r'(attachment|inline)(; filename="[a-z0-9._-]+")?', told), told


# -- slow senders ----------------------------------------------------------------------------------------------


def send_slowly(parts: list[bytes], *, seconds: float, within: float) -> tuple[int, float]:
    """Send a body part by part; the status that is answered, and after how long."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> tuple[int, float]:
        left, told = list(parts), []

        async def receive() -> MutableMapping[str, Any]:
            await asyncio.sleep(seconds)
            part = left.pop(0) if left else b""
            return {"type": "http.request", "body": part, "more_body": True}

        async def send(message: MutableMapping[str, Any]) -> None:
            told.append(message.get("status"))

        loop = asyncio.get_running_loop()
        began = loop.time()
        scope = {"type": "http", "method": "POST", "path": "/subscribe", "headers": []}
        guard = security.Guard(app, https=True, failed=lambda _: None)  # type: ignore[arg-type, return-value]
        await asyncio.wait_for(guard(scope, receive, send), within)
        return int(told[0] or 0), loop.time() - began

    return asyncio.run(run())


def test_a_body_that_trickles_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_WITHIN_S", 0.05)
    status, took = send_slowly([b"x"] * 10_000, seconds=0.004, within=20)
    assert status == 408
    assert took < 10


def test_a_body_that_never_comes_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_WITHIN_S", 0.05)
    assert send_slowly([], seconds=3600, within=20)[0] == 408


def test_an_endless_body_is_cut() -> None:
    assert send_slowly([b"x" * 8192] * 1000, seconds=0, within=20)[0] == 413
