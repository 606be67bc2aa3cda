"""Papers: one page of entries in, one row a paper out.

`store_page` is the heart of the archive. It works in batches (a handful of statements a page, whatever its
size): resolve identifiers, join what belongs together, compose facts from statements, write what differs.
Who is who is decided in `storage.identity`; reading papers back is in `storage.archive`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, func
from sqlmodel import Session, col, select

from services.domain import merging
from services.domain.events import EventData, paper_events
from services.domain.identifiers import canonical_key, title_fingerprint
from services.domain.merging import StatementData
from services.domain.papers import PaperData
from services.storage import duplicates, events, search_index
from services.storage.engine import is_sqlite
from services.storage.folding import fold
from services.storage.identity import Group, first_day, group, named, stronger, write_identifiers, write_titles
from services.storage.paper_links import write_links
from services.storage.sql import chunks, insert_ignore, table_of, upsert
from services.storage.statements import STATEMENT_COLUMNS, load_statements, statement_row
from services.storage.tables import Feed, Paper, Sighting, Statement

STORE_LOCK = 0x7061706572  # "paper": one number for all processes that store

PAST_HASHES = 8
"""Content hashes remembered of each paper."""


@dataclass(slots=True)
class Stored:
    """What a page did to the archive: `new + changed + known` papers, one for each entry's paper."""

    new: int = 0
    changed: int = 0
    known: int = 0
    merged: int = 0
    alike: int = 0
    """Pairs flagged as perhaps one paper."""
    events: int = 0
    paper_ids: list[int] = field(default_factory=list)
    new_repo_ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Writes:
    """What a page comes to, collected before anything is written."""

    new_groups: list[Group] = field(default_factory=list)
    inserts: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    names_and_days: list[dict[str, Any]] = field(default_factory=list)
    spoken: list[tuple[Group, StatementData]] = field(default_factory=list)
    told: list[Group] = field(default_factory=list)
    """Groups of which something new was said."""
    events: list[tuple[int, EventData]] = field(default_factory=list)


def store_page(
    session: Session,
    entries: Sequence[PaperData],
    *,
    feed: Feed | None,
    source: str,
    day: date,
    now: datetime,
    read_on: date | None = None,
) -> Stored:
    """Store a page's entries as papers, identifiers, statements, sightings and links.

    Without `feed` nobody listed them: they are answers about papers we hold, and leave no sighting.
    `source` names who speaks (see `domain.merging`), `day` is used where an entry states none, `read_on` is the
    day the source itself was asked (`None` for recordings). Storing the same page again changes nothing, and the
    order in which pages are stored makes no difference to what is held of papers, identifiers and links.
    """
    result = Stored()
    if not entries:
        return result
    if not is_sqlite(session):
        # One page at a time, as on SQLite: two that bring the same new papers would wait for each other for ever.
        session.execute(select(func.pg_advisory_xact_lock(STORE_LOCK)))
    groups = group(session, [named(entry) for entry in entries])
    for one in groups:
        if len(one.paper_ids) > 1:
            names = ", ".join(sorted({str(i) for e in one.entries for i in e.identifiers}))
            fold(session, one, why=f"one entry names both: {names}", now=now)
            result.merged += 1
    known_ids = [g.paper_id for g in groups if g.paper_ids]
    said = load_statements(session, known_ids)
    held = _held(session, known_ids)
    writes = _Writes()
    for one in groups:
        before = said.get(one.paper_id, {}) if one.paper_ids else {}
        statements = _speak(one, before, writes, source=source, day=day, read_on=read_on)
        _decide(one, before, statements, held, writes, result, source=source, day=day, now=now)

    _insert_papers(session, writes.inserts, writes.new_groups)
    _update_papers(session, writes.updates)
    _update_papers(session, writes.names_and_days)
    search_index.refresh(session, [g.paper_id for g in writes.new_groups] + [row["b_id"] for row in writes.updates])
    write_identifiers(session, groups)
    _write_statements(session, writes.spoken, now=now)
    if feed is not None:
        _write_sightings(session, groups, feed_id=feed.id or 0, day=day, now=now)
    result.new_repo_ids, appeared = write_links(session, writes.told, known=frozenset(known_ids), now=now)
    result.alike = duplicates.flag(session, write_titles(session, writes.told), now=now)
    result.events = events.record(session, writes.events + appeared, now=now)
    result.paper_ids = [g.paper_id for g in groups]
    return result


