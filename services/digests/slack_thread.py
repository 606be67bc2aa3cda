"""The thread under an edition in Slack: one reply a paper, with what the short list leaves out.

A paper that has a reply of its own can be voted on by a reaction to it.
"""

from __future__ import annotations

from typing import Any

from services.digests.entries import Entry, Page
from services.digests.slack import MAX_SECTION, context, escape, link, section
from services.domain.text import excerpt

MAX_REPLIES = 20
"""Slack takes about one message a second in a channel; papers beyond are in the list, and on the web."""


def slack_thread(page: Page) -> tuple[dict[str, Any], ...]:
    """A payload for each of the first `MAX_REPLIES` papers, in their order."""
    return tuple(_reply(entry) for entry in page.entries[:MAX_REPLIES])


def _reply(entry: Entry) -> dict[str, Any]:
    head = f"*{entry.number}.* {link(excerpt(entry.title, 200), entry.url)}"
    head += "".join(f" · {escape(mark)}" for mark in entry.marks)
    lines = [head, escape(excerpt(entry.byline, 200)), f"Why: {escape(excerpt(entry.why, 300))}"]
    blocks = [section("\n".join(filter(None, lines)))]
    if entry.sentence:
        label = f" ({entry.label})" if entry.label else ""
        blocks.append(section(escape(entry.sentence + label)))
    facts = [escape(" · ".join((*entry.meta, *entry.extras)))]
    for code in entry.code:
        shown = " · ".join(filter(None, (code.stars, "archived" if code.archived else "", *code.facts)))
        facts.append(f"{link(code.slug, code.url)} {escape(shown)}")
    facts.append(" · ".join(link(each.label, each.url) for each in entry.actions))
    facts.append(" · ".join(link(each.label, each.url) for each in entry.feedback))
    # Whole lines only: a link that is cut in two shows its address, and may lead elsewhere.
    kept: list[str] = []
    for line in filter(None, facts):
        if sum(map(len, kept)) + len(kept) + len(line) <= MAX_SECTION:
            kept.append(line)
    if kept:
        blocks.append(context("\n".join(kept)))
    return {
        "text": escape(excerpt(f"{entry.number}. {entry.title}", 300)), "blocks": blocks, "unfurl_links": False,
        "unfurl_media": False,
    }  # fmt: skip
