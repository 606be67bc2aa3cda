"""The mail that asks for a confirmation. It holds no word of whoever filled in the form: an address typed by a
stranger must not become a way to send that stranger's text to somebody."""

from __future__ import annotations

from datetime import datetime
from email.utils import parseaddr

from markupsafe import Markup

from services.domain.deliveries import message_id
from services.domain.messages import Message

CONFIRM_HOURS = 48

_HTML = Markup("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{subject}</title></head>
<body style="margin:0;padding:28px 16px;background-color:#efece4;color:#1b1915;font:16px/1.55 Georgia,serif">
<div style="max-width:520px;margin:0 auto;padding:28px 32px;background-color:#fffefa;border:1px solid #e0dacc;border-top:3px solid #1b1915">
<h1 style="margin:0 0 16px;font:400 32px/1.1 Georgia,serif;color:#1b1915">Broadsheet</h1>
<p>Somebody, we hope you, asked for a digest of research papers at this address.</p>
<p><a href="{url}" style="display:inline-block;padding:11px 18px;background-color:#a4291c;color:#ffffff;text-decoration:none;font-weight:bold">Look at it and confirm</a></p>
<p>The link works for {hours} hours. Nothing is sent before you confirm.</p>
<p style="color:#6b655a">It was not you? Then do nothing: without a confirmation nothing more will come.</p>
</div></body></html>
""")  # noqa: E501 - mail wants its styles on the elements


def confirmation_message(
    *, url: str, subscription_id: int, version: int, mail_from: str, secret: str, now: datetime
) -> Message:
    """The confirmation for one subscription; `url` is its page. The Message-ID is new for each day it is sent on."""
    domain = parseaddr(mail_from)[1].partition("@")[2] or "localhost"
    subject = "Please confirm your digest of papers"
    text = (
        "Somebody, we hope you, asked for a digest of research papers at this address.\n\n"
        f"To look at it and confirm, open this page and press the button:\n\n{url}\n\n"
        f"The link works for {CONFIRM_HOURS} hours. Nothing is sent before you confirm.\n\n"
        "It was not you? Then do nothing: without a confirmation nothing more will come.\n"
    )
    return Message(
        message_id=message_id(f"confirm {subscription_id} {version} {now:%Y-%m-%d}", secret, domain),
        subject=subject,
        text=text,
        html=str(_HTML.format(subject=subject, url=url, hours=CONFIRM_HOURS)),
        date=now,
        list_id=f"Broadsheet confirmations <confirm.{domain}>",
        headers={"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
    )
