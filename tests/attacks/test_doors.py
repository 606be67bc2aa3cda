"""Doors: sessions, forms, redirects, methods, frames, headers and paths, as somebody tries them who was not invited."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime import Runtime
from services.storage.tables import Feed, Subscription
from tests.attacks.strings import STRINGS
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, dump
from tests.integration.web_site import PASSWORD, Site, hidden


@pytest.fixture
def rt(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime(admin_password=PASSWORD)


@pytest.fixture
def site(rt: Runtime) -> Site:
    add_feed(rt, "daily-papers")
    return Site(rt)


NEXT = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/admin//evil.example",
    "/admin/../..//evil.example",
    "/admin@evil.example",
    "javascript:alert(1)",
    "/admin\r\nSet-Cookie: a=b",
    "%2f%2fevil.example",
    "/%09/evil.example",
    "http:evil.example",
    "/admin?next=//evil.example",
    "ftp://evil.example",
    "data:text/html,x",
    " https://evil.example",
)


@pytest.mark.parametrize("target", NEXT)
def test_a_login_leads_to_no_other_site(stranger: Site, target: str) -> None:
    answer = stranger.post(
        "/admin/login", {"user": "admin", "password": PASSWORD, "next": target}, csrf_from="/admin/login"
    )
    assert answer.status_code == 303
    location = answer.headers["location"]
    assert location.startswith("/admin")
    assert "evil" not in location
    assert "\n" not in str(answer.headers)


def test_a_session_that_was_there_before_the_login_is_not_the_one_after(site: Site) -> None:
    site.get("/admin/login")
    name = "__Host-broadsheet_session"
    site.browser.cookies.set(name, "planted-by-somebody-else", domain="papers.example")
    answer = site.login()
    given = [value for value in answer.headers.get_list("set-cookie") if "session" in value or "broadsheet" in value]
    assert given
    assert "planted" not in " ".join(given)
    live = next(value for value in given if "max-age=0" not in value.lower())
    assert all(word in live.lower() for word in ("httponly", "secure", "samesite", "path=/"))


def test_another_sessions_mark_is_refused(site: Site) -> None:
    site.login()
    other = Site(site.rt, client="198.51.100.7")
    other.login()
    theirs = hidden(other.get("/admin").text, "csrf")
    before = all_rows(site.rt, Feed)[0].paused
    assert site.post("/admin/feeds/daily-papers/pause", {"csrf": theirs}).status_code == 403
    assert all_rows(site.rt, Feed)[0].paused == before


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_get_stays_a_get(shared: Site, header: str) -> None:
    answer = shared.get("/admin/feeds/daily-papers/pause?_method=POST", headers={header: "POST"})
    assert answer.status_code in {404, 405}
    assert not all_rows(shared.rt, Feed)[0].paused


@pytest.mark.parametrize(
    "path", ["/", "/admin/login", "/admin", "/subscribe", "/nowhere", "/api/v1/papers", "/static/style.css"]
)
def test_nothing_may_be_framed(shared: Site, path: str) -> None:
    headers = shared.get(path).headers
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


PATHS = (
    "/static/../app.py",
    "/static/..%2f..%2fapp.py",
    "/static/%2e%2e/%2e%2e/app.py",
    "/static/....//app.py",
    "/static//etc/passwd",
    "/static/..%5c..%5capp.py",
    "/static/%00style.css",
    "/feeds/..%2f..%2fetc%2fpasswd.atom",
    "/papers/..%2f..%2fetc%2fpasswd",
    "/papers/url:file:///etc/passwd",
    "/editions/..%2f1",
    "/admin/runs/..%2f..%2fbundle",
    "/api/v1/papers/..%2f..%2f..%2fetc%2fpasswd",
    "/admin/runs/1%00/bundle",
)


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_its_folder(shared: Site, path: str) -> None:
    answer = shared.get(path)
    assert answer.status_code in {400, 404, 405, 422}, answer.status_code
    assert "root:" not in answer.text
    assert "import annotations" not in answer.text


@pytest.mark.parametrize("name", ["breaks", "encoded-word", "script", "long", "path", "ansi"])
def test_no_text_splits_an_answer(shared: Site, name: str) -> None:
    text = STRINGS[name][:500]
    for path, params in (
        ("/admin", {"next": text}),
        ("/papers/" + "x", {"q": text}),
        ("/feeds/all.atom", {"q": text}),
        ("/", {"q": text}),
    ):
        answer = shared.get(path, params=params)
        assert "bcc" not in {header.lower() for header in answer.headers}
        for value in answer.headers.values():
            assert "\r" not in value
            assert "\n" not in value


def test_guessing_is_slowed_from_one_address_whatever_name_is_tried(site: Site) -> None:
    answers = [
        site.post("/admin/login", {"user": f"user{n}", "password": "guess"}, csrf_from="/admin/login").status_code
        for n in range(9)
    ]
    assert answers[:5] == [401] * 5
    assert set(answers[5:]) == {429}
    assert site.login().status_code == 429, "not even the right password"


def test_list_bombing_is_bounded_and_answers_tell_nothing(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.web.readers.LEAST_FORM_AGE_S", 0.0)
    form = {"email": "victim@example.org"}
    csrf = hidden(site.get("/subscribe").text, "csrf")
    answers = []
    for n in range(12):
        other = Site(site.rt, client=f"198.51.100.{n}", app=site.app)
        answers.append(other.post("/subscribe", {**form, "query": f"q{n}", "csrf": csrf}))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1, "whether a mail was sent or not"
    assert len(list((home / "outbox").glob("*.eml"))) == 1


def test_fields_that_the_form_has_not_are_not_taken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.web.readers.LEAST_FORM_AGE_S", 0.0)
    form = {
        "email": "ada@example.org",
        "state": "active",
        "confirmed": "true",
        "origin": "catalogue",
        "id": "77",
        "role": "admin",
    }
    site.post("/subscribe", form, csrf_from="/subscribe")
    (row,) = all_rows(site.rt, Subscription)
    assert (row.state, row.origin, row.id) == ("pending", "web", 1)


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer ", "Bearer null", "Bearer ' OR 1=1 --", "Basic YWRtaW46YWRtaW4=", "Bearer " + "a" * 5_000],
)
def test_a_made_up_token_opens_nothing(stranger: Site, value: str) -> None:
    before = dump(stranger.rt)
    for method, path in (
        ("GET", "/api/v1/runs"),
        ("POST", "/api/v1/feeds/daily-papers/pause"),
        ("GET", "/metrics"),
        ("GET", "/admin"),
    ):
        answer = stranger.browser.request(method, path, headers={"authorization": value})
        assert answer.status_code in {401, 403, 303, 429}
    assert dump(stranger.rt) == before
