"""The lines of a copied Daily Papers page: which are furniture, which close an entry, which are its text.

An entry is a title, usually an abstract, usually a closing block: authors (`• 6 authors`) or an organization
(`UCSC-VLAA UCSC-VLAA`, handle and name), a dot, a date (`Dec 10, 2024`), the number of comments where there
are any. Blank lines, bullets and the order within the block vary with the browser. Round the entries stands
the page's furniture: navigation, heading, pager.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import pairwise

from services.domain.text import clean
from services.upstreams.listing_dates import WrittenDate, read_date


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What the block under an entry says."""

    authors: int | None = None
    organization: str | None = None
    date: WrittenDate | None = None
    comments: int | None = None


class Kind(Enum):
    """What a line is."""

    TEXT = "text"
    CLOSING = "closing"
    NUMBER = "number"
    HEADING = "heading"
    FURNITURE = "furniture"
    PAGE_DAY = "page day"


@dataclass(slots=True)
class Line:
    """A line with content; `apart`: a blank line stands before it."""

    text: str
    apart: bool
    kind: Kind = Kind.TEXT
    closing: Closing = field(default_factory=Closing)
    page_day: WrittenDate | None = None


_SEPARATORS = "•·∙●⋅‧・|"
_COUNT = r"\d[\d.,]*\s?[kKmM]?"
_AUTHORS = re.compile(rf"(?:[*–-]\s*)?(?:by\s+)?\+?(?P<count>{_COUNT})\s+authors?", re.I)
_DATE_AND_COUNT = re.compile(rf"(?P<date>\D.*?\d|\d.*?)(?:\s+(?P<count>{_COUNT}))?")
_NUMBER = re.compile(_COUNT)

_HEADINGS = frozenset({"daily papers", "byak and the research community", "by ak and the research community", "by ak"})
_FURNITURE = frozenset(
    line.strip()
    for line in """
    new; + new; get trending papers in your email inbox!; get trending papers in your email inbox once a day!
    subscribe; previous; prev; next; previous / next; previous next; submit; submit a paper; upvote; view all
    load more; show more; hugging face; hugging face's logo; models; datasets; spaces; posts; docs; enterprise
    pricing; solutions; community; log in; sign up; login; search; search papers; trending papers; trending
    search models, datasets, users...; papers; daily; weekly; monthly; today; yesterday; this week; company
    tos; privacy; about; careers; jobs; website; blog; forum; discord; github; twitter; linkedin; learn; tasks
    collections; languages; organizations; system theme; light; dark; theme; settings; notifications; inbox
    profile; new model; new dataset; new space; inference providers; inference endpoints; huggingchat; status
    terms of service; changelog; menu; back to top; toggle dark mode; skip to content; share; sort: trending
    hot; arxiv page; read paper; view paper; project page; …; ...
    """.strip()
    .replace("\n", ";")
    .split(";")
)
_FURNITURE_SHAPE = re.compile(
    r"©.*|page \d+(?: (?:of|/) \d+)?|[\d,.]+ (?:papers|results)(?: found)?|(?:results|search) for .*|[<>«»←→‹›+ /-]+",
    re.I,
)
_SUBMITTED_BY = re.compile(r"submitted by:?\s*(?P<who>.*)", re.I)


SENTENCE_END = re.compile(r"(?:\.|…|\.\.\.)[\"'”’)\]]*$")
_SENTENCE_BREAK = re.compile(r"(?<!\bvs)(?<=[a-z0-9)\]%])\.\s+[A-Z]")
ADDRESS = re.compile(r"https?://|github\.com/|www\.", re.I)
LONGEST_TITLE = 300


def is_paragraph(text: str) -> bool:
    """Whether a line is prose, as abstracts are, and no title: by length, full stops, sentences, addresses."""
    words = text.count(" ") + 1
    return (
        len(text) > LONGEST_TITLE
        or (words >= 6 and SENTENCE_END.search(text) is not None)
        or (words >= 8 and ADDRESS.search(text) is not None)
        or (words >= 15 and _SENTENCE_BREAK.search(text) is not None)
    )


