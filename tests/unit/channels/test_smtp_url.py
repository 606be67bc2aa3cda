from __future__ import annotations

import pytest

from services.channels.smtp_url import SmtpServer, parse_smtp_url
from services.domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://localhost", SmtpServer("localhost", 25, "none")),
        ("smtp://mail.example.org:2525", SmtpServer("mail.example.org", 2525, "none")),
        ("smtps://mail.example.org", SmtpServer("mail.example.org", 465, "tls")),
        (
            "smtp+starttls://ada%40example.org:p%2Fa%3As%25s@mail.example.org",
            SmtpServer("mail.example.org", 587, "starttls", "ada@example.org", "p/a:s%s"),
        ),
        ("smtp://u:p@127.0.0.1:1025", SmtpServer("127.0.0.1", 1025, "none", "u", "p")),
        ("smtps://[2001:db8::1]:465/", SmtpServer("2001:db8::1", 465, "tls")),
    ],
)
def test_urls_of_mail_servers(url: str, server: SmtpServer) -> None:
    assert parse_smtp_url(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://mail.example.org:99999",
        "smtp://mail.example.org:x",
        "smtp://mail.example.org/inbox",
        "smtps://u:p%0d%0aRSET@mail.example.org",
        "smtp://u:topsecret@mail.example.org",
        "smtp://u:topsecret@localhost.evil.example",
        "smtp://u:topsecret@192.168.1.10",
    ],
)
def test_what_cannot_be_used_is_refused_without_saying_the_password(url: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_smtp_url(url)
    assert "topsecret" not in str(refusal.value)


def test_a_password_in_the_clear_is_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidInput, match=r"smtp\+starttls:// .* smtps://"):
        parse_smtp_url("smtp://u:p@mail.example.org")


def test_the_password_is_not_shown() -> None:
    assert "topsecret" not in repr(parse_smtp_url("smtps://u:topsecret@mail.example.org"))
