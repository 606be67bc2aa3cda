"""An edition in a few lines of plain text, for services that take short messages: head, a block a paper, foot.

These services read marks in what is sent (Markdown, mentions) in ways of their own, so everything that could be one is
broken by a zero-width space.
"""

from __future__ import annotations

import re

from services.digests.entries import Entry, Page
from services.domain.text import excerpt

_BREAK = "\u200b"
_MARKS = re.compile(r"@(?=\w)|<(?=[@!#&])|\](?=\()|[*_~`](?=[*_~`\w])")


def short_form(page: Page) -> tuple[str, ...]:
    """The head, one block for each paper, and last the foot with where the rest is."""
    head = f"{page.name} · {page.short_date}\n{page.summary}"
    foot = "\n".join(f"{link.label}: {link.url}" for link in (*page.links[:1], *page.controls))
    return (calm(head), *(_block(entry) for entry in page.entries), foot)


def calm(text: str) -> str:
    """`text` without anything a chat service would take for a mention, a link or formatting."""
    return _MARKS.sub(lambda found: found[0] + _BREAK, text)


def _block(entry: Entry) -> str:
    marks = "".join(f" · {mark}" for mark in entry.marks)
    stars = f" · {entry.stars}" if entry.stars else ""
    said = calm(f"{entry.number}. {excerpt(entry.title, 200)}{marks}")
    why = calm(f"Why: {excerpt(entry.why, 160)}{stars}")
    return "\n".join(filter(None, (said, why, entry.url)))