def parse_count(text: str) -> int | None:
    """A count as the page shows it: `12`, `1,204`, `1.2k`; `None` for what is none."""
    found = re.fullmatch(r"(\d+(?:[.,]\d+)*)\s?([kKmM]?)", text.strip())
    if found is None or len(found[1]) > 12:
        return None
    factor = {"": 1, "k": 1_000, "m": 1_000_000}[found[2].lower()]
    if factor == 1:
        return int(re.sub(r"[.,]", "", found[1])) if re.fullmatch(r"\d+|\d{1,3}(?:[.,]\d{3})+", found[1]) else None
    number = found[1].replace(",", ".")
    return round(float(number) * factor) if number.count(".") <= 1 else None


def read_closing(line: str, *, within: bool) -> Closing | None:
    """What a line of the closing block says, an empty `Closing` for a mere dot; `None` for any other line.

    `within`: a line before it was of the block. Only then is a date alone, or a number, taken as part of it:
    a title may look like a date.
    """
    parts = [part.strip() for part in re.split(f"[{_SEPARATORS}]", line)]
    filled = [part for part in parts if part]
    if not filled:
        return Closing() if within and line.strip() else None  # what opens a block with a dot: see `_dot`
    result, dated, named = Closing(), False, False
    for position, part in enumerate(filled):
        authors = _AUTHORS.fullmatch(part)
        date, count = _date_and_count(part)
        if authors and (number := parse_count(authors["count"])) is not None:
            result, named = replace(result, authors=number), True
        elif date:
            result, dated = replace(result, date=date, comments=count), True
        elif _NUMBER.fullmatch(part) and (dated or named or within):
            result = replace(result, comments=parse_count(part))
        elif position == 0 and len(filled) > 1 and len(part) <= 120:
            result = replace(result, organization=read_organization(part))
        else:
            return None
    if named or (dated and (within or len(parts) > 1)):
        return result
    alone = within and len(filled) == 1 and result.organization is None
    return result if alone and len(parts) > 1 else None


def _date_and_count(part: str) -> tuple[WrittenDate | None, int | None]:
    whole = read_date(part)
    if whole:
        return whole, None
    found = _DATE_AND_COUNT.fullmatch(part)
    if found is None or not found["count"]:
        return None, None
    date = read_date(found["date"])
    return date, parse_count(found["count"]) if date else None


def read_organization(text: str) -> str:
    """The name in a line of handle and name: `UCSC-VLAA UCSC-VLAA`, `facebook AI at Meta`, `TUM Technische
    …`.

    A line that says one thing only is the name itself: `Stanford University` has no handle before it.
    """
    words = clean(text, limit=200).split(" ")
    half = len(words) // 2
    if len(words) % 2 == 0 and _letters(words[:half]) == _letters(words[half:]):
        return " ".join(words[half:])
    return " ".join(words[1:]) if len(words) > 1 and _is_handle(words[0], words[1:]) else " ".join(words)


