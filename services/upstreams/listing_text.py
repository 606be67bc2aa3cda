"""The copied text of a Daily Papers page, cut into entries.

Lines are read by `listing_lines`. A closing block ends an entry; where entries have none, titles are told
from abstracts by what they look like. Pages by day put upvotes before the title and comments after the
authors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from services.domain.identifiers import parse_arxiv
from services.domain.text import clean
from services.upstreams.listing_dates import WrittenDate
from services.upstreams.listing_lines import (
    ADDRESS,
    LONGEST_TITLE,
    SENTENCE_END,
    Closing,
    Kind,
    Line,
    is_paragraph,
    parse_count,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEntry:
    """One entry as read. `problem` is set when it cannot be used, and then says why."""

    title: str
    abstract: str | None = None
    closing: Closing | None = None
    upvotes: int | None = None
    arxiv_id: str | None = None
    page_day: WrittenDate | None = None
    problem: str | None = None


_WIDEST_WRAP = 200
"""Lines longer than this, in characters, were not wrapped by anybody."""
_LINK = re.compile(r"#*\s*\[(?P<label>.+)\]\((?P<url>\S+)\)")


def read_entries(lines: Sequence[Line]) -> Iterator[TextEntry]:
    """The entries on the page, in order; those that cannot be used with their `problem`.

    Lines before the first entry that belong to none are the page's head and are passed over.
    """
    started = False
    page_day: WrittenDate | None = None
    numbers_lead = _numbers_lead(lines)
    text: list[Line] = []
    upvotes: int | None = None
    position = 0
    while position <= len(lines):
        line = lines[position] if position < len(lines) else None
        if line is not None and line.kind is Kind.TEXT:
            text.append(line)
            position += 1
            continue
        closing: Closing | None = None
        later: int | None = None
        if line is not None and line.kind is Kind.CLOSING:
            closing, later, position = _read_block(lines, position, numbers_lead)
        else:
            position += 1
            if line is not None and line.kind is Kind.NUMBER:
                later = parse_count(line.text)
                if text and _kind(lines, position) is Kind.CLOSING:  # it stands between abstract and authors
                    upvotes = later
                    continue
        for entry in _split(text, closing, upvotes, page_day):
            if entry.problem is None or started:
                started = True
                yield entry
        if text or closing is not None:
            upvotes, text = None, []
        if line is not None and line.kind is Kind.PAGE_DAY:
            page_day = line.page_day
        upvotes = later if later is not None else upvotes


def _kind(lines: Sequence[Line], position: int) -> Kind | None:
    return lines[position].kind if position < len(lines) else None


def _numbers_lead(lines: Sequence[Line]) -> bool:
    """Whether upvotes stand before titles on this page: a number comes before the first closing block."""
    for position, line in enumerate(lines):
        if line.kind is Kind.CLOSING:
            return False
        if line.kind is Kind.NUMBER and _kind(lines, position + 1) is Kind.TEXT:
            return True
    return False


def _read_block(lines: Sequence[Line], position: int, numbers_lead: bool) -> tuple[Closing, int | None, int]:
    """A closing block from `position`: what it says, the upvotes of the next entry, and where it ends."""
    closing = Closing()
    while position < len(lines) and lines[position].kind is Kind.CLOSING:
        said = lines[position].closing
        if (said.date and closing.date) or (said.authors is not None and closing.authors is not None):
            break  # the next entry's, whose title is missing
        closing = Closing(
            authors=said.authors if said.authors is not None else closing.authors,
            organization=said.organization or closing.organization,
            date=said.date or closing.date,
            comments=said.comments if said.comments is not None else closing.comments,
        )
        position += 1
    numbers: list[int | None] = []
    while position < len(lines) and lines[position].kind is Kind.NUMBER:
        numbers.append(parse_count(lines[position].text))
        position += 1
    following = _kind(lines, position)
    upvotes: int | None = None
    if len(numbers) > 1 or (len(numbers) == 1 and following is Kind.TEXT and numbers_lead):
        upvotes = numbers.pop()
    if numbers and closing.comments is None:
        closing = replace(closing, comments=numbers[0])
    return closing, upvotes, position


def _split(
    lines: Sequence[Line], closing: Closing | None, upvotes: int | None, page_day: WrittenDate | None
) -> Iterator[TextEntry]:
    """The entries in a run of text that no closing block parts; the block after it belongs to the last."""
    groups: list[tuple[str, list[str]]] = []
    paragraphs = _paragraphs(lines)
    for position, text in enumerate(paragraphs):
        following = paragraphs[position + 1] if position + 1 < len(paragraphs) else None
        if groups and _continues(groups[-1], text, following):
            groups[-1][1].append(text)
        elif is_paragraph(text) and not _names_paper(text) and not _heads(text, following):
            groups.append(("", [text]))
        else:
            groups.append((text, []))
    if not groups and closing is not None:
        yield TextEntry(title="", closing=closing, problem="authors and date without a title", page_day=page_day)
    for number, (title, abstract) in enumerate(groups):
        last = number == len(groups) - 1
        yield _entry(title, abstract, closing if last else None, upvotes if number == 0 else None, page_day)


def _continues(group: tuple[str, list[str]], text: str, following: str | None) -> bool:
    """Whether a paragraph belongs to the entry before it: prose does; so does a short last line with an
    address or a full stop, unless it has prose of its own below.
    """
    if _names_paper(text):
        return not _LINK.fullmatch(text)
    if is_paragraph(text):
        return True
    if following is not None and is_paragraph(following):
        return False
    return bool(group[0]) and (
        ADDRESS.search(text) is not None or (" " in text and SENTENCE_END.search(text) is not None)
    )


def _heads(text: str, following: str | None) -> bool:
    """Whether what reads like prose is a title after all: a shorter line with no full stop above real prose."""
    return (
        following is not None
        and is_paragraph(following)
        and len(text) <= min(LONGEST_TITLE, len(following))
        and SENTENCE_END.search(text) is None
    )


def _names_paper(text: str) -> str | None:
    """The arXiv id in a line that is nothing but an id or an address, or a Markdown link to a paper's page."""
    link = _LINK.fullmatch(text)
    found = parse_arxiv(link["url"] if link else text) if link or " " not in text else None
    return found.base if found else None


