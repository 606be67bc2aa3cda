"""An edition as plain text: the same words in the same order as the HTML, at most 74 columns wide.

Links stand whole on lines of their own, so that any terminal and any mail reader can follow them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from services.digests.email import Plan
from services.digests.entries import CodeLine, Entry, Link, Page

WIDTH = 74
_INDENT = "    "


def render_text(page: Page, plan: Plan) -> str:
    """The page as text; `plan` says which papers are whole and which are one-liners, as in the HTML."""
    lines = list(_head(page, plan))
    for entry in page.entries[: plan.full]:
        lines += ["", *_full(entry)]
    brief = page.entries[plan.full : plan.shown]
    if brief:
        lines += ["", "IN SHORT"]
        for entry in brief:
            lines += ["", *_brief(entry)]
    if page.since:
        lines += ["", "SINCE YOU READ"]
        for said in page.since:
            lines += wrap(said, first="- ", indent="  ")
    lines += _foot(page, plan)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def wrap(text: str, *, indent: str = "", first: str | None = None, width: int = WIDTH) -> list[str]:
    """`text` in lines of at most `width` columns; wide characters count two, URLs are never broken."""
    lines: list[str] = []
    line, start = first if first is not None else indent, True
    for word in text.split():
        pieces = [word] if "://" in word else _pieces(word, width - columns(indent))
        for piece in pieces:
            if not start and columns(line) + 1 + columns(piece) > width:
                lines.append(line)
                line, start = indent, True
            line, start = line + ("" if start else " ") + piece, False
    return [*lines, line] if not start else lines


def columns(text: str) -> int:
    """How many columns a terminal gives to `text`."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pieces(word: str, width: int) -> Iterator[str]:
    piece, used = "", 0
    for character in word:
        size = columns(character)
        if used + size > width:
            yield piece
            piece, used = "", 0
        piece, used = piece + character, used + size
    yield piece


def _head(page: Page, plan: Plan) -> Iterator[str]:
    yield from wrap(page.name.upper())
    yield page.date
    yield "=" * WIDTH
    yield from wrap(page.summary_of(plan.shown))
    if page.query:
        yield from wrap(page.query, indent="  ")
    for source in page.sources:
        yield from wrap(source.text, first="! " if source.troubled else "- ", indent="  ")


def _full(entry: Entry) -> Iterator[str]:
    yield from _heading(entry)
    if entry.byline:
        yield from _body(entry.byline)
    yield from _body(f"WHY  {entry.why}")
    if entry.sentence:
        yield from _body(entry.sentence + (f" [{entry.label}]" if entry.label else ""))
    if entry.meta:
        yield from _body(" · ".join(entry.meta))
    for repo in entry.code:
        yield from _repo(repo)
    if entry.extras:
        yield from _body(" · ".join(entry.extras))
    shown = {entry.url, *(repo.url for repo in entry.code)}
    yield from _linked((*(link for link in entry.actions if link.url not in shown), *entry.feedback))


def _brief(entry: Entry) -> Iterator[str]:
    yield from _heading(entry)
    yield from _body(entry.why + (f" · {entry.stars}" if entry.stars else ""))


def _heading(entry: Entry) -> Iterator[str]:
    marks = "".join(f" [{mark.upper()}]" for mark in entry.marks)
    yield from wrap(entry.title + marks, first=f"{entry.number}.".ljust(len(_INDENT)), indent=_INDENT)
    if entry.url:
        yield _INDENT + entry.url


def _body(text: str) -> list[str]:
    return wrap(text, indent=_INDENT)


def _repo(repo: CodeLine) -> Iterator[str]:
    facts = " · ".join(filter(None, (repo.stars, *repo.facts)))
    archived = " [ARCHIVED]" if repo.archived else ""
    yield from _body(f"{repo.label} {repo.slug}{archived}" + (f" {facts}" if facts else ""))
    if repo.url:
        yield _INDENT + repo.url


def _linked(links: tuple[Link, ...]) -> Iterator[str]:
    widest = max((len(link.label) for link in links), default=0)
    for link in links:
        yield f"{_INDENT}{link.label.ljust(widest)}  {link.url}"


def _foot(page: Page, plan: Plan) -> Iterator[str]:
    yield ""
    yield "-" * WIDTH
    more = page.more(plan.shown)
    if more:
        yield more
        if page.more_url:
            yield page.more_url
        yield ""
    for link in (*page.links, *page.controls):
        yield f"{link.label[:1].upper()}{link.label[1:]}:"
        yield link.url
    yield ""
    yield from wrap(f"You get this {page.cadence}.")
