"""What logs and the audit blot out by itself."""

from __future__ import annotations

import pytest

from config.logging import redact
from config.settings import Settings
from services.domain.urls import has_keys, keys_in, without_keys


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
     "X-Amz-Signature", "client_secret", "password", "passwd", "pwd"],
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
    assert redact(f"/add?url=https%3A%2F%2Fx.example%3F{name}%3Dhush%26n%3D2&at=1") == (
        f"/add?url=https%3A%2F%2Fx.example%3F{name}%3D***%26n%3D2&at=1"
    )


@pytest.mark.parametrize(
    "address",
    ["https://arxiv.example/oai?verb=ListRecords&resumptionToken=7|1001", "https://x.example/?page_token=2&pageToken=3",
     "https://x.example/key=1", "https://x.example/?keyword=tides&keys=1", "https://x.example/?key=",
     "a key=1; token=2"],
)  # fmt: skip
def test_what_is_no_key_stays(address: str) -> None:
    assert without_keys(address) == redact(address) == address


def test_keys_of_before_are_secrets_each() -> None:
    settings = Settings(_env_file=None, old_secret_keys="the first one, the second one,")
    assert settings.old_keys == ("the first one", "the second one")
    assert redact("it was the second one", settings.secret_values()) == "it was ***"
