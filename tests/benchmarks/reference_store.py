"""What storing is measured against, twice.

`put_back`: the very rows our own store wrote, by the driver's executemany. Nothing is looked up, compared, decided or
made: the rows are known beforehand, ids included. `write_by_hand`: a script that makes the same rows of the same papers
itself. It takes for granted that all are new and different, looks nothing up, and counts ids by itself.

Both: one transaction, the same tables with their indexes, the same settings of the database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Engine, text

from services.domain import merging
from services.domain.identifiers import canonical_key, title_fingerprint
from services.domain.indexed import category_values, strings
from services.domain.nearness import near_keys
from services.domain.papers import PaperData
from services.domain.repos import is_repo
from services.domain.words import in_order
from services.storage import search_index
from services.storage.paper_links import link_key, links_of
from services.storage.repos import host_of

TABLES = (
    "papers", "identifiers", "statements", "titles", "sightings", "repos", "repo_names", "links", "duplicates",
    "events", search_index.TABLE,
)  # fmt: skip
"""Every table a page of new papers is written to."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table as the driver gives them."""

    table: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]

    def insert(self, mark: str) -> str:
        """The statement that puts one row back."""
        names = ", ".join(f'"{name}"' for name in self.columns)
        ignore = "" if self.table == search_index.TABLE else " ON CONFLICT DO NOTHING"
        return f"INSERT INTO {self.table} ({names}) VALUES ({', '.join([mark] * len(self.columns))}){ignore}"


def capture(engine: Engine) -> list[Rows]:
    """All rows our store wrote."""
    found: list[Rows] = []
    lite = engine.dialect.name == "sqlite"
    for table in TABLES:
        columns = _columns(engine, table)
        shown = ", ".join(f'"{c}"' if lite else f'"{c}"::text' for c in columns)
        with engine.connect() as connection:
            cursor: Any = connection.connection.cursor()
            cursor.execute(f"SELECT {shown} FROM {table}")
            found.append(Rows(table, columns, [tuple(row) for row in cursor.fetchall()]))
    return found


def _columns(engine: Engine, table: str) -> tuple[str, ...]:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            names = [row[1] for row in connection.execute(text(f"PRAGMA table_info({table})"))]
            return ("rowid", *names) if table == search_index.TABLE else tuple(names)
        rows = connection.execute(
            text("SELECT column_name FROM information_schema.columns WHERE table_name = :t ORDER BY ordinal_position"),
            {"t": table},
        )
        return tuple(row[0] for row in rows)


def put_back(engine: Engine, captured: Sequence[Rows]) -> None:
    """All rows in one transaction by executemany."""
    lite = engine.dialect.name == "sqlite"
    with engine.begin() as connection:
        cursor: Any = connection.connection.cursor()
        for one in captured:
            if one.rows:
                cursor.executemany(one.insert("?" if lite else "%s"), one.rows)


# -- by hand -----------------------------------------------------------------------------------------------------

_FACTS = (
    "title", "abstract", "authors", "authors_count", "organization", "published_at", "updated_at", "version",
    "categories", "comment", "journal_ref", "license", "comments_count", "upvotes", "citations", "ai_summary",
    "ai_keywords", "thumbnail_url", "withdrawn",
)  # fmt: skip
_MADE = ("id", "key", "title_key", "content_hash", "announced_on", "past_hashes", "first_seen_at", "changed_at")
_DIGESTED = ("title", "abstract", "authors", "organization", "comment", "journal_ref", "categories")
_HANDMADE = {
    "papers": (*_MADE, *_FACTS),
    "identifiers": ("scheme", "value", "paper_id"),
    "statements": ("paper_id", "source", "as_of", "content_hash", "data", "first_on", "said_at"),
    "titles": ("paper_id", "title_key", "head_key", "body_key"),
    "sightings": ("paper_id", "feed_id", "day", "rank", "announce_type", "seen_at", "by_title"),
    "repos": (
        "id", "host", "kind", "slug", "state", "gated", "topics", "archived", "fork", "next_check_at", "misses"
    ),
    "repo_names": ("host", "kind", "slug_key", "repo_id", "since_at"),
    "links": ("paper_id", "url", "url_key", "kind", "slug", "evidence", "repo_id", "found_at", "by_title"),
    search_index.TABLE: ("rowid", "digest", *search_index.TAGS),
}  # fmt: skip


