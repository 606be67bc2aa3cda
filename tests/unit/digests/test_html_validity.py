"""The HTML of a digest is whole: each element closed where it has to be, nothing a parser has to guess at.

What upstreams say goes through the very words of recorded listings where those are at hand, and hostile ones always.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from services.digests.email import MAX_HTML_BYTES, render_html
from services.digests.entries import make_page
from services.domain.digests import EditionItem, EditionView
from services.domain.feeds import DocumentInfo
from services.domain.papers import PaperData
from services.upstreams.kinds import detect_kind, for_kind

from .hostile import PAYLOADS, views
from .sample_view import VIEW, item

ROOT = Path(os.environ.get("BROADSHEET_CORPORA") or Path(__file__).parents[3].parent / "shared" / "corpora")
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
INSIDE = {"td": {"tr"}, "tr": {"tbody", "table"}, "tbody": {"table"}, "h1": {"td", "div", "body"}, "title": {"head"}}
"""Where an element may stand, for those that parsers move elsewhere otherwise."""


class Strict(HTMLParser):
    """Raises for what a lenient parser would put right."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.once: list[str] = []
        self.comments = 0
        self.feed(html)
        self.close()
        assert self.comments == 2
        assert self.open == [], f"never closed: {self.open}"
        assert sorted(self.once) == ["body", "head", "html", "title"]

    def handle_decl(self, decl: str) -> None:
        assert decl.lower() == "doctype html"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        assert all(value is not None for _, value in attrs), f"<{tag}> has an attribute without a value"
        assert tag not in INSIDE or self.open[-1] in INSIDE[tag], f"<{tag}> in <{self.open[-1]}>"
        assert not (tag == "a" and "a" in self.open), "a link in a link"
        if tag in {"html", "head", "body", "title"}:
            self.once.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag not in VOID
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> out of turn"

    def handle_entityref(self, name: str) -> None:
        assert name in {"amp", "lt", "gt", "quot", "nbsp"}, f"&{name};"

    def handle_comment(self, data: str) -> None:
        # Two of our own give an old Outlook a table of a width; nothing else may hide there.
        assert data.startswith("[if mso]>"), f"a comment: {data[:80]}"
        assert data.endswith("<![endif]"), f"a comment: {data[-80:]}"
        self.comments += 1

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"a processing instruction: {data[:80]}")


def check(view: EditionView) -> None:
    html, _ = render_html(make_page(view), "Subject <b> & more")
    size = len(html.encode())
    assert size <= MAX_HTML_BYTES
    assert "Unsubscribe" in html or not view.unsubscribe_url
    Strict(html)
    parser = etree.HTMLParser(recover=True, encoding="utf-8")
    etree.fromstring(html.encode(), parser)
    # This parser knows nothing newer than HTML 4, of which the doctype is the one trace.
    found = [error.message for error in parser.error_log if error.type_name != "HTML_UNKNOWN_TAG"]
    assert found == []


def test_a_digest_is_whole() -> None:
    check(VIEW)
    check(replace(VIEW, items=()))


def test_known_payloads_leave_it_whole() -> None:
    hostile = tuple(
        item(f"2611.{n:05}", text, sentence=text, why=(text,), organization=text) for n, text in enumerate(PAYLOADS)
    )
    check(replace(VIEW, items=hostile, name=PAYLOADS[2], query=PAYLOADS[1]))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(views())
def test_any_input_leaves_it_whole(view: EditionView) -> None:
    check(replace(view, unsubscribe_url=VIEW.unsubscribe_url))


@pytest.mark.corpora
@pytest.mark.skipif(not ROOT.is_dir(), reason=f"no recorded payloads at {ROOT} (BROADSHEET_CORPORA)")
def test_recorded_listings_make_whole_digests_within_the_limit() -> None:
    papers = [_item(n, paper) for n, paper in enumerate(itertools.islice(_recorded(), 600))]
    assert len(papers) > 100
    for start in range(0, len(papers), 60):
        part = tuple(papers[start : start + 60])
        check(replace(VIEW, items=part, matched=len(part), considered=len(part)))


def _recorded() -> Iterator[PaperData]:
    for folder in ("hf_daily_papers/raw_days", "arxiv_rss", "arxiv_api", "feeds"):
        for path in itertools.islice((p for p in sorted((ROOT / folder).rglob("*")) if p.is_file()), 12):
            body = path.read_bytes()
            try:
                kind = detect_kind(body, path.name)
                about = DocumentInfo(feed="corpus", kind=kind, fetched_at=datetime(2026, 11, 24, tzinfo=UTC))
                parsed = for_kind(kind).parse(body, about)
            except Exception:  # whether they are read is another test's matter
                continue
            yield from parsed.papers[:40]


def _item(number: int, paper: PaperData) -> EditionItem:
    return item(
        f"2611.{number:05}", paper.title, abstract=paper.abstract, authors=tuple(a.name for a in paper.authors),
        authors_count=len(paper.authors), organization=paper.organization, categories=tuple(paper.categories),
    )  # fmt: skip
