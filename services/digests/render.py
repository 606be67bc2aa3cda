"""`render`: an edition's view becomes the one message its deliveries send, in every form at once.

The same view gives the same bytes: there is no clock and no chance here. A delivery that is tried again
therefore repeats itself exactly, which lets mail stores that know its Message-ID drop the second copy.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from services.digests.email import render_html, values_of
from services.digests.entries import Page, make_page, plain, safe_mailto
from services.digests.overrides import templates_of
from services.digests.plain import render_text
from services.digests.sharing import shared
from services.digests.short import short_form
from services.digests.slack import slack_payload
from services.digests.slack_thread import slack_thread
from services.digests.webhook import webhook_data
from services.domain.digests import EditionView
from services.domain.messages import Message
from services.domain.text import excerpt, safe_url

MAX_SUBJECT = 60
_MAX_HEADER_URL = 800
"""A List-Unsubscribe line stays whole below SMTP's 998 bytes: folded ones broke signatures on the way."""


def render(
    view: EditionView, *, message_id: str, list_id: str, folder: Path | None = None, mail_only: bool = False
) -> Message:
    """The message for `view`: subject, HTML, text, Slack payload, webhook data and mail headers.

    `mail_only` leaves out what a mail does not need, and shares what the mails of several readers have in common.

    `folder` may hold templates of the operator's own (see `overrides`); `BrokenTemplate` for one that cannot be used.

    `message_id` is `<left@right>` and stable for the delivery; `list_id` names the list, such as
    `Daily Papers <daily-papers.example.org>`. The date is the one the edition was composed at.
    """
    theirs = folder if folder is not None and folder.is_dir() else None
    if mail_only and not templates_of(theirs).replaced:
        subject, html, text = shared(view, _own_mail)
    else:
        subject, html, text = _mail(view, theirs)
    mail = Message(
        message_id=message_id, subject=subject, text=text, html=html, date=view.composed_at, list_id=list_id,
        headers=_headers(view),
    )  # fmt: skip
    if mail_only:
        return mail
    page = make_page(view)
    return replace(
        mail,
        slack=slack_payload(page, subject),
        thread=slack_thread(page),
        short=short_form(page),
        data=webhook_data(view),
    )


def _own_mail(view: EditionView) -> tuple[str, str, str]:
    return _mail(view, None)


def _mail(view: EditionView, theirs: Path | None) -> tuple[str, str, str]:
    """Subject, HTML and text."""
    page = make_page(view)
    subject = subject_of(page)
    html, plan = render_html(page, subject, folder=theirs)
    templates = templates_of(theirs)
    if "edition.txt.j2" in templates.replaced:
        return subject, html, templates.render("edition.txt.j2", values_of(page, subject, plan))
    return subject, html, render_text(page, plan)


def subject_of(page: Page) -> str:
    """The best paper's title and how many more, then the date where it fits, in at most 60 characters."""
    if page.quiet:
        said = f" · {page.short_date}: nothing new" + (" so far" if page.incomplete else "")
        if page.since:
            said = f" · {page.short_date}: since you read"
        return excerpt(page.name, MAX_SUBJECT - len(said)) + said
    others = len(page.entries) - 1
    tail = f" + {others}" if others else ""
    title = excerpt(page.entries[0].title, MAX_SUBJECT - len(tail))
    dated = f"{title}{tail} · {page.short_date}"
    return dated if len(dated) <= MAX_SUBJECT and not title.endswith("…") else f"{title}{tail}"


def _headers(view: EditionView) -> dict[str, str]:
    headers = {
        "Auto-Submitted": "auto-generated",
        "Precedence": "bulk",
        "X-Auto-Response-Suppress": "All",
        "X-Broadsheet-Edition": f"{view.edition_date.isoformat()} {plain(view.name, 60)}".encode("ascii", "ignore")
        .decode()
        .strip(),
    }
    one_click = _header_url(view.one_click_url)
    ways = [
        f"<{url}>" for url in (one_click or _header_url(view.unsubscribe_url), safe_mailto(view.unsubscribe_url)) if url
    ]
    if ways:
        headers["List-Unsubscribe"] = ", ".join(ways)
    if one_click:
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _header_url(url: str | None) -> str | None:
    safe = safe_url(url) if url else None
    # `,` parts the ways, `>` ends one; both are refused or percent-encoded by whoever makes these URLs.
    return safe if safe and safe.isascii() and len(safe) <= _MAX_HEADER_URL and "," not in safe else None