def _is_handle(word: str, name: Sequence[str]) -> bool:
    """Whether a word is the account of the name after it: written as no name is, or made of the name's
    letters.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", word):
        return False
    if re.search(r"[-_.\d]", word) or (word.islower() and name[0][:1].isupper()):
        return True
    short, full = _letters([word]), _letters(name)
    initials = "".join(_letters([part])[:1] for part in name)
    rest = iter(full)
    return (
        (bool(full) and full in short)
        or (len(initials) > 2 and initials in short)
        or any(len(part) > 3 and short[:4] == _letters([part])[:4] for part in name)
        or all(letter in rest for letter in short)
    )


def _letters(words: Sequence[str]) -> str:
    return re.sub(r"[\W_]+", "", "".join(words)).casefold()


def read_lines(text: str) -> list[Line]:
    """The lines of a page that hold something of entries or heading, each with its kind."""
    lines: list[Line] = []
    apart = True
    for raw in text.splitlines():
        content = clean(raw)
        if content:
            lines.append(Line(content, apart))
        apart = not content
    _mark_furniture(lines)
    for line, following in pairwise(lines):
        following.apart |= line.kind is Kind.FURNITURE
    lines = [line for line in lines if line.kind is not Kind.FURNITURE]
    _mark_closings(lines)
    _mark_page_days(lines)
    return lines


def _next(lines: Sequence[Line], position: int) -> Line | None:
    return lines[position + 1] if position + 1 < len(lines) else None


def _mark_furniture(lines: list[Line]) -> None:
    in_pager = False
    for position, line in enumerate(lines):
        if line.kind is not Kind.TEXT:
            continue
        if in_pager and _NUMBER.fullmatch(line.text):  # the numbers of pages
            line.kind = Kind.FURNITURE
            continue
        lowered, following = line.text.lower(), _next(lines, position)
        submitted = _SUBMITTED_BY.fullmatch(line.text)
        in_pager = lowered in ("previous", "prev", "...", "…") or (in_pager and lowered == "next")
        # "Learn" may be a title: then a paragraph follows it.
        has_abstract = following is not None and is_paragraph(following.text)
        if lowered in _HEADINGS:
            line.kind = Kind.HEADING
        elif submitted:
            line.kind = Kind.FURNITURE
            if not submitted["who"] and following is not None and following.kind is Kind.TEXT:
                following.kind = Kind.FURNITURE
        elif not has_abstract and (lowered in _FURNITURE or _FURNITURE_SHAPE.fullmatch(lowered)):
            line.kind = Kind.FURNITURE


def _mark_closings(lines: list[Line]) -> None:
    within = dated = False
    for position, line in enumerate(lines):
        closing = read_closing(line.text, within=within) if line.kind is Kind.TEXT else None
        if closing is not None and closing.date and read_date(line.text):
            following = _next(lines, position)
            # A date alone, where there was one or prose follows: the next entry's title, or a day.
            dotted = position > 0 and set(lines[position - 1].text) <= set(_SEPARATORS)
            prose_follows = line.apart and following is not None and is_paragraph(following.text)
            if dated or (prose_follows and not dotted):
                closing = None
        if closing is None and not within and set(line.text) <= set(_SEPARATORS):
            closing = _dot(lines, position)
        if closing is not None:
            line.kind, line.closing = Kind.CLOSING, closing
            within, dated = True, dated or closing.date is not None
        elif line.kind is Kind.TEXT and parse_count(line.text) is not None:
            line.kind = Kind.NUMBER  # comments or upvotes: what stands round it decides
        else:
            within = dated = False


def _dot(lines: list[Line], position: int) -> Closing | None:
    """A dot opens a block when a date or authors follow; the line right above it is then the organization."""
    following = _next(lines, position)
    if following is None or read_closing(following.text, within=True) is None:
        return None
    above = lines[position - 1] if position else None
    if above is not None and above.kind is Kind.TEXT and _is_organization(lines, position - 1):
        above.kind = Kind.CLOSING
        above.closing = Closing(organization=read_organization(above.text))
    return Closing()


def _is_organization(lines: list[Line], position: int) -> bool:
    line, dot = lines[position], lines[position + 1]
    if len(line.text) > 120 or is_paragraph(line.text):
        return False
    before = lines[position - 1] if position else None
    if before is None or before.kind is not Kind.TEXT:
        return False  # then it is the title
    # Browsers keep the block together; where every line stands apart, it is the line after an abstract, or
    # one that gives handle and name as titles do not.
    return not dot.apart or is_paragraph(before.text) or read_organization(line.text) != line.text


def _mark_page_days(lines: list[Line]) -> None:
    """A date alone is the page's day, or a title when an abstract or a closing block follows it."""
    for position, line in enumerate(lines):
        day = read_date(line.text) if line.kind is Kind.TEXT else None
        if day is None:
            continue
        following = _next(lines, position)
        if following is None or (following.kind is not Kind.CLOSING and not is_paragraph(following.text)):
            line.kind, line.page_day = Kind.PAGE_DAY, day
