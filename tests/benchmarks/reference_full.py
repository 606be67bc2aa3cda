"""The plain way to the same facts, as a benchmark peer: feedparser, a task for each paper, the ORM row by row.

Where `reference_plain` stops at papers, authors and addresses, this program ends with what ours knows of a page: all
identifiers, by which a paper is looked up first; who listed it on which day at which rank; its links, with kind,
evidence and the repository they lead to; a fingerprint of its title, by which an entry without identifiers finds it;
what each source says of it, and whether that is new; what became of each page; and an index of all words, cut by
SQLite's own tokenizer. It is written to be fast within that frame: JSON where nothing is looked up, keys that need no
second index, statements made once, one query for all identifiers, none for what a new paper cannot have, a log that
does not wait for the disk. What ours does besides is left out: the bytes of pages, papers that turn out to
be one, pairs that are alike, jobs that outlive the process.
"""

from __future__ import annotations

import hashlib
import json
import queue
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import feedparser
from sqlalchemy import (
    JSON,
    Engine,
    ForeignKey,
    Index,
    UniqueConstraint,
    bindparam,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.benchmarks.reference_plain import get


class Base(DeclarativeBase):
    """Its own schema."""


class Feed(Base):
    """A query that is asked page by page."""

    __tablename__ = "feeds"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Fetch(Base):
    """What became of one page."""

    __tablename__ = "fetches"
    __table_args__ = (Index("ix_fetches_feed_time", "feed_id", "fetched_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    feed_id: Mapped[int] = mapped_column(ForeignKey("feeds.id"))
    url: Mapped[str]
    fetched_at: Mapped[datetime] = mapped_column(index=True)
    seen: Mapped[int]
    new: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    known: Mapped[int] = mapped_column(default=0)


class Paper(Base):
    """A work, once."""

    __tablename__ = "papers"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    title_key: Mapped[str] = mapped_column(index=True)
    abstract: Mapped[str]
    authors: Mapped[list[str]] = mapped_column(JSON)
    categories: Mapped[list[str]] = mapped_column(JSON)
    comment: Mapped[str | None]
    journal_ref: Mapped[str | None]
    published_at: Mapped[datetime | None] = mapped_column(index=True)
    updated_at: Mapped[datetime | None]
    version: Mapped[int | None]
    withdrawn: Mapped[bool]
    announced_on: Mapped[date] = mapped_column(index=True)
    first_seen_at: Mapped[datetime] = mapped_column(index=True)
    changed_at: Mapped[datetime]


class Identifier(Base):
    """A name for a paper, `scheme:value`."""

    __tablename__ = "identifiers"
    __table_args__ = ({"sqlite_with_rowid": False},)

    name: Mapped[str] = mapped_column(primary_key=True)
    paper_id: Mapped[int] = mapped_column(ForeignKey("papers.id"), index=True)


class Statement(Base):
    """What one source last said of a paper."""

    __tablename__ = "statements"
    __table_args__ = ({"sqlite_with_rowid": False},)

    paper_id: Mapped[int] = mapped_column(ForeignKey("papers.id"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    content_hash: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    first_on: Mapped[date]
    said_at: Mapped[datetime]


class Sighting(Base):
    """That a feed listed a paper on a day, and what it was to us then."""

    __tablename__ = "sightings"
    __table_args__ = (
        Index("ix_sightings_feed_day", "feed_id", "day"), Index("ix_sightings_day", "day"),
        {"sqlite_with_rowid": False},
    )  # fmt: skip

    paper_id: Mapped[int] = mapped_column(ForeignKey("papers.id"), primary_key=True)
    feed_id: Mapped[int] = mapped_column(ForeignKey("feeds.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    rank: Mapped[int]
    seen_at: Mapped[datetime]
    fetch_id: Mapped[int] = mapped_column(ForeignKey("fetches.id"))
    outcome: Mapped[str]


class Repository(Base):
    """A repository of code, or a model, data set or space."""

    __tablename__ = "repositories"
    __table_args__ = (UniqueConstraint("host", "kind", "slug_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str]
    kind: Mapped[str]
    slug: Mapped[str]
    slug_key: Mapped[str]
    since_at: Mapped[datetime]


class Link(Base):
    """What a paper points at, and where it says so."""

    __tablename__ = "links"
    __table_args__ = ({"sqlite_with_rowid": False},)

    paper_id: Mapped[int] = mapped_column(ForeignKey("papers.id"), primary_key=True)
    url_key: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    kind: Mapped[str]
    evidence: Mapped[str]
    repository_id: Mapped[int | None] = mapped_column(ForeignKey("repositories.id"), index=True)


_WORDS = (
    "CREATE VIRTUAL TABLE words USING fts5(title, abstract, authors, comment, content='papers', content_rowid='id')",
    "CREATE TRIGGER papers_added AFTER INSERT ON papers BEGIN"
    " INSERT INTO words (rowid, title, abstract, authors, comment)"
    " VALUES (new.id, new.title, new.abstract, new.authors, new.comment); END",
    "CREATE TRIGGER papers_changed AFTER UPDATE OF title, abstract, authors, comment ON papers BEGIN"
    " INSERT INTO words (words, rowid, title, abstract, authors, comment)"
    " VALUES ('delete', old.id, old.title, old.abstract, old.authors, old.comment);"
    " INSERT INTO words (rowid, title, abstract, authors, comment)"
    " VALUES (new.id, new.title, new.abstract, new.authors, new.comment); END",
)
"""FTS5 beside the table whose texts it indexes, kept up by triggers, as its documentation has it."""


def prepare(path: Path) -> Engine:
    """An engine on the file, its tables made."""
    engine = create_engine(f"sqlite:///{path}", json_serializer=partial(json.dumps, ensure_ascii=False))

    @event.listens_for(engine, "connect")
    def tune(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-32000")
        connection.execute("PRAGMA wal_autocheckpoint=8000")

    with engine.begin() as connection:
        if not connection.dialect.has_table(connection, Paper.__tablename__):
            Base.metadata.create_all(connection)
            for statement in _WORDS:
                connection.execute(text(statement))
    return engine


# -- a page ------------------------------------------------------------------------------------------------------


def run(urls: Sequence[str], path: Path, *, now: datetime) -> int:
    """Take in these pages, one after another, through a queue in this process; returns how many papers were new."""
    engine = prepare(path)
    added = 0
    for url in urls:
        tasks: queue.Queue[str] = queue.Queue()
        fetch_id, messages = open_page(engine, get(url), url=url, now=now)
        for message in messages:
            tasks.put(json.dumps(message, ensure_ascii=False))
        while not tasks.empty():
            take_in(engine, json.loads(tasks.get()))
        added += close_page(engine, fetch_id)
    engine.dispose()
    return added


def open_page(
    engine: Engine, body: bytes, *, url: str, now: datetime, feed: str = "bench"
) -> tuple[int, list[dict[str, Any]]]:
    """The ledger row of a page that was fetched, and a message for each of its papers."""
    entries = list(parse(body))
    with Session(engine, expire_on_commit=False) as session:
        row = session.scalars(select(Feed).where(Feed.name == feed)).first()
        if row is None:
            row = Feed(name=feed)
            session.add(row)
            session.flush()
        fetch = Fetch(feed_id=row.id, url=url, fetched_at=now, seen=len(entries))
        session.add(fetch)
        session.commit()
        about = {"feed_id": row.id, "fetch_id": fetch.id, "at": now.isoformat(), "source": "arxiv_api"}
    return fetch.id, [entry | about for entry in entries]


def close_page(engine: Engine, fetch_id: int) -> int:
    """Write down what became of a page whose papers were all taken in; returns how many were new."""
    with Session(engine) as session:
        fetch = session.get_one(Fetch, fetch_id)
        counts = dict(
            session.execute(
                select(Sighting.outcome, func.count()).where(
                    Sighting.feed_id == fetch.feed_id, Sighting.day == fetch.fetched_at.date(),
                    Sighting.fetch_id == fetch_id,
                ).group_by(Sighting.outcome)
            ).all()
        )  # fmt: skip
        fetch.new, fetch.changed = counts.get("new", 0), counts.get("changed", 0)
        fetch.known = fetch.seen - fetch.new - fetch.changed
        session.commit()
        return counts.get("new", 0)


def parse(body: bytes) -> Iterator[dict[str, Any]]:
    """The entries of an arXiv page, ready for a message."""
    page = feedparser.parse(body)
    for rank, entry in enumerate(page.entries, 1 + int(page.feed.get("opensearch_startindex", 0))):
        name, _, version = entry["id"].rpartition("/abs/")[2].partition("v")
        doi = entry.get("arxiv_doi")
        yield {
            "rank": rank,
            "names": [f"arxiv:{name}", *([f"doi:{doi.lower()}"] if doi and not _ARXIVS_OWN.match(doi) else [])],
            "version": int(version) if version else None,
            "title": _line(entry["title"]),
            "abstract": _line(entry["summary"]),
            "authors": [one["name"] for one in entry.get("authors", ())],
            "categories": [one["term"] for one in entry.get("tags", ())],
            "comment": _line(entry.get("arxiv_comment", "")) or None,
            "journal_ref": _line(entry.get("arxiv_journal_ref", "")) or None,
            "published_at": _moment(entry.get("published_parsed")),
            "updated_at": _moment(entry.get("updated_parsed")),
        }


_ARXIVS_OWN = re.compile(r"10\.48550/", re.I)


def _line(value: str) -> str:
    return " ".join(value.split())


def _moment(parsed: Any) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%S", parsed) if parsed else None


# -- a paper -----------------------------------------------------------------------------------------------------

_BY_NAMES = select(Identifier.name, Identifier.paper_id).where(Identifier.name.in_(bindparam("names", expanding=True)))
_BY_TITLE = select(Paper.id).where(Paper.title_key == bindparam("title_key"))


def take_in(engine: Engine, said: dict[str, Any]) -> str:
    """The task: one paper, in a transaction of its own; returns what it was: new, changed or known."""
    now, version = datetime.fromisoformat(said["at"]), said["version"] or 0
    data = {name: said[name] for name in _SAID}
    first_on = date.fromisoformat(said["published_at"][:10]) if said["published_at"] else now.date()
    content_hash = hashlib.sha256(json.dumps(data).encode()).hexdigest()
    with Session(engine, expire_on_commit=False, autoflush=False) as session:
        named: dict[str, int] = {}
        if said["names"]:
            named = dict(session.execute(_BY_NAMES, {"names": said["names"]}).all())
            paper_id = next(iter(named.values()), None)
        else:
            paper_id = session.scalar(_BY_TITLE, {"title_key": title_key(said["title"])})
        before = session.get(Statement, (paper_id, said["source"])) if paper_id else None
        if paper_id is None:
            outcome = "new"
            paper = Paper(**_facts(data), announced_on=first_on, first_seen_at=now, changed_at=now)
            session.add(paper)
            session.flush()
            paper_id = paper.id
        elif before is None or (before.content_hash != content_hash and version >= before.version):
            outcome = "changed"
            paper = session.get_one(Paper, paper_id)
            for field, value in _facts(data).items():
                setattr(paper, field, value)
            paper.changed_at = now
        else:
            outcome = "known"
        if before is None:
            session.add(
                Statement(
                    paper_id=paper_id, source=said["source"], version=version, content_hash=content_hash, data=data,
                    first_on=first_on, said_at=now,
                )
            )  # fmt: skip
        elif outcome == "changed":
            before.version, before.content_hash, before.data, before.said_at = version, content_hash, data, now
        session.add_all(Identifier(name=name, paper_id=paper_id) for name in said["names"] if name not in named)
        _sighted(session, paper_id, said, now, outcome)
        if outcome != "known":
            _link(session, paper_id, said, now, new=outcome == "new")
        session.commit()
    return outcome


_SAID = (
    "title", "abstract", "authors", "categories", "comment", "journal_ref", "version", "published_at", "updated_at",
)  # fmt: skip


def _facts(data: dict[str, Any]) -> dict[str, Any]:
    return {
        **data,
        "published_at": datetime.fromisoformat(data["published_at"]) if data["published_at"] else None,
        "updated_at": datetime.fromisoformat(data["updated_at"]) if data["updated_at"] else None,
        "withdrawn": "withdrawn" in data["abstract"] or "withdrawn" in (data["comment"] or ""),
        "title_key": title_key(data["title"]),
    }


_LETTERS = re.compile(r"[^\W_]+")


def title_key(title: str) -> str:
    """A fingerprint, the same for titles that differ in case, accents or punctuation."""
    plain = title if title.isascii() else unicodedata.normalize("NFKD", title)
    return hashlib.sha256("".join(_LETTERS.findall(plain.lower())).encode()).hexdigest()[:32]


def _sighted(session: Session, paper_id: int, said: dict[str, Any], now: datetime, outcome: str) -> None:
    key = (paper_id, said["feed_id"], now.date())
    before = session.get(Sighting, key) if outcome != "new" else None
    if before is None:
        session.add(
            Sighting(
                paper_id=paper_id, feed_id=said["feed_id"], day=now.date(), rank=said["rank"], seen_at=now,
                fetch_id=said["fetch_id"], outcome=outcome,
            )
        )  # fmt: skip
    elif outcome == "changed":
        before.fetch_id, before.outcome = said["fetch_id"], outcome


def _link(session: Session, paper_id: int, said: dict[str, Any], now: datetime, *, new: bool) -> None:
    found: dict[str, Link] = {}
    for place in ("abstract", "comment"):
        for url, kind, host, slug in addresses(said[place] or ""):
            key = f"{kind}:{host}/{slug}".lower() if slug else url.partition("://")[2].lower()
            if key in found or (not new and session.get(Link, (paper_id, key)) is not None):
                continue
            found[key] = Link(
                paper_id=paper_id, url_key=key, url=url, kind=kind, evidence=place,
                repository_id=_repository_id(session, host, kind, slug, now) if slug else None,
            )  # fmt: skip
    session.add_all(found.values())


_REPOSITORY = select(Repository.id).where(
    Repository.host == bindparam("host"), Repository.kind == bindparam("kind"),
    Repository.slug_key == bindparam("slug_key"),
)  # fmt: skip


def _repository_id(session: Session, host: str, kind: str, slug: str, now: datetime) -> int:
    key = {"host": host, "kind": kind, "slug_key": slug.lower()}
    found = session.scalar(_REPOSITORY, key)
    if found is None:
        made = Repository(**key, slug=slug, since_at=now)
        session.add(made)
        session.flush()
        found = made.id
    return found


_ADDRESS = re.compile(r"https?://[^\s<>\"{}|\\^`]+")
_CODE = re.compile(r"(github\.com|gitlab\.com|bitbucket\.org|codeberg\.org)/([\w-]+/[\w.-]*\w)", re.I)
_HUB = re.compile(r"(huggingface\.co)/(datasets/|spaces/)?(?!papers/)([\w.-]+/[\w.-]*\w)", re.I)
_PAPERS = re.compile(r"(?:arxiv\.org|doi\.org|huggingface\.co/papers)/", re.I)
_KINDS = {"datasets/": "dataset", "spaces/": "space", None: "model"}


def addresses(words: str) -> Iterator[tuple[str, str, str, str]]:
    """(address, kind, host, `owner/name`) of what a text points at; the last empty where it is no repository."""
    if "http" not in words:
        return
    for found in _ADDRESS.findall(words):
        url = found.rstrip(".,;:!?)]'\"")
        place = url.partition("://")[2].removeprefix("www.")
        if code := _CODE.match(place):
            slug = code[2].removesuffix(".git")
            yield f"https://{code[1].lower()}/{slug}", "code", code[1].lower(), slug
        elif hub := _HUB.match(place):
            yield url, _KINDS[hub[2]], hub[1].lower(), hub[3]
        elif not _PAPERS.match(place):
            yield url, "project", place.partition("/")[0].lower(), ""


# -- searching ---------------------------------------------------------------------------------------------------


def search(engine: Engine, words: str, *, places: Sequence[str] = ("title", "abstract", "authors")) -> set[str]:
    """The titles of the papers that have all of these words in these places."""
    asked = " ".join(f'"{word}"' for word in words.split())
    found = text("SELECT rowid FROM words WHERE words MATCH :asked")
    with Session(engine) as session:
        return set(
            session.scalars(
                select(Paper.title).where(Paper.id.in_(found)), {"asked": f"{{{' '.join(places)}}} : ({asked})"}
            )
        )
