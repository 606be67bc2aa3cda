"""What logs and the audit blot out by itself."""

from __future__ import annotations

import pytest

from config.logging import redact
from config.settings import Settings


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


def test_keys_of_before_are_secrets_each() -> None:
    settings = Settings(_env_file=None, old_secret_keys="the first one, the second one,")
    assert settings.old_keys == ("the first one", "the second one")
    assert redact("it was the second one", settings.secret_values()) == "it was ***"
