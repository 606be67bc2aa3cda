from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.channels.mime import build_mime, one_line, sender
from services.domain.errors import DeliveryRefused, InvalidInput

from .samples import FROM, MESSAGE, TO

HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
]


def parsed(data: bytes) -> EmailMessage:
    mail = message_from_bytes(data, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def body_of(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def header_lines(data: bytes) -> list[bytes]:
    return data.split(b"\r\n\r\n", 1)[0].split(b"\r\n")


def test_the_mail_reads_back_as_it_was_written() -> None:
    mail = parsed(build_mime(MESSAGE, FROM, TO))
    assert list(mail.keys()) == HEADERS
    assert mail["Subject"] == MESSAGE.subject
    assert mail["From"] == FROM
    assert mail["Date"] == "Tue, 24 Nov 2026 07:00:00 +0000"
    assert mail["Message-ID"] == MESSAGE.message_id
    assert [a.addr_spec for a in mail["To"].addresses] == [TO]
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert body_of(mail, "plain").replace("\r\n", "\n") == MESSAGE.text
    assert body_of(mail, "html").replace("\r\n", "\n").strip() == MESSAGE.html


def test_the_same_message_is_the_same_bytes() -> None:
    assert build_mime(MESSAGE, FROM, TO) == build_mime(MESSAGE, FROM, TO)


def test_long_structured_headers_stay_on_one_line() -> None:
    lines = header_lines(build_mime(MESSAGE, FROM, TO))
    assert f"List-Unsubscribe: {MESSAGE.headers['List-Unsubscribe']}".encode() in lines
    assert f"Message-ID: {MESSAGE.message_id}".encode() in lines


def test_a_message_without_html_is_plain_text() -> None:
    assert parsed(build_mime(replace(MESSAGE, html=None), FROM, TO)).get_content_type() == "text/plain"


def test_lines_end_in_crlf_and_stay_below_the_limit() -> None:
    data = build_mime(replace(MESSAGE, text="x" * 5_000 + "\nü" * 3 + "\r\rold\n", html="y" * 9_000), FROM, TO)
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    assert data.isascii()


LINES = st.lists(st.text() | st.sampled_from([".", "From here", "x " * 60, "\t \t", "=", "é" * 90])).map("\n".join)


@settings(max_examples=60)
@given(LINES, LINES, st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_text_reads_back_as_it_was_written(text: str, html: str, end: str) -> None:
    text = text.replace("\n", end)
    mail = parsed(build_mime(replace(MESSAGE, text=text, html=html), FROM, TO))
    for kind, written in (("plain", text), ("html", html)):
        lines = written.replace("\r\n", "\n").replace("\r", "\n")
        read = body_of(mail, kind).replace("\r\n", "\n")
        assert read == (lines if lines.endswith("\n") else f"{lines}\n")


@pytest.mark.parametrize("subject", ["One", "Ein Über-Titel — und noch mehr davon " * 6, "=?utf-8?q?x?=", "w " * 90])
def test_headers_are_those_the_library_writes(subject: str) -> None:
    ours = header_lines(build_mime(replace(MESSAGE, subject=subject), FROM, TO))
    theirs = EmailMessage(policy=default.clone(linesep="\r\n"))
    theirs["Subject"] = subject.replace("=?utf-8", "= ?utf-8").strip()[:400]
    folded = theirs.as_bytes().rstrip().split(b"\r\n")
    start = ours.index(folded[0])
    assert ours[start : start + len(folded)] == folded


@pytest.mark.parametrize("name", ["Bcc", "to", "CC", "Resent-To", "Content-Type", "From", "X Bad", "X:", "", "Ünter"])
def test_extra_headers_cannot_replace_ours_or_add_a_recipient(name: str) -> None:
    mail = parsed(build_mime(replace(MESSAGE, headers={name: "eve@evil.example", "X-Fine": "yes"}), FROM, TO))
    assert "evil" not in str(mail.items())
    assert mail["X-Fine"] == "yes"


@pytest.mark.parametrize(
    "to",
    ["a@b.c, d@e.f", "ada@example.org\r\nBcc: x@y.z", "", "ada", "Ada <ada@example.org>", "slack:outbox"],
)
def test_anything_but_one_plain_address_is_refused(to: str) -> None:
    with pytest.raises(DeliveryRefused):
        build_mime(MESSAGE, FROM, to)


@pytest.mark.parametrize("message_id", ["", "d1@x", "<d1>", "<a b@c>", "<a@b>\r\nX: y", "<" + "a" * 300 + "@b>"])
def test_a_bad_message_id_is_refused(message_id: str) -> None:
    with pytest.raises(DeliveryRefused):
        build_mime(replace(MESSAGE, message_id=message_id), FROM, TO)


def test_senders_with_names_and_without() -> None:
    assert str(sender("papers@example.org")) == "papers@example.org"
    assert sender('"Papers, Daily" <papers@example.org>').display_name == "Papers, Daily"
    mail = parsed(build_mime(MESSAGE, "Zeitung für Leser <papers@example.org>", TO))
    assert mail["From"].addresses[0].display_name == "Zeitung für Leser"
    for bad in ("", "papers", "a@b.example, c@d.example"):
        with pytest.raises(InvalidInput):
            sender(bad)


def test_one_line_leaves_no_break_and_nothing_hidden() -> None:
    assert one_line("a\r\n b\u2028c\x00d\u202ee", 100) == "a b c de"
    assert len(one_line("x" * 10_000, 50)) == 50


any_text = st.text(st.characters(), max_size=120) | st.sampled_from(
    [
        "a\r\nBcc: eve@evil.example",
        "=?utf-8?q?=0D=0ABcc:_x?=",
        "=??Q?=0D",
        "P=?NP",
        "\u2028x",
        "\x00",
        "\ud800",
        " ",
        "ü" * 300,
    ]
)


@settings(max_examples=150, deadline=None)
@given(any_text, any_text, any_text)
def test_any_text_leaves_one_recipient_and_the_fixed_headers(subject: str, list_id: str, value: str) -> None:
    message = replace(
        MESSAGE, subject=subject, list_id=f"L {list_id}", headers={**MESSAGE.headers, "Auto-Submitted": value}
    )
    data = build_mime(message, FROM, TO)
    mail = parsed(data)
    assert list(mail.keys()) == HEADERS
    assert [a.addr_spec for a in mail["To"].addresses] == [TO]
    assert max(len(line) for line in header_lines(data)) <= 998
    assert not [line for line in header_lines(data) if line.lower().startswith((b"bcc", b"cc:"))]
