"""The HTML of a Daily Papers page.

The page carries its data twice: as JSON in `data-props` of the `DailyPapers` element, the very items of the
API, which is preferred; and as cards (`article` with the title's link to `/papers/{arXiv id}`). A page saved
by a browser may have lost the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

from services.domain.feeds import DocumentInfo
from services.domain.identifiers import Identifier
from services.domain.links import LinkData, link_from_url
from services.domain.papers import PaperData, ParsedFeed, Rejected
from services.domain.text import clean
from services.upstreams.documents import decode
from services.upstreams.fields import name_entry, parse_day, parse_utc
from services.upstreams.hf_items import Unusable, name_item, read_item
from services.upstreams.listing_dates import Calendar, WrittenDate, make_calendar, midnight, read_date
from services.upstreams.listing_lines import is_paragraph, parse_count, read_closing

_PAPER_PATH = re.compile(
    r"(?:^|https?://(?:www\.)?(?:huggingface|hf)\.co)/papers/(\d{4}\.\d{4,5})(?:v\d+)?(?:[#?].*)?$", re.I
)
_OWNER_PATH = re.compile(r"(?:^|https?://(?:www\.)?huggingface\.co)/(?!papers$)[\w.-]+/?$", re.I)
_PAGE_DATE = re.compile(r"/papers(?:/date/|\?date=)(\d{4}-\d{2}-\d{2})")
_BLOCKS = frozenset(
    {"p", "div", "section", "article", "li", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "br", "tr", "table", "pre"}
    | {"header", "footer", "main", "nav", "aside", "hr"}
)
_HIDDEN = frozenset({"script", "style", "head", "title", "template", "noscript", "svg"})


def looks_like_page(body: bytes) -> bool:
    """Whether markup is a Daily Papers page: it has the page's data, or links to papers under a heading."""
    text = decode(body)
    return (
        "dailyPapers" in text
        or re.search(r"data-target=[\"']DailyPapers", text) is not None
        or (re.search(r"href=[\"'][^\"']*/papers/\d{4}\.\d{4,5}", text) is not None and "<h3" in text.lower())
        or ("daily papers" in text.lower() and re.search(r"\d\s+authors?\b", text) is not None)
    )


def parse_page(body: bytes, about: DocumentInfo) -> ParsedFeed | None:
    """The papers in a page's data, else on its cards; `None` when it has neither."""
    root = _root(body)
    if root is None:
        return None
    hydrated = _hydrated(root)
    if hydrated is not None:
        return _read_items(*hydrated, about)
    cards = list(_cards(root))
    return _read_cards(cards, root, about) if cards else None


def page_text(body: bytes) -> str:
    """The page as a browser would copy it, a line for each block."""
    from lxml import etree

    root = _root(body)
    if root is None:
        return ""
    pieces: list[str] = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else ""
        hidden = not tag or tag in _HIDDEN or any(a.tag in _HIDDEN for a in element.iterancestors())
        if event == "start":
            if tag in _BLOCKS:
                pieces.append("\n\n" if tag != "br" else "\n")
            if not hidden:
                pieces.append(element.text or "")
        else:
            if tag in _BLOCKS and tag != "br":
                pieces.append("\n\n")
            if not any(a.tag in _HIDDEN for a in element.iterancestors()):
                pieces.append(element.tail or "")
    return "".join(pieces)


