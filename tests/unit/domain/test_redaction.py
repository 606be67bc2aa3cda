"""What logs and the audit blot out by itself."""

from __future__ import annotations

import pytest

from config.settings import Settings
from services.domain.errors import InvalidInput
from services.domain.redaction import redact
from services.domain.urls import has_keys, keys_in, whole, without_keys


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to webhook:https://hook.example/in/x?token=y now", "to webhook:https://hook.example/*** now"),
        ("webhook:https://hook.example", "webhook:https://hook.example"),
        ("webhook:https://hook.example:8443?t=secret", "webhook:https://hook.example:8443/***"),
        ("slack:https://chat.example/services/T/B/x", "slack:https://chat.example/***"),
        ("https://hooks.slack.com/services/T/B/x", "https://hooks.slack.com/services/***"),
        ("apprise:tgram://token/chat", "apprise:tgram://***"),
        ("smtp://user:pass@mail.example", "smtp://user:***@mail.example"),
        ("slack:C0123456789 and ada@example.org", "slack:C0123456789 and ada@example.org"),
    ],
)
def test_addresses_that_are_secrets_are_cut_after_their_host(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "name",
    ["key", "api_key", "apikey", "apiKey", "X-API-Key", "token", "access_token", "private_token", "auth", "sig",
     "X-Amz-Signature", "X-Amz-Credential", "api%5Fkey", "api%255Fkey", "user[token]", "hapikey", "feedToken",
     "client_secret", "password", "passwd", "pwd"],
)  # fmt: skip
def test_keys_in_the_query_of_an_address_are_blotted_out(name: str) -> None:
    for address, shown in (
        (f"https://lab.example/feed?{name}=h%20ush", f"https://lab.example/feed?{name}=***"),
        (f"https://lab.example/feed?day=1&{name}=hush&n=2#top", f"https://lab.example/feed?day=1&{name}=***&n=2#top"),
    ):
        assert without_keys(address) == redact(address) == shown == redact(shown)
        assert redact(f"'{address}', said they; {{\"{address}\"}}") == f"'{shown}', said they; {{\"{shown}\"}}"
        assert has_keys(address)
        assert keys_in(address) <= {"h%20ush", "h ush", "hush"} != keys_in(shown)
    inner = f"/add?url=https%3A%2F%2Fx.example%3F{name}%3Dhush%26n%3D2&at=1"
    shown = f"/add?url=https%3A%2F%2Fx.example%3F{name}%3D***%26n%3D2&at=1"
    assert redact(inner) == without_keys(inner) == shown
    assert keys_in(inner) == {"hush"}
    assert whole(inner) == inner
    with pytest.raises(InvalidInput, match="with its key"):
        whole(shown)


def test_a_key_ends_where_the_address_says_so() -> None:
    assert without_keys("https://x.example/?key=a%26b'c&n=1") == "https://x.example/?key=***&n=1"
    assert redact("https://x.example/?key=a%26b&n=1") == "https://x.example/?key=***&n=1"


@pytest.mark.timeout(30)
def test_a_text_without_a_blank_takes_no_longer_than_another() -> None:
    for text in ("?" + "a" * 150_000, "?" + "aA" * 25_000, "?" + "a_" * 25_000, "?" + "%25" * 20_000):
        assert redact(text) == text  # with the square of its length it is minutes


INNOCENT = (
    "sortkey", "sortKey", "sort_key", "dbkey", "hotkey", "monkey", "turkey", "query_key", "oauth", "nextPageToken",
    "next_page_token", "page_token", "resumptionToken", "next_token", "design",
)  # fmt: skip


@pytest.mark.parametrize(
    "address",
    ["https://arxiv.example/oai?verb=ListRecords&resumptionToken=7|1001", "https://x.example/?page_token=2&pageToken=3",
     *(f"https://x.example/?{name}=1" for name in INNOCENT),
     *(f"https://x.example/?u=https%3A%2F%2Fy.example%3F{name}%3D1" for name in INNOCENT),
     "https://x.example/key=1", "https://x.example/?keyword=tides&keys=1", "https://x.example/?key=",
     "a key=1; token=2"],
)  # fmt: skip
def test_what_is_no_key_stays(address: str) -> None:
    assert without_keys(address) == redact(address) == address


def test_keys_of_before_are_secrets_each() -> None:
    settings = Settings(_env_file=None, old_secret_keys="the first one, the second one,")
    assert settings.old_keys == ("the first one", "the second one")
    assert redact("it was the second one", settings.secret_values()) == "it was ***"
