"""Digests the bare way: the template rendered for each reader, the mail library, one connection; no ledger, no rows.

It prints the very page ours prints, with links made up on the spot, so that both sides put together as many bytes.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage

from services.digests.email import render_html
from services.digests.entries import make_page
from services.digests.plain import render_text
from services.digests.render import subject_of
from services.domain.digests import EditionView
from services.domain.messages import Message

BASE = "https://papers.example.org"


def mails(view: EditionView, readers: int) -> Iterator[bytes]:
    """The mail of each reader: what is known of the papers is put into words once, and printed for each."""
    page = make_page(view)
    subject = subject_of(page)
    for number in range(readers):
        token = f"WzEsMSw{number:06}.aBcDeF.{'k' * 27}"
        entries = tuple(
            replace(entry, feedback=tuple(replace(link, url=f"{BASE}/{link.label}/{token}") for link in entry.feedback))
            for entry in page.entries
        )
        controls = tuple(replace(link, url=f"{BASE}/{link.label}/{token}") for link in page.controls)
        own = replace(page, entries=entries, controls=controls)
        html, plan = render_html(own, subject)
        yield _mail(number, subject, render_text(own, plan), html, f"<{number}@shore.example>")


def send(port: int, mail: bytes, count: int) -> None:
    """Hand a mail to so many readers over one connection."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="bench.example") as server:
        for number in range(count):
            server.sendmail("papers@shore.example", [address(number)], mail)


def send_each(port: int, message: Message, count: int) -> None:
    """The same, each reader's mail put together first."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="bench.example") as server:
        for number in range(count):
            mail = _mail(number, message.subject, message.text, message.html or "", message.message_id)
            server.sendmail("papers@shore.example", [address(number)], mail)


def _mail(number: int, subject: str, text: str, html: str, message_id: str) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "papers@shore.example", address(number), subject
    mail["Message-ID"] = message_id
    mail.set_content(text, cte="quoted-printable")
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    return mail.as_bytes()


def address(number: int) -> str:
    """Of one reader."""
    return f"reader{number}@shore.example"