def write_by_hand(
    engine: Engine, entries: Sequence[PaperData], *, source: str, feed_id: int, day: date, now: datetime
) -> None:
    """A page of new papers into an empty SQLite database."""
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _HANDMADE}
    repos: dict[tuple[str, str, str], int] = {}
    at = _moment(now)
    for number, entry in enumerate(entries, 1):
        words = merging.state(entry, source=source, fallback_day=day, read_on=None)
        facts = merging.compose({source: words.data})
        title_key, first = title_fingerprint(facts["title"]), words.first_on.isoformat()
        rows["papers"].append((
            number, str(canonical_key(list(entry.identifiers))), title_key, merging.meaning(facts), first, "[]", at, at,
            *(_plain(facts[name]) for name in _FACTS),
        ))  # fmt: skip
        rows["identifiers"] += [(i.scheme, i.value, number) for i in entry.identifiers]
        rows["statements"].append(
            (number, source, words.as_of, words.content_hash, _json(words.data), first, at)
        )  # fmt: skip
        if title_key:
            rows["titles"].append((number, title_fingerprint(entry.title), *near_keys(entry.title)))
        listed_on = (entry.announced_on or day).isoformat()
        rows["sightings"].append((number, feed_id, listed_on, entry.rank, entry.announce_type, at, False))
        seen = set()
        for link in links_of(entry):
            if (key := link_key(link)) in seen:
                continue
            seen.add(key)
            repo_id = None
            if link.slug and is_repo(link.kind, link.slug, host := host_of(link.url)):
                place = (host, link.kind, link.slug.lower())
                if (repo_id := repos.get(place)) is None:
                    repo_id = repos[place] = len(repos) + 1
                    rows["repos"].append(
                        (repo_id, host, link.kind, link.slug, "new", False, "[]", False, False, at, 0)
                    )  # fmt: skip
                    rows["repo_names"].append((*place, repo_id, at))
            rows["links"].append(
                (number, link.url, key, link.kind, link.slug, link.evidence, repo_id, at, False)
            )  # fmt: skip
        rows[search_index.TABLE].append((number, *_indexed(facts)))
    with engine.begin() as connection:
        cursor: Any = connection.connection.cursor()
        for table, columns in _HANDMADE.items():
            cursor.executemany(Rows(table, columns, ()).insert("?"), rows[table])


def _indexed(facts: Mapping[str, Any]) -> tuple[str, ...]:
    places = strings(
        title=facts["title"], abstract=facts["abstract"], names=[one["name"] for one in facts["authors"]],
        affiliations=[one.get("affiliation") for one in facts["authors"]], organization=facts["organization"],
        comment=facts["comment"], journal_ref=facts["journal_ref"],
    )  # fmt: skip
    shown: dict[str, str] = {}
    joined: list[str] = []
    for place, texts in places.items():
        shown[place], joins = in_order(*texts)
        if joins:
            shown[place] += f" # {' '.join(joins)}"
        joined += joins
    tags = " ".join(map(search_index.value_word, category_values(tuple(facts["categories"]))))
    shown |= {search_index.CATEGORY: tags, search_index.JOINED: " ".join(dict.fromkeys(joined))}
    digest = hashlib.blake2b(msgspec.json.encode([facts[name] for name in _DIGESTED]), digest_size=12).hexdigest()
    return (digest, *(shown.get(place, "") for place in search_index.TAGS))


def _plain(value: Any) -> Any:
    """As SQLite holds it."""
    if isinstance(value, (list, tuple, dict)):
        return _json(value)
    return _moment(value) if isinstance(value, datetime) else value


def _moment(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S.%f")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
