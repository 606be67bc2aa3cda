from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.addresses import Address, parse_address, valid_email
from services.domain.errors import InvalidInput

SLACK = "https://hooks.slack.com/services/T0001/B0002/abcDEF123"


@pytest.mark.parametrize(
    ("value", "channel", "target"),
    [
        ("ada@example.org", "email", "ada@example.org"),
        ("  ada@example.org ", "email", "ada@example.org"),
        ("Ada.Rossi+papers@Example.ORG", "email", "Ada.Rossi+papers@example.org"),
        ("o'neil@example.org", "email", "o'neil@example.org"),
        ("ada@bücher.example", "email", "ada@xn--bcher-kva.example"),
        ("root@localhost", "email", "root@localhost"),
        ("slack:outbox", "slack", "outbox"),
        (f"slack:{SLACK}", "slack", SLACK),
        (f"Slack: {SLACK}", "slack", SLACK),
        ("webhook:https://hooks.example.org/in?x=1", "webhook", "https://hooks.example.org/in?x=1"),
        ("webhook:http://10.0.0.8:8080/in", "webhook", "http://10.0.0.8:8080/in"),
    ],
)
def test_what_people_type_becomes_an_address(value: str, channel: str, target: str) -> None:
    address = parse_address(value)
    assert address == Address(channel, target)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "ada",
        "ada@",
        "@example.org",
        "ada@example",
        "ada@.org",
        "ada@example..org",
        "ada@-example.org",
        "ada@10.0.0.1",
        "ada@[10.0.0.1]",
        "ada@exam ple.org",
        "ada@example.org,eve@evil.example",
        "ada@example.org;eve@evil.example",
        "ada@example.org eve@evil.example",
        "ada@example.org\nBcc: eve@evil.example",
        "ada@example.org\r\n",
        "ada@example.org\x00",
        "ada@example.org\u2028x",
        "ada\u202e@example.org",
        "ada@exam\u200dple.org",
        "Ada <ada@example.org>",
        '"ada rossi"@example.org',
        "ada@eve@example.org",
        ".ada@example.org",
        "ada.@example.org",
        "a..da@example.org",
        "mailto:ada@example.org",
        "ädä@example.org",
        "ada@straße.example",
        "ada@\uff45xample.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * 64 + ".org",
        "a@" + ".".join(["b" * 60] * 5) + ".org",
        "http://example.org",
        SLACK,
        "slack:",
        "slack:http://hooks.slack.com/services/T1/B2/c3",
        "slack:https://hooks.slack.com.evil.example/services/T1/B2/c3",
        "slack:https://hooks.slack.com@evil.example/services/T1/B2/c3",
        "slack:https://evil.example/hooks.slack.com/services/T1/B2/c3",
        "slack:https://hooks.slack.com\\@evil.example/services/T1/B2/c3",
        "slack:https://hooks.slack.com:8443/services/T1/B2/c3",
        "slack:https://hooks.slack.com/services/",
        "slack:https://hooks.slack.com/services/T1/B2",
        "slack:https://hooks.slack.com/services/T1/B2/c3/../../x",
        "slack:https://hooks.slack.com/services/T1/B2/c3?next=x",
        "slack:https://hooks.slack.com/services/T1/B2/c3#x",
        "slack:https://xhooks.slack.com/services/T1/B2/c3",
        "slack:javascript:alert(1)",
        "slack:file:///etc/passwd",
        "webhook:",
        "webhook:example.org/in",
        "webhook:ftp://example.org/in",
        "webhook:https://user:pass@example.org/in",
        "webhook:https://example.org/in, https://evil.example",
        "webhook:https:///in",
        "webhook:https://exa mple.org/in",
    ],
)
def test_whatever_else_is_refused_with_words(value: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_address(value)
    assert len(str(refusal.value)) > 20
    assert not valid_email(value)


def test_an_allowed_host_may_take_slack_messages() -> None:
    url = "http://127.0.0.1:9000/slack"
    with pytest.raises(InvalidInput):
        parse_address(f"slack:{url}")
    assert parse_address(f"slack:{url}", allowed_hosts=("127.0.0.1:9000",)) == Address("slack", url)
    with pytest.raises(InvalidInput):
        parse_address("slack:http://127.0.0.1:9001/slack", allowed_hosts=("127.0.0.1:9000",))


def test_valid_email_takes_only_the_plain_form() -> None:
    assert valid_email("ada@example.org")
    assert not valid_email(" ada@example.org")
    assert not valid_email("slack:outbox")


@given(st.text(max_size=300))
def test_no_text_becomes_two_recipients(value: str) -> None:
    try:
        address = parse_address(value)
    except InvalidInput:
        return
    assert address.target.isascii()
    assert address.target.isprintable()
    assert not set(address.target) & set(' ,;<>"\\')
    assert address.channel != "email" or address.target.count("@") == 1


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_around_an_at_sign_becomes_two_recipients(local: str, domain: str) -> None:
    test_no_text_becomes_two_recipients.hypothesis.inner_test(f"{local}@{domain}")  # type: ignore[attr-defined]
