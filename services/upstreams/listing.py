"""A saved Daily Papers page: copied text, or the HTML of the page. Imported from a file, never fetched."""

from __future__ import annotations

from collections import Counter

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.identifiers import Identifier, title_fingerprint
from services.domain.papers import PaperData, ParsedFeed, Rejected
from services.upstreams.documents import decode, describe
from services.upstreams.fields import name_entry
from services.upstreams.listing_dates import Calendar, WrittenDate, make_calendar, midnight
from services.upstreams.listing_lines import Kind, Line, read_lines
from services.upstreams.listing_page import looks_like_page, page_text, parse_page
from services.upstreams.listing_text import TextEntry, read_entries

EXPECTED = (
    "a Daily Papers page: its HTML, or its copied text with titles, abstracts and lines like '6 authors · Nov 21'"
)
_HEAD = 60_000


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """There is nothing to ask for: always raises `InvalidInput` that says so."""
    del urls, batch, cursor
    raise InvalidInput(
        f"feed {feed.name!r}: a listing is a saved page and cannot be fetched; use `broadsheet import FILE`, "
        "or the kind hf_papers to poll Daily Papers"
    )


def looks_like_listing(body: bytes) -> bool:
    """Whether a document is such a page: in HTML by its data or its links to papers, in text by the page's
    heading or a block of authors and date in the first 60 kB. Never raises.
    """
    text = decode(body, limit=_HEAD)
    if _is_markup(text):
        return looks_like_page(body)
    return text.lstrip()[:1] not in ("{", "[") and _has_marks(read_lines(text))


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """The papers on a saved page.

    `announced_on` is the day in the page's heading, `published_at` an entry's date at midnight UTC; years the
    page leaves out are worked out as `listing_dates` says. Copied text names no identifiers: entries whose
    title is too short to stand for them get a `title` identifier made with their abstract, the others none.
    Raises `MalformedDocument` when there is no entry.
    """
    if not body.strip(b"\x00 \t\r\n"):
        raise MalformedDocument(f"expected {EXPECTED}, found an empty document")
    text = decode(body)
    if _is_markup(text):
        page = parse_page(body, about)
        if page is not None:
            return page
        text = page_text(body)
    return _parse_text(text, about, found=describe(body))


def _is_markup(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n\x00")[:1] == "<"


def _has_marks(lines: list[Line]) -> bool:
    """Prose with headings has titles and paragraphs too; a listing has the page's heading or closing blocks."""
    return any(
        line.kind is Kind.HEADING
        or (line.kind is Kind.CLOSING and (line.closing.authors is not None or line.closing.date is not None))
        for line in lines
    )


def _parse_text(text: str, about: DocumentInfo, *, found: str) -> ParsedFeed:
    lines = read_lines(text)
    entries = list(read_entries(lines)) if _has_marks(lines) else []
    if not any(entry.problem is None for entry in entries):
        raise MalformedDocument(f"expected {EXPECTED}, found {found} with no entry in {len(lines)} lines")
    dates = [entry.closing.date for entry in entries if entry.closing and entry.closing.date]
    calendars: dict[WrittenDate | None, Calendar] = {}
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    for position, entry in enumerate(entries, 1):
        day = entry.page_day
        if day not in calendars:
            calendars[day] = make_calendar(dates, day, about)
        if entry.problem is None:
            papers.append(_paper(entry, calendars[day], about, rank=position))
        else:
            rejected.append(
                Rejected(reason=entry.problem, entry=name_entry(entry.title, entry.abstract), position=position)
            )
    return ParsedFeed(
        papers=tuple(papers),
        rejected=tuple(rejected),
        title="Daily Papers",
        notes=_notes(dates, calendars, papers),
    )


def _paper(entry: TextEntry, calendar: Calendar, about: DocumentInfo, *, rank: int) -> PaperData:
    closing = entry.closing
    dated = closing is not None and closing.date is not None
    published = calendar.resolve(closing.date) if closing is not None and closing.date is not None else None
    announced = calendar.resolve(entry.page_day) if entry.page_day is not None else about.as_of
    comments = closing.comments if closing is not None else None
    return PaperData(
        identifiers=_identifiers(entry),
        title=entry.title,
        abstract=entry.abstract,
        authors_count=closing.authors if closing is not None else None,
        organization=closing.organization if closing is not None else None,
        published_at=midnight(published),
        announced_on=announced,
        # The page shows no number where there are no comments.
        comments_count=0 if comments is None and dated else comments,
        upvotes=entry.upvotes,
        rank=rank,
    )


def _identifiers(entry: TextEntry) -> tuple[Identifier, ...]:
    if entry.arxiv_id:
        return (Identifier("arxiv", entry.arxiv_id),)
    if title_fingerprint(entry.title):
        return ()
    fingerprint = title_fingerprint(entry.title, (entry.abstract or "")[:200])
    return (Identifier("title", fingerprint),) if fingerprint else ()


def _notes(
    dates: list[WrittenDate], calendars: dict[WrittenDate | None, Calendar], papers: list[PaperData]
) -> tuple[str, ...]:
    notes: list[str] = []
    years = sorted({calendar.year for calendar in calendars.values()})
    if any(one.year is None for one in dates) or any(day and day.year is None for day in calendars):
        notes.append(f"dates without a year were read as of {', '.join(map(str, years))}")
    repeated = [title for title, count in Counter(paper.title for paper in papers).items() if count > 1]
    if repeated:
        notes.append(f"{len(repeated)} titles occur more than once, the first is {name_entry(repeated[0])!r}")
    return tuple(notes)