def _entry(
    title: str,
    abstract: list[str],
    closing: Closing | None,
    upvotes: int | None,
    page_day: WrittenDate | None,
) -> TextEntry:
    link = _LINK.fullmatch(title)
    named = (_names_paper(one) for one in (title, *abstract))
    arxiv_id = next((one for one in named if one), None)
    prose = " ".join(one for one in abstract if not _names_paper(one))
    problem = None
    if not title:
        problem = "an abstract without a title"
    elif not prose and closing is None:
        problem = "a title with neither abstract nor authors and date"
    return TextEntry(
        title=clean(link["label"] if link else title, limit=1_000),
        abstract=clean(prose) or None,
        closing=closing,
        upvotes=upvotes,
        arxiv_id=arxiv_id,
        page_day=page_day,
        problem=problem,
    )


def _paragraphs(lines: Sequence[Line]) -> list[str]:
    """Lines with no blank between them are one paragraph where they were wrapped at one width."""
    blocks: list[list[str]] = []
    for line in lines:
        if line.apart or not blocks:
            blocks.append([])
        blocks[-1].append(line.text)
    return [paragraph for block in blocks for paragraph in _unwrapped(block)]


def _unwrapped(block: Sequence[str]) -> list[str]:
    """A line was wrapped where the next line's first word would not have fitted on it."""
    width = max(map(len, block))
    paragraphs = [block[0]]
    for line, following in pairwise(block):
        if width <= _WIDEST_WRAP and len(line) + 1 + len(following.split(" ", 1)[0]) > width:
            paragraphs[-1] += f" {following}"
        else:
            paragraphs.append(following)
    return paragraphs
