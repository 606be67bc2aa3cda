"""One truth: whatever the order of arrival, and however often a page comes, the archive holds the same.

The recordings are read where they lie, when they are there; generated worlds do the same with what no recording has.
In the suite a part of the recordings and few worlds are enough; BROADSHEET_TEST_FULL=1 takes all and hundreds.
"""

from __future__ import annotations

import lzma
import os
import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.domain.errors import MalformedDocument
from services.domain.feeds import DocumentInfo
from services.domain.identifiers import Identifier
from services.domain.papers import AuthorData, PaperData
from services.storage import feeds
from services.storage.engine import reading, writing
from services.storage.papers import Stored, store_page
from services.storage.tables import Feed, Link, Paper
from services.storage.tables import Identifier as IdentifierRow
from services.upstreams import kinds
from tests.factories import arxiv, code

CORPORA = Path(os.environ.get("BROADSHEET_CORPORA") or Path(__file__).parents[3] / "shared" / "corpora")
FULL = bool(os.environ.get("BROADSHEET_TEST_FULL"))
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BULK = 3_000 if FULL else 400
PAGE = 500 if FULL else 100
EVERY = 1 if FULL else 8
"""Of the recorded days one of so many is read."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of entries of one source."""

    source: str
    papers: Sequence[PaperData]


class Archive:
    """A database in memory, and what it holds but for what tells of arrival. `empty` makes it new again: what
    SQLAlchemy has compiled for it stays, which is most of the time a small archive takes."""

    def __init__(self, template: Path) -> None:
        blank = bytearray(template.read_bytes())
        blank[18:20] = b"\x01\x01"  # no write-ahead log in memory (SQLite's file format, 1.3.3)
        self.blank = bytes(blank)
        self.engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.StaticPool)
        sa.event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        self.feeds: dict[str, Feed] = {}

    def _connect(self) -> sqlite3.Connection:
        raw = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        raw.deserialize(self.blank)
        return raw

    def empty(self) -> None:
        """Forget everything."""
        self.engine.dispose()
        self.feeds = {}

    def store(self, page: Page, *, now: datetime = NOW) -> Stored:
        """Store one page in a transaction."""
        with writing(self.engine) as session:
            feed = self.feeds.get(page.source)
            if feed is None:
                feed = feeds.ensure_import_feed(session, name=page.source.replace(":", "-"), kind="records", now=now)
                session.flush()
                session.expunge(feed)
                self.feeds[page.source] = feed
            return store_page(session, page.papers, feed=feed, source=page.source, day=NOW.date(), now=now)

    def truth(self) -> dict[str, set[Any]]:
        """Papers with their facts, identifiers and links."""
        with reading(self.engine) as session:
            keys: dict[int, str] = {}
            papers = set()
            hidden = {"id", "first_seen_at", "changed_at", "past_hashes"}
            for paper in session.execute(sa.select(Paper)).scalars():
                keys[paper.id or 0] = paper.key
                papers.add(repr(sorted(paper.model_dump(exclude=hidden).items())))
            names = {(keys[i.paper_id], i.scheme, i.value) for i in session.execute(sa.select(IdentifierRow)).scalars()}
            links = {
                (keys[x.paper_id], x.url_key, x.url, x.kind, x.slug, x.evidence)
                for x in session.execute(sa.select(Link)).scalars()
            }
        return {"papers": papers, "identifiers": names, "links": links}


@pytest.fixture(scope="module")
def shared(migrated_sqlite: Path) -> Iterator[Archive]:
    """One archive for all tests."""
    one = Archive(migrated_sqlite)
    yield one
    one.engine.dispose()


@pytest.fixture
def archive(shared: Archive) -> Archive:
    """An empty archive."""
    shared.empty()
    return shared


# -- recordings --------------------------------------------------------------------------------------------------


def _recorded() -> list[Page]:
    pages: list[Page] = []
    days = [*(CORPORA / "hf_daily_papers" / "raw_days").glob("*.json")]
    days += (CORPORA / "hf_daily_papers" / "schema_eras").glob("*.json")
    pages += [
        Page("hf_papers", _parsed("hf_papers", path.read_bytes(), batch=path.stem[:10]))
        for path in sorted(days)[::EVERY]
    ]
    atoms = sorted((CORPORA / "arxiv_api" / "arxivpy").glob("*.xml"))
    pages += [Page("arxiv_api", _parsed("arxiv_api", path.read_bytes())) for path in atoms[::EVERY]]
    with lzma.open(next((CORPORA / "bulk").glob("*.xz"))) as stream:
        body = b"".join(islice(stream, BULK))
    records = _parsed("records", body)
    pages += [Page("records", records[start : start + PAGE]) for start in range(0, len(records), PAGE)]
    return [page for page in pages if page.papers]


def _parsed(kind: str, body: bytes, *, batch: str = "") -> Sequence[PaperData]:
    about = DocumentInfo(feed=kind, kind=kind, fetched_at=NOW, batch=batch)
    try:
        return kinds.for_kind(kind).parse(body, about).papers
    except MalformedDocument:  # recorded errors of the service are among them
        return ()


