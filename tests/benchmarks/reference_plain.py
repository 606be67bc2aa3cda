"""The plain way, as a benchmark peer: feedparser, a task for each paper, the ORM row by row.

What a competent first version looks like: every entry becomes a message on a queue; the task that takes it looks
whether the paper is there, adds it with its authors and links, and commits. It keeps far less than ours;
`reference_full` is the same way to the same facts.
"""

from __future__ import annotations

import json
import queue
import re
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests.benchmarks.reference_parse import by_feedparser


class Base(DeclarativeBase):
    """Its own small schema."""


class Article(Base):
    """A paper."""

    __tablename__ = "articles"

    id: Mapped[int] = mapped_column(primary_key=True)
    arxiv_id: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str] = mapped_column(index=True)
    abstract: Mapped[str]
    comment: Mapped[str | None]
    published_at: Mapped[datetime | None] = mapped_column(index=True)
    authors: Mapped[list[Author]] = relationship(cascade="all")
    links: Mapped[list[Address]] = relationship(cascade="all")


class Author(Base):
    """One of its authors."""

    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("articles.id"), index=True)
    name: Mapped[str]


class Address(Base):
    """An address its texts name."""

    __tablename__ = "addresses"

    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("articles.id"), index=True)
    url: Mapped[str]


_URL = re.compile(r"https?://[^\s)]+")


def get(url: str) -> bytes:
    """The page of a feed."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def prepare(path: Path) -> Engine:
    """An engine on the file, its tables made."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def tune(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")

    Base.metadata.create_all(engine)
    return engine


def run(body: bytes, path: Path) -> int:
    """Take in one page; returns how many papers were added."""
    engine = prepare(path)
    tasks: queue.Queue[str] = queue.Queue()
    for row in by_feedparser(body):
        tasks.put(json.dumps(row, default=str))
    added = 0
    while not tasks.empty():
        added += add(engine, json.loads(tasks.get()))
    engine.dispose()
    return added


def add(engine: Engine, row: dict[str, Any]) -> int:
    """The task: one paper, added unless it is there; returns 1 when it was new."""
    with Session(engine) as session:
        if session.scalars(select(Article).where(Article.arxiv_id == row["id"])).first() is not None:
            return 0
        published = row["published_at"]
        session.add(
            Article(
                arxiv_id=row["id"], title=row["title"], abstract=row["abstract"], comment=row["comment"],
                published_at=datetime.fromisoformat(published) if published else None,
                authors=[Author(name=name) for name in row["authors"]],
                links=[Address(url=url) for url in _URL.findall(f"{row['abstract']} {row['comment'] or ''}")],
            )
        )  # fmt: skip
        session.commit()
        return 1
