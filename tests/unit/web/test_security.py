"""Limits, marks in forms, and where a request comes from."""

from __future__ import annotations

import time

import pytest
from starlette.requests import Request

from workers.web.security import FORM_LIVES_S, Forms, Limiter, client_of, from_own_page, on_loopback


def request(client: str = "203.0.113.9", scheme: str = "https", **headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "client": (client, 1), "scheme": scheme, "headers": sent, "path": "/"})


# -- limits ----------------------------------------------------------------------------------------------------


def test_a_limiter_lets_so_many_through_and_says_how_long_to_wait() -> None:
    now = [100.0]
    limiter = Limiter(3, 60, clock=lambda: now[0])
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 0]
    now[0] += 10
    assert limiter.take("a") == 50
    assert limiter.take("b") == 0
    now[0] += 50
    assert limiter.take("a") == 0


def test_waiting_in_vain_does_not_lengthen_the_wait() -> None:
    now = [0.0]
    limiter = Limiter(1, 60, clock=lambda: now[0])
    limiter.take("a")
    for _ in range(10):
        now[0] += 5
        limiter.take("a")
    now[0] = 60.0
    assert limiter.take("a") == 0


def test_a_limiter_forgets_the_oldest_keys_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limiter, "MAX_KEYS", 100)
    limiter = Limiter(1, 60)
    for number in range(1000):
        limiter.take(str(number))
    assert len(limiter._seen) == 100
    assert limiter.take("999") > 0
    assert limiter.take("0") == 0


# -- forms -----------------------------------------------------------------------------------------------------


def test_a_mark_is_good_for_its_form_and_owner_only() -> None:
    forms = Forms("a secret")
    mark = forms.mark("subscribe", "someone")
    age = forms.age("subscribe", mark, "someone")
    assert age is not None
    assert age < 5
    assert forms.age("pause", mark, "someone") is None
    assert forms.age("subscribe", mark, "someone else") is None
    assert Forms("another secret").age("subscribe", mark, "someone") is None
    assert "someone" not in mark


@pytest.mark.parametrize("made_up", ["", "x", "a.b.c", "\udcff", "W10.aaaaaa.bbbbbb", "☃" * 50])
def test_what_is_no_mark_is_none(made_up: str) -> None:
    assert Forms("a secret").age("subscribe", made_up) is None


def test_every_change_of_a_mark_spoils_it() -> None:
    forms = Forms("a secret")
    mark = forms.mark("admin", "session")
    # The last character may differ in bits that base64 does not use; what it says is the same then.
    for place in range(len(mark) - 1):
        other = "A" if mark[place] != "A" else "B"
        assert forms.age("admin", mark[:place] + other + mark[place + 1 :], "session") is None


def test_a_mark_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = Forms("a secret")
    mark = forms.mark("admin")
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + FORM_LIVES_S - 60)
    assert forms.age("admin", mark) is not None
    monkeypatch.setattr(time, "time", lambda: real + FORM_LIVES_S + 60)
    assert forms.age("admin", mark) is None


# -- who asks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("testclient", "testclient"),
    ],
)
def test_an_ipv6_network_counts_as_one(client: str, counted: str) -> None:
    assert client_of(request(client)) == counted


@pytest.mark.parametrize(
    ("client", "host", "more", "inside"),
    [
        ("127.0.0.1", "127.0.0.1:8100", {}, True),
        ("127.0.0.1", "localhost", {}, True),
        ("::1", "[::1]:8100", {}, True),
        ("127.0.0.1", "localhost.evil.example", {}, False),
        ("127.0.0.1", "[broken", {}, False),
        ("127.0.0.1", "", {}, False),
        ("10.0.0.4", "localhost", {}, False),
        ("127.0.0.1", "localhost", {"x_real_ip": "203.0.113.9"}, False),
        ("127.0.0.1", "localhost", {"via": "1.1 proxy"}, False),
    ],
)
def test_only_what_is_sent_from_and_to_this_machine_is_on_loopback(
    client: str, host: str, more: dict[str, str], inside: bool
) -> None:
    assert on_loopback(request(client, host=host, **more)) is inside


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"origin": "https://papers.example"}, True),
        ({"origin": "https://PAPERS.example"}, True),
        ({"origin": "http://127.0.0.1:8100"}, True),
        ({"origin": "https://papers.example.evil.example"}, False),
        ({"origin": "http://papers.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({}, True),
    ],
)
def test_a_form_comes_from_the_public_address_or_the_one_that_was_asked(headers: dict[str, str], own: bool) -> None:
    assert from_own_page(request(host="127.0.0.1:8100", **headers), "https://papers.example") is own