@pytest.mark.timeout(600)
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the recorded payloads are not here (BROADSHEET_CORPORA)")
def test_recordings_in_three_orders_with_repeats_give_one_archive(archive: Archive) -> None:
    pages = _recorded()
    assert {page.source for page in pages} == {"hf_papers", "arxiv_api", "records"}
    # What a page brings is brought again without identifiers, as a copied text of it would.
    for page in pages[:: EVERY * 2]:
        pages.append(Page("listing", [replace(entry, identifiers=(), links=()) for entry in page.papers]))
    orders = [pages, list(reversed(pages)), random.Random(11).sample(pages, len(pages))]
    truths = []
    for number, order in enumerate(orders):
        archive.empty()
        dice = random.Random(number)
        for page in order:
            archive.store(page)
            if number and dice.random() < 0.1:
                archive.store(dice.choice(order))
        truths.append(archive.truth())
    first = truths[0]
    assert len(first["papers"]) > (4_000 if FULL else 500)
    assert len(first["links"]) > (1_000 if FULL else 100)
    for other in truths[1:]:
        for what, held in first.items():
            assert other[what] == held, f"{what} depend on the order"


# -- generated worlds ---------------------------------------------------------------------------------------------

TITLES = (
    "Sparse lanterns for tidal inference",
    "Reading the tide from the shore",
    "Moored buoys as memory for agents",
    "A harbour for lost gradients",
)
LONG_AGO = datetime(2024, 5, 2, tzinfo=UTC)


@st.composite
def _entries(draw: st.DrawFn) -> PaperData:
    """An entry about one of five works. Each work has names of its own, and a title in two spellings, but that the
    last is called as the first is; an entry may carry several of its names, or none."""
    work = draw(st.integers(0, 4))
    own = (
        arxiv(work),
        Identifier("doi", f"10.5555/tide.{work}"),
        Identifier("openreview", f"aB3dE5gH{work}"),
        Identifier("url", f"https://lantern.example/{work}"),
    )
    names = tuple(name for name in own if draw(st.booleans()))
    title = draw(st.sampled_from([TITLES[work % 4], TITLES[work % 4].upper() + "!"]))
    day = date(2026, 11, 16) + timedelta(days=draw(st.integers(0, 6)))
    return PaperData(
        identifiers=names,
        title=title,
        abstract=draw(st.sampled_from([None, "We light a shore.", f"Code: https://github.com/quill/shore-{work}."])),
        authors=draw(st.sampled_from([(), (AuthorData(name="Ada Quill"),), (AuthorData(name="Bram Osei"),)])),
        published_at=draw(st.sampled_from([None, datetime(2026, 11, 12, tzinfo=UTC), LONG_AGO])),
        announced_on=draw(st.sampled_from([day, day, None])),
        version=draw(st.sampled_from([None, 1, 2])),
        comment=draw(st.sampled_from([None, "12 pages", f"https://github.com/Quill/Shore-{work}.git"])),
        upvotes=draw(st.sampled_from([None, 3, 5])),
        links=draw(st.sampled_from([(), (code(f"quill/shore-{work}"),), (code(f"Osei/tide-{work}"),)])),
        withdrawn=draw(st.sampled_from([None, None, True])),
    )


_pages = st.builds(
    Page,
    st.sampled_from(["hf_papers", "arxiv_api", "rss:blog", "listing"]),
    st.lists(_entries(), min_size=1, max_size=4),
)
_quick = settings(max_examples=400 if FULL else 12, deadline=None, suppress_health_check=list(HealthCheck))


def _told(archive: Archive, pages: Sequence[Page]) -> dict[str, set[Any]]:
    archive.empty()
    for page in pages:
        archive.store(page)
    return archive.truth()


@pytest.mark.timeout(900)
@_quick
@given(pages=st.lists(_pages, min_size=1, max_size=6), data=st.data())
def test_order_and_repeats_make_no_difference(archive: Archive, pages: list[Page], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(pages))
    repeats = data.draw(st.lists(st.sampled_from(pages), max_size=3))
    assert _told(archive, [*shuffled, *repeats]) == _told(archive, pages)


@pytest.mark.timeout(900)
@_quick
@given(pages=st.lists(_pages, min_size=2, max_size=6))
def test_it_makes_no_difference_how_entries_are_cut_into_pages(archive: Archive, pages: list[Page]) -> None:
    """Merging is associative: entries that come together, or one after the other, end up as the same papers."""
    one_by_one = [Page(page.source, [entry]) for page in pages for entry in page.papers]
    by_source: dict[str, list[PaperData]] = {}
    for page in pages:
        by_source.setdefault(page.source, []).extend(page.papers)
    together = [Page(source, entries) for source, entries in by_source.items()]
    assert _told(archive, one_by_one) == _told(archive, together) == _told(archive, pages)


# -- going back and forth -----------------------------------------------------------------------------------------


def test_a_source_that_alternates_makes_news_once(archive: Archive) -> None:
    day = date(2026, 11, 2)
    one = PaperData(identifiers=(arxiv(1),), title=TITLES[0], abstract="One way.", announced_on=day)
    changed = []
    for turn in range(12):
        text = "One way." if turn % 2 == 0 else "The other way."
        entry = replace(one, abstract=text, announced_on=day + timedelta(days=turn))
        changed.append(archive.store(Page("hf_papers", [entry]), now=NOW + timedelta(days=turn)).changed)
    assert changed == [0, 1, *([0] * 10)]
    assert "The other way." in repr(archive.truth()["papers"])  # it is followed all the same


def test_a_third_text_is_news_again(archive: Archive) -> None:
    for turn, text in enumerate(["One.", "Two.", "One.", "Three."]):
        entry = PaperData(
            identifiers=(arxiv(1),), title=TITLES[0], abstract=text, announced_on=date(2026, 11, 2 + turn)
        )
        stored = archive.store(Page("hf_papers", [entry]))
    assert stored.changed == 1