def _root(body: bytes) -> Any:
    from lxml import etree, html  # here: until there is a page to read, nobody needs its 5 MB

    parser = html.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, huge_tree=False, encoding="utf-8")
    try:
        return html.document_fromstring(decode(body).encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None  # nothing in it that HTML knows: the caller reads it as text and says what it found


# --- the page's data ---------------------------------------------------------------------------------------


def _hydrated(root: Any) -> tuple[list[Any], str] | None:
    """The items of the API that the page carries, and the day it says they are of."""
    for element in root.iter():
        props = element.get("data-props") if isinstance(element.tag, str) else None
        if not props or "paper" not in props:
            continue
        try:
            data = json.loads(props)
        except (ValueError, RecursionError):
            continue  # another element's data, or cut: the cards still hold the papers
        if not isinstance(data, dict):
            continue
        for name in ("dailyPapers", "papers", "trendingPapers", "results"):
            items = data.get(name)
            if isinstance(items, list) and any(
                isinstance(one, dict) and ("paper" in one or "title" in one) for one in items
            ):
                day = data.get("dateString")
                return items, day if isinstance(day, str) and parse_day(day) and len(day) == 10 else ""
    return None


def _read_items(items: list[Any], day: str, about: DocumentInfo) -> ParsedFeed:
    if day:  # what the page says of itself is surer than what a person said of the file
        about = replace(about, batch=day, as_of=None)
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    notes: list[str] = []
    for position, item in enumerate(items, 1):
        try:
            papers.append(read_item(item, about, rank=position, notes=notes))
        except Unusable as reason:
            rejected.append(Rejected(reason=str(reason), entry=name_item(item), position=position))
    return ParsedFeed(papers=tuple(papers), rejected=tuple(rejected), title="Daily Papers", notes=tuple(notes))


# --- cards -------------------------------------------------------------------------------------------------


def _cards(root: Any) -> Iterator[Any]:
    """The elements that each hold one paper: articles, else what surrounds a heading that links to a paper."""
    articles = [one for one in root.iter("article") if not any(a.tag == "article" for a in one.iterancestors())]
    if any(_paper_links(one) for one in articles):
        yield from articles
        return
    for heading in root.iter("h2", "h3", "h4"):
        if not _paper_links(heading):
            continue
        card = heading
        while (parent := card.getparent()) is not None and len(set(_ids(parent))) == 1 and parent.tag != "body":
            card = parent
        yield card


def _paper_links(element: Any) -> list[Any]:
    return [one for one in element.iter("a") if _PAPER_PATH.search((one.get("href") or "").strip())]


def _ids(element: Any) -> Iterator[str]:
    for link in _paper_links(element):
        found = _PAPER_PATH.search(link.get("href").strip())
        if found:
            yield found[1]


def _read_cards(cards: list[Any], root: Any, about: DocumentInfo) -> ParsedFeed:
    page_day = _page_day(root, about)
    dates = [date for card in cards if (date := _written_date(card))]
    heading = WrittenDate(page_day.month, page_day.day, page_day.year) if page_day else _heading_day(root)
    calendar = make_calendar(dates, heading, about)
    announced = page_day or (calendar.resolve(heading) if heading else None) or about.as_of
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    for position, card in enumerate(cards, 1):
        paper = _paper(card, calendar, announced, rank=position)
        if isinstance(paper, str):
            rejected.append(Rejected(reason=paper, entry=name_entry(_text(card)), position=position))
        else:
            papers.append(paper)
    return ParsedFeed(papers=tuple(papers), rejected=tuple(rejected), title="Daily Papers")


def _paper(card: Any, calendar: Calendar, announced: date | None, *, rank: int) -> PaperData | str:
    """One card as a paper, or why it is none."""
    ids = list(_ids(card))
    if not ids:
        return "the card links to no paper"
    title = _title(card, ids[0])
    if not title:
        return "the card has no title"
    written = _written_date(card)
    return PaperData(
        identifiers=(Identifier("arxiv", ids[0]),),
        title=title,
        abstract=_abstract(card, title),
        authors_count=_authors_count(card),
        organization=_organization(card),
        published_at=_published(card) or midnight(calendar.resolve(written) if written else None),
        announced_on=announced,
        comments_count=_comments(card),
        upvotes=_upvotes(card),
        links=_links(card),
        rank=rank,
    )


def _text(element: Any) -> str:
    return clean(" ".join(element.itertext()), limit=20_000)


def _strings(element: Any) -> Iterator[tuple[Any, str]]:
    """Each piece of text with the element it stands in."""
    for one in element.iter():
        if not isinstance(one.tag, str) or one.tag in _HIDDEN:
            continue
        if text := clean(one.text or ""):
            yield one, text
        for child in one:
            if tail := clean(child.tail or ""):
                yield one, tail


def _title(card: Any, arxiv_id: str) -> str:
    headings = [_text(one) for one in card.iter("h1", "h2", "h3", "h4") if _paper_links(one)]
    labels = [_text(link) for link in _paper_links(card) if arxiv_id in link.get("href")]
    named = [label for label in (*headings, *labels) if re.search(r"[^\W\d_]", label)]
    return clean(named[0], limit=1_000) if named else ""


def _abstract(card: Any, title: str) -> str | None:
    texts = [_text(one) for one in card.iter("p", "blockquote")]
    prose = [text for text in texts if text != title and is_paragraph(text)]
    return max(prose, key=len) if prose else None


def _authors_count(card: Any) -> int | None:
    found = re.search(r"(\d[\d.,]*\s?[kK]?)\s+authors?\b", _text(card))
    if found:
        return parse_count(found[1])
    pictured = [one for one in card.iter("li") if (one.get("title") or "").strip()]
    return len(pictured) or None


def _written_date(card: Any) -> WrittenDate | None:
    for _, text in _strings(card):
        closing = read_closing(text, within=True)
        if closing is not None and closing.date is not None:
            return closing.date
    return None


def _published(card: Any) -> Any:
    for one in card.iter("time"):
        if moment := parse_utc(one.get("datetime")):
            return moment
    return None


def _organization(card: Any) -> str | None:
    """A link to an account that is not the submitter's."""
    for link in card.iter("a"):
        name = _text(link)
        if not name or not _OWNER_PATH.search((link.get("href") or "").strip()) or parse_count(name) is not None:
            continue
        around = " ".join(_text(one) for one in (link.getparent(), link.getprevious()) if one is not None)
        if "submitted by" not in f"{around} {name}".lower():
            return clean(name, limit=300)
    return None


def _comments(card: Any) -> int | None:
    for link in card.iter("a"):
        if (link.get("href") or "").endswith("#community"):
            return parse_count(_text(link)) if _text(link) else 0
    for _, text in _strings(card):
        closing = read_closing(text, within=True)
        if closing is not None and closing.date is not None:
            return closing.comments or 0
    return None


def _upvotes(card: Any) -> int | None:
    """A number alone that is not inside a link on to elsewhere: the vote button's."""
    for element, text in _strings(card):
        around = (element, *element.iterancestors())
        linked = any(one.tag == "a" and "login" not in (one.get("href") or "login") for one in around)
        if parse_count(text) is not None and not linked and not any(one.tag == "li" for one in around):
            return parse_count(text)
    return None


def _links(card: Any) -> tuple[LinkData, ...]:
    found: dict[str, LinkData] = {}
    for one in card.iter("a"):
        address = (one.get("href") or "").strip()
        if re.match(r"https?://(?:www\.)?(?!huggingface\.co|hf\.co)", address, re.I):
            link = link_from_url(address, evidence="hf", default_kind="project")
            if link is not None:
                found.setdefault(link.url, link)
    return tuple(found.values())


# --- the page's day ----------------------------------------------------------------------------------------


def _page_day(root: Any, about: DocumentInfo) -> date | None:
    addresses = [one.get("href") or "" for one in root.iter("link") if (one.get("rel") or "") == "canonical"]
    addresses += [one.get("content") or "" for one in root.iter("meta") if one.get("property") == "og:url"]
    for address in (*addresses, about.url):
        found = _PAGE_DATE.search(address)
        if found and (day := parse_day(found[1])):
            return day
    return parse_day(about.batch) if about.batch else None


def _heading_day(root: Any) -> WrittenDate | None:
    """A date alone before the first card."""
    for element, text in _strings(root):
        if element.tag == "article" or any(a.tag == "article" for a in element.iterancestors()):
            return None
        if day := read_date(text):
            return day
    return None
