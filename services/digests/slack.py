"""An edition as a Slack webhook payload: a short list, inside every limit of Block Kit.

Slack has no escape for its own formatting, so untrusted text gets a zero-width space beside each character
that would format, link or mention; `&`, `<` and `>` become entities, which is what stops `<!channel>`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from services.digests.entries import Entry, Link, Page
from services.domain.text import excerpt

MAX_BLOCKS = 50
MAX_SECTION = 3_000
MAX_HEADER = 150
MAX_TOTAL = 12_000
"""Characters over all blocks: Slack refuses a message at about 13,200 (`msg_blocks_too_long`)."""

_MAX_URL = 600
_BREAK = "\u200b"
_FORMATTING = re.compile(r"([*_~`@])")
_EMOJI = re.compile(r":(?=[A-Za-z0-9_+'-]+:)")
# Beside the papers: header, counts, sources, the rest, the footer.
_FRAME_BLOCKS = 5


def slack_payload(page: Page, subject: str) -> dict[str, Any]:
    """`{"text", "blocks", "unfurl_links", "unfurl_media"}` for a POST to an incoming webhook."""
    header = _header(page)
    footer = _footer(page)
    # The line that says how many were left out is counted before it is known to be needed.
    room = MAX_TOTAL - _size(header) - _size(footer) - len(_rest(page, 0)) - 100
    since = _since(page)
    room -= len(_summary(page, len(page.entries))) + _size(since)
    papers: list[dict[str, Any]] = []
    for entry in page.entries[: MAX_BLOCKS - _FRAME_BLOCKS - len(since)]:
        block = section(_paper(entry))
        room -= _size([block])
        if room < 0:
            break
        papers.append(block)
    rest = _rest(page, len(papers))
    blocks = [*header[:1], context(_summary(page, len(papers))), *header[1:], *papers, *since]
    if rest:
        blocks.append(section(rest))
    return {
        "text": escape(excerpt(subject, 300)),
        "blocks": [*blocks, *footer],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escape(text: str) -> str:
    """`text` for mrkdwn so that it shows as itself: no formatting, no mention, no link, no emoji."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _EMOJI.sub(f":{_BREAK}", _FORMATTING.sub(rf"{_BREAK}\1{_BREAK}", text))


def link(label: str, url: str | None) -> str:
    """`<url|label>`; the label alone when there is no URL or it is longer than Slack takes in a list."""
    # A label ends at `|`, whatever one does; the divides sign reads the same in p(x∣y).
    shown = escape(label.replace("|", "∣"))
    target = quote(url, safe="%/:?#[]@!$&'()*+,;=~-._").replace("&", "&amp;") if url else ""
    return f"<{target}|{shown}>" if target and len(target) <= _MAX_URL else shown


def _header(page: Page) -> list[dict[str, Any]]:
    title = excerpt(f"{page.name} · {page.short_date}", MAX_HEADER)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}}]
    if page.sources:
        blocks.append(context(escape(excerpt(" · ".join(source.text for source in page.sources), 900))))
    return blocks


def _summary(page: Page, shown: int) -> str:
    return escape(page.summary_of(shown))


def _paper(entry: Entry) -> str:
    title = link(excerpt(entry.title, 200), entry.url)
    marks = "".join(f" · {escape(mark)}" for mark in entry.marks)
    tail = f" · {entry.stars}" if entry.stars else ""
    # Links, not buttons: Slack wants every press of a button answered by an app, which a webhook has none of.
    said = " · ".join(link(each.label, each.url) for each in entry.feedback)
    return f"*{entry.number}.* {title}{marks}\nWhy: {escape(excerpt(entry.why, 160))}{tail}" + (said and f"\n{said}")


def _rest(page: Page, shown: int) -> str:
    more = page.more(shown)
    return link(more, page.more_url) if more else ""


def _since(page: Page) -> list[dict[str, Any]]:
    if not page.since:
        return []
    said = "\n".join(f"• {escape(line)}" for line in page.since)
    return [section(f"*Since you read*\n{said}")] if len(said) <= MAX_SECTION - 50 else []


def _footer(page: Page) -> list[dict[str, Any]]:
    links: tuple[Link, ...] = page.links + page.controls
    said = " · ".join([f"You get this {escape(page.cadence)}.", *(link(each.label, each.url) for each in links)])
    return [context(said if len(said) <= MAX_SECTION else f"You get this {escape(page.cadence)}.")]


def section(text: str) -> dict[str, Any]:
    """A block of mrkdwn."""
    return {"type": "section", "text": _mrkdwn(text)}


def context(text: str) -> dict[str, Any]:
    """A block of small print."""
    return {"type": "context", "elements": [_mrkdwn(text)]}


def _mrkdwn(text: str) -> dict[str, Any]:
    # `verbatim` keeps Slack from linking names, channels and bare URLs by itself.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _size(blocks: list[dict[str, Any]]) -> int:
    return sum(
        len(part["text"]) for block in blocks for part in (block.get("text"), *block.get("elements", ())) if part
    )
