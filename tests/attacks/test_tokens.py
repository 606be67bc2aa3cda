"""Signed links: what is forged, cut, swapped, aged or made void opens nothing and changes nothing."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable

import pytest

from services.domain.tokens import PAPER_PURPOSES, PURPOSES, make_paper_token, make_token
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import editions, subscribers
from tests.conftest import MakeRuntime
from tests.factories import dump
from tests.fakes import Clock
from tests.integration.web_site import Site, hidden


@pytest.fixture
def site(make_runtime: MakeRuntime) -> Site:
    return Site(make_runtime())


NUMBERS = itertools.count()


def reader(rt: Runtime, address: str = "") -> tuple[int, int]:
    """A subscription of somebody new: (its id, its subscriber's token version)."""
    address = address or f"ada{next(NUMBERS)}@example.org"
    with rt.writing() as session:
        subscription, subscriber = subscribe(rt, session, to=address, query="", confirmed=True)
        return subscription.id or 0, subscriber.token_version


def swapped(token: str) -> str:
    """The letters of a token in the other case."""
    return token.swapcase()


def none_alg(token: str) -> str:
    """A JSON Web Token that says it needs no signature."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, [1, 1])
    )
    return f"{head.decode()}.{body.decode()}."


CHANGES: dict[str, Callable[[str], str]] = {
    "cut by one": lambda token: token[:-1],
    "cut in half": lambda token: token[: len(token) // 2],
    "without its signature": lambda token: token.rpartition(".")[0],
    "without its time": lambda token: ".".join(token.split(".")[::2]),
    "an empty signature": lambda token: token.rpartition(".")[0] + ".",
    "case flipped": swapped,
    "one case flipped": lambda token: (
        token[:-3] + token[-3:].swapcase() if token[-3:] != token[-3:].swapcase() else "x"
    ),
    "padded": lambda token: token + "==",
    "padded in front": lambda token: "%20" + token,
    "another row": lambda token: base64.urlsafe_b64encode(b"[2,1]").decode().rstrip("=") + "." + token.split(".", 1)[1],
    "another version": lambda token: (
        base64.urlsafe_b64encode(b"[1,2]").decode().rstrip("=") + "." + token.split(".", 1)[1]
    ),
    "an earlier time": lambda token: ".".join([token.split(".")[0], "AAAAAA", token.split(".")[2]]),
    "no algorithm": none_alg,
    "a word": lambda _: "unsubscribe",
    "a number": lambda _: "1",
    "compressed": lambda token: "." + token,
    "very long": lambda token: token * 60,
    "twice": lambda token: f"{token}.{token}",
    "nothing": lambda _: "null",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_token_opens_nothing(shared: Site, what: str) -> None:
    row, version = reader(shared.rt)
    before = dump(shared.rt)
    for purpose in PURPOSES:
        good = make_token(shared.rt.secret, purpose, row, version)
        token = CHANGES[what](good)
        assert token != good
        assert shared.get(f"/{purpose}/{token}").status_code in {404, 414}, purpose
        answer = shared.browser.post(f"/{purpose}/{token}", data={"List-Unsubscribe": "One-Click", "csrf": "x"})
        assert answer.status_code in {403, 404, 405, 414, 422}, purpose
    assert dump(shared.rt) == before


@pytest.mark.parametrize("purpose", [*PURPOSES, *PAPER_PURPOSES])
def test_a_token_for_one_act_opens_no_other(shared: Site, purpose: str) -> None:
    row, version = reader(shared.rt)
    token = (
        make_token(shared.rt.secret, purpose, row, version)
        if purpose in PURPOSES
        else make_paper_token(shared.rt.secret, purpose, row, version, 1)
    )
    for other in {*PURPOSES, *PAPER_PURPOSES} - {purpose}:
        assert shared.get(f"/{other}/{token}").status_code == 404


@pytest.mark.parametrize("why", ["rotated key", "void version", "removed reader"])
def test_a_token_of_before_opens_nothing(shared: Site, why: str) -> None:
    row, version = reader(shared.rt)
    secret = shared.rt.secret if why != "rotated key" else "the key of before, which has leaked"
    if why == "void version":
        version -= 1
    if why == "removed reader":
        row += 1000
    for purpose in PURPOSES:
        assert shared.get(f"/{purpose}/{make_token(secret, purpose, row, version)}").status_code == 404


def test_editions_are_not_found_by_counting(shared: Site, stranger: Site) -> None:
    """Their addresses are signed; by number they are for operators, and nobody else learns which there are."""
    rt = shared.rt
    row, version = reader(rt)
    with rt.writing() as session:
        secret = "tides of my own company"
        subscribers.update_subscription(session, row, query=secret)
        number = editions.add(
            session, {"subscription_id": row, "period": "2026-11-25", "composed_at": rt.now(), "due_at": rt.now(),
                      "since_at": rt.now(), "matched": 0, "considered": 0, "sources": []},
        )  # fmt: skip
    assert number is not None
    good = f"/edition/{make_token(rt.secret, 'edition', number, version)}"
    assert secret in stranger.get(good).text
    there, not_there = (stranger.get(f"/editions/{tried}") for tried in (number, number + 1_000))
    assert there.status_code == not_there.status_code == 303
    assert there.text == not_there.text
    assert there.headers["location"] == f"/admin/login?next=%2Feditions%2F{number}"
    assert stranger.browser.get(f"/editions/{number}").status_code == 401
    for tried in (number, number + 1_000):
        assert stranger.get(f"/edition/{tried}").status_code == 404
    assert stranger.get(f"/edition/{make_token('a guess', 'edition', number, version)}").status_code == 404
    assert stranger.get(f"/edition/{make_token(rt.secret, 'edition', number, version + 1)}").status_code == 404
    assert secret in shared.get(f"/editions/{number}").text, "an operator's session"


def test_a_readers_form_takes_no_other_readers_link(shared: Site) -> None:
    ada, eve = (reader(shared.rt, f"{name}@example.org") for name in ("bo", "eve"))
    mine, theirs = (f"/preferences/{make_token(shared.rt.secret, 'preferences', *who)}" for who in (eve, ada))
    csrf = hidden(shared.get(mine).text, "csrf")
    before = dump(shared.rt)
    assert shared.browser.post(theirs, data={"csrf": csrf, "query": "mine"}).status_code == 403
    assert dump(shared.rt) == before


def test_fields_that_no_form_has_are_not_taken(shared: Site) -> None:
    row, version = reader(shared.rt, "grace@example.org")
    path = f"/preferences/{make_token(shared.rt.secret, 'preferences', row, version)}"
    extra = {
        "state": "removed",
        "subscriber_id": "99",
        "origin": "catalogue",
        "id": "99",
        "token_version": "9",
        "address": "eve@x.example",
    }
    assert shared.post(path, {"query": "lantern", **extra}, csrf_from=path).status_code == 200
    with shared.rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, row)
        assert (subscription.query, subscription.state, subscription.origin) == ("lantern", "active", "added")
        assert (subscriber.address, subscriber.token_version) == ("grace@example.org", version)


def test_scanners_that_follow_every_link_change_nothing(shared: Site) -> None:
    row, version = reader(shared.rt)
    before = dump(shared.rt)
    for purpose in sorted({*PURPOSES} - {"edition"}):
        path = f"/{purpose}/{make_token(shared.rt.secret, purpose, row, version)}"
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
            assert shared.browser.request(method, path).status_code in {200, 404, 405}
        for override in ({"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "DELETE"}):
            assert shared.get(f"{path}?_method=POST", headers=override).status_code == 200
    assert dump(shared.rt) == before


def test_a_confirmation_grows_old(site: Site, clock: Clock) -> None:
    row, version = reader(site.rt)
    token = make_token(site.rt.secret, "confirm", row, version)
    assert site.get(f"/confirm/{token}").status_code == 200
    import time_machine  # its age is told by the system's clock

    with time_machine.travel("2035-01-01"):
        assert site.get(f"/confirm/{token}").status_code == 404
