"""Articles: what an entry of a general feed says, made into a paper. Shared by XML feeds and JSON Feed."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.domain.identifiers import Identifier, identifiers_from_url, parse_arxiv, parse_doi
from services.domain.links import LinkData, link_from_url
from services.domain.papers import AuthorData, PaperData, ParsedFeed, Rejected
from services.domain.text import clean, clean_html, excerpt
from services.upstreams.fields import arxiv_categories, name_entry

MAX_SOURCE = 200_000
"""Most characters of markup read for one text."""

_SHORT_SUMMARY = 200
_LONG_CONTENT = 4_000
_THINGS = ("code", "model", "dataset", "space", "demo", "video")
_ID_IN_GUID = re.compile(r"(?:oai:arxiv\.org:|arxiv:|info:arxiv/|doi:|info:doi/|10\.\d{4,9}/|https?://)", re.I)
_HTML_TAG = re.compile(r"</?(?:a|b|i|p|br|em|strong|span|div|sub|sup|tt|code|u|h[1-6]|img|script|style|svg)\b", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """An entry as sent, its texts made plain and its addresses absolute where they could be."""

    guid: str = ""
    link: str = ""
    about: tuple[str, ...] = ()
    """Other names of what it is about: `dc:identifier`, `prism:doi`, `external_url`."""
    title: str = ""
    summary: str = ""
    content: str = ""
    authors: tuple[AuthorData, ...] = ()
    published_at: datetime | None = None
    updated_at: datetime | None = None
    tags: tuple[str, ...] = ()


def plain(value: str, *, is_html: bool) -> str:
    """A title or text as plain text. Where the format leaves open what it is (RSS), only known tags count as
    markup, so that `Vec<T>` stays."""
    value = value[:MAX_SOURCE]
    if is_html or _HTML_TAG.search(value):
        return clean_html(value)
    return clean(html.unescape(value))


def read_articles(
    articles: Sequence[Article | Rejected],
    *,
    title: str | None,
    notes: Iterable[str] = (),
    as_of: date | None = None,
) -> ParsedFeed:
    """Papers of a feed's articles; those already refused stay so at their position.

    Two entries of the same guid (or, without one, of the same link and texts) are the same entry: the later
    is refused.
    """
    noted = list(notes)
    shared = _shared_links(articles)
    noted.extend(
        f"{count} entries share the link {excerpt(link, 100)}: it identifies none of them"
        for link, count in shared.items()
    )
    seen: dict[tuple[str, ...], int] = {}
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    for position, article in enumerate(articles, 1):
        if isinstance(article, Rejected):
            rejected.append(article)
            continue
        same = (article.guid,) if article.guid else (article.link, article.title, article.summary)
        first = seen.setdefault(same, position)
        name = name_entry(article.guid, article.link, article.title, article.summary)
        if first != position:
            rejected.append(Rejected(reason=f"duplicate of entry {first}", entry=name, position=position))
            continue
        paper = _paper(article, rank=position, link_identifies=article.link not in shared, as_of=as_of)
        if isinstance(paper, str):
            rejected.append(Rejected(reason=paper, entry=name, position=position))
        else:
            papers.append(paper)
    return ParsedFeed(
        papers=tuple(papers), rejected=tuple(rejected), title=title, quiet=not articles, notes=tuple(noted)
    )


def _shared_links(articles: Sequence[Article | Rejected]) -> dict[str, int]:
    """Links that several different entries carry (the site's own address, say)."""
    pairs = {(one.link, one.guid or one.title) for one in articles if isinstance(one, Article) and one.link}
    return {link: count for link, count in Counter(link for link, _ in pairs).items() if count > 1}


def _paper(article: Article, *, rank: int, link_identifies: bool, as_of: date | None) -> PaperData | str:
    """The paper, or why there is none."""
    abstract = _abstract(article)
    title = clean(article.title) or excerpt(abstract, 120)
    if not title:
        return "no title"
    published = article.published_at or article.updated_at
    return PaperData(
        identifiers=_identifiers(article, link_identifies=link_identifies),
        title=title,
        abstract=abstract or None,
        authors=article.authors,
        published_at=published,
        updated_at=article.updated_at,
        announced_on=published.date() if published else as_of,
        categories=_categories(article.tags),
        links=_links(article),
        rank=rank,
    )


def _abstract(article: Article) -> str:
    """The summary, unless it is a mere teaser beside a content that is no whole article."""
    if not article.content or len(article.summary) >= _SHORT_SUMMARY:
        return article.summary
    if len(article.content) <= _LONG_CONTENT or not article.summary:
        return excerpt(article.content, _LONG_CONTENT)
    return article.summary


def _identifiers(article: Article, *, link_identifies: bool) -> tuple[Identifier, ...]:
    """Names of the paper: strong ones (arXiv, DOI, …) from anywhere, one page address from link or guid."""
    strong: list[Identifier] = []
    pages: list[Identifier] = []
    for value in (article.link if link_identifies else "", *article.about, article.guid):
        if not _ID_IN_GUID.match(value):
            continue  # a bare number may look like an arXiv id and be the blog's own count
        for found in _named(value):
            (pages if found.scheme == "url" else strong).append(found)
    return tuple(dict.fromkeys([*strong, *pages[:1]]))


def _named(value: str) -> tuple[Identifier, ...]:
    arxiv = parse_arxiv(value)
    if arxiv:
        return (Identifier("arxiv", arxiv.base),)
    doi = parse_doi(value)
    return (Identifier("doi", doi),) if doi else identifiers_from_url(value)


def _categories(tags: tuple[str, ...]) -> tuple[str, ...]:
    """arXiv categories where the feed uses them, else its own words, at most 20."""
    words = dict.fromkeys(text for tag in tags if (text := clean(tag, limit=100)))
    return arxiv_categories(words) or tuple(words)[:20]


def _links(article: Article) -> tuple[LinkData, ...]:
    """The entry's own link where it leads to a thing (a repository, a model); a page is its identifier."""
    link = link_from_url(article.link, evidence="feed") if article.link else None
    return (link,) if link and link.kind in _THINGS else ()