def _speak(
    one: Group, before: Mapping[str, StatementData], writes: _Writes, *, source: str, day: date, read_on: date | None
) -> dict[str, StatementData]:
    """The statements about a paper once its entries have spoken; what `source` says now is noted for writing."""
    statements = dict(before)
    was = before.get(source)
    news = False
    for entry in one.entries:
        words = merging.state(entry, source=source, fallback_day=day, read_on=read_on)
        old = statements.get(source)
        if old is None or merging.supersedes(words, old):
            statements[source] = words
        news = news or was is None or words.content_hash != was.content_hash
    if news:
        writes.told.append(one)  # also where older words change nothing else: a link or title once named stays
    fresh = statements[source]
    if was is None or (fresh.content_hash, fresh.as_of) != (was.content_hash, was.as_of):
        writes.spoken.append((one, fresh))
    return statements


def _decide(
    one: Group,
    before: Mapping[str, StatementData],
    statements: Mapping[str, StatementData],
    held: Mapping[int, Any],
    writes: _Writes,
    result: Stored,
    *,
    source: str,
    day: date,
    now: datetime,
) -> None:
    """NEW, CHANGED or SAME: what is to be written of one paper."""
    key = str(canonical_key([i for entry in one.entries for i in entry.identifiers]))
    first = first_day(one.entries, day)
    if not one.paper_ids:
        row = _facts(statements, key, first)
        writes.new_groups.append(one)
        writes.inserts.append({**row, "past_hashes": [], "first_seen_at": now, "changed_at": now})
        result.new += 1
        return
    old = held[one.paper_id]
    key, first = stronger(key, old.key), min(first, old.announced_on or first)
    was = before.get(source)
    if was is not None and statements[source].content_hash == was.content_hash and not one.folded:
        result.known += 1
        if (key, first) != (old.key, old.announced_on):
            writes.names_and_days.append({"key": key, "announced_on": first, "b_id": one.paper_id})
        return
    row = _facts(statements, key, first)
    past: list[str] = old.past_hashes
    moved = row["content_hash"] != old.content_hash
    # What it said before is no news: a source that goes back and forth is followed without telling anybody.
    changed = moved and row["content_hash"] not in past
    if moved:
        past = [*(h for h in past if h != old.content_hash), old.content_hash][-PAST_HASHES:]
    if changed and not one.folded:
        facts = merging.compose({name: words.data for name, words in before.items()})
        writes.events += [(one.paper_id, event) for event in paper_events(facts, row)]
    result.changed += changed
    result.known += not changed
    writes.updates.append(
        {**row, "past_hashes": past, "b_id": one.paper_id, "changed_at": now if changed else old.changed_at}
    )


def _facts(statements: Mapping[str, StatementData], key: str, first: date) -> dict[str, Any]:
    facts = merging.compose({source: words.data for source, words in statements.items()})
    return {
        **facts, "key": key, "title_key": title_fingerprint(facts["title"]), "content_hash": merging.meaning(facts),
        "announced_on": first,
    }  # fmt: skip


def _held(session: Session, paper_ids: Sequence[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    columns = (Paper.id, Paper.key, Paper.content_hash, Paper.past_hashes, Paper.announced_on, Paper.changed_at)
    for part in chunks(sorted(set(paper_ids))):
        for row in session.execute(sa.select(*map(col, columns)).where(col(Paper.id).in_(part))):
            found[row.id] = row
    return found


# -- writing -----------------------------------------------------------------------------------------------------


def _insert_papers(session: Session, rows: Sequence[Mapping[str, Any]], groups: Sequence[Group]) -> None:
    if not rows:
        return
    table = table_of(Paper)
    session.connection().execute(table.insert(), list(rows))
    ids: dict[str, int] = {}
    for part in chunks([row["key"] for row in rows]):
        found = session.execute(sa.select(col(Paper.key), col(Paper.id)).where(col(Paper.key).in_(part)))
        ids |= {row.key: row.id for row in found}
    for row, one in zip(rows, groups, strict=True):
        one.paper_ids.append(ids[row["key"]])


def _update_papers(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = table_of(Paper)
    columns: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "b_id"}
    session.connection().execute(table.update().where(table.c.id == bindparam("b_id")).values(columns), list(rows))


def _write_statements(session: Session, spoken: Sequence[tuple[Group, StatementData]], *, now: datetime) -> None:
    rows = [statement_row(one.paper_id, words, now) for one, words in spoken]
    upsert(session, Statement, rows, ["paper_id", "source"], update=STATEMENT_COLUMNS)


def _write_sightings(session: Session, groups: Sequence[Group], *, feed_id: int, day: date, now: datetime) -> None:
    rows = {
        (one.paper_id, entry.announced_on or day): {
            "paper_id": one.paper_id, "feed_id": feed_id, "day": entry.announced_on or day, "rank": entry.rank,
            "announce_type": entry.announce_type, "seen_at": now,
        }
        for one in groups
        for entry in one.entries
    }  # fmt: skip
    insert_ignore(session, Sighting, list(rows.values()), ["paper_id", "feed_id", "day"])
