"""What is written of a page of entries, once it is known which paper each of them is about.

Everything is done in batches: load what was said, compose facts from statements, write what differs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlmodel import Session

from services.domain import merging
from services.domain.events import EventData, paper_events
from services.domain.identifiers import canonical_key, title_fingerprint
from services.domain.merging import StatementData
from services.storage import duplicates, events, search_index
from services.storage.identity import Group, stronger, write_identifiers, write_titles
from services.storage.paper_links import write_links
from services.storage.sql import among, execute_many, table_of, take_ids, upsert
from services.storage.statements import STATEMENT_COLUMNS, load_statements, statement_row
from services.storage.tables import Paper, Sighting, Statement

PAST_HASHES = 8
"""Content hashes remembered of each paper."""

_NAME_AND_DAY = ("key", "announced_on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Who speaks on a page (`source`, see `domain.merging`) and when.

    `feed_id` is the feed that listed the papers (0: nobody did, and no sighting is left), `day` is used where an
    entry states none, `read_on` is the day the source itself was asked (`None` for recordings). `by_title`: the
    entries carry no identifier.
    """

    source: str
    feed_id: int
    day: date
    read_on: date | None
    now: datetime
    by_title: bool = False

    @property
    def speaker(self) -> str:
        """The name under which the statements are kept."""
        return self.source + merging.BY_TITLE if self.by_title else self.source


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


def store_groups(session: Session, groups: Sequence[Group], telling: Telling, result: Stored) -> None:
    """Store entries, grouped by paper (none, or one, row each), and add what came of it to `result`."""
    known_ids = [g.paper_id for g in groups if g.paper_ids]
    heard = [_heard(one, telling) for one in groups]
    # Of what is only said again, which is most of all pages, nothing but its hash need be known.
    said = load_statements(session, known_ids, whole=False)
    otherwise = set(_told_otherwise(zip(groups, heard, strict=True), said, telling.speaker))
    said |= load_statements(session, otherwise)
    held = _held(session, known_ids, _NAME_AND_DAY)
    held |= _held(session, otherwise, (*_NAME_AND_DAY, "content_hash", "past_hashes", "changed_at"))
    writes = _Writes()
    for one, words in zip(groups, heard, strict=True):
        before = said.get(one.paper_id, {}) if one.paper_ids else {}
        statements = _speak(one, words, before, writes, telling)
        _decide(one, before, statements, held, writes, result, telling)

    _insert_papers(session, writes.inserts, writes.new_groups)
    _update_papers(session, writes.updates)
    _update_papers(session, writes.names_and_days)
    search_index.add(session, dict(zip([g.paper_id for g in writes.new_groups], writes.inserts, strict=True)))
    search_index.refresh(session, [row["b_id"] for row in writes.updates])
    write_identifiers(session, groups)
    _write_statements(session, writes.spoken, now=telling.now)
    if telling.feed_id:
        _write_sightings(session, groups, known_ids, telling)
    new_repo_ids, appeared = write_links(
        session, writes.told, known=frozenset(known_ids), by_title=telling.by_title, now=telling.now
    )
    result.alike += duplicates.flag(session, write_titles(session, writes.told, known=known_ids), now=telling.now)
    result.events += events.record(session, writes.events + appeared, now=telling.now)
    result.new_repo_ids += new_repo_ids
    result.paper_ids += [g.paper_id for g in groups]


def _heard(one: Group, telling: Telling) -> list[StatementData]:
    return [
        merging.state(entry, source=telling.speaker, fallback_day=telling.day, read_on=telling.read_on)
        for entry in one.entries
    ]


def _told_otherwise(
    groups: Iterable[tuple[Group, Sequence[StatementData]]],
    said: Mapping[int, Mapping[str, StatementData]],
    speaker: str,
) -> list[int]:
    """The rows of which something else is said than before, or that were several."""
    found: list[int] = []
    for one, heard in groups:
        if one.paper_ids:
            was = said.get(one.paper_id, {}).get(speaker)
            if one.folded or was is None or any(words.content_hash != was.content_hash for words in heard):
                found.append(one.paper_id)
    return found


def _speak(
    one: Group,
    heard: Sequence[StatementData],
    before: Mapping[str, StatementData],
    writes: _Writes,
    telling: Telling,
) -> dict[str, StatementData]:
    """The statements about a paper once its entries have spoken; what the source says now is noted for writing."""
    statements = dict(before)
    source = telling.speaker
    was = before.get(source)
    news = False
    for words in heard:
        statements[source] = merging.together(words, statements.get(source))
        news = news or was is None or words.content_hash != was.content_hash
    if news:
        writes.told.append(one)  # also where older words change nothing else: a link or title once named stays
    fresh = statements[source]
    if fresh != was:
        writes.spoken.append((one, fresh))
    return statements


def _decide(
    one: Group,
    before: Mapping[str, StatementData],
    statements: Mapping[str, StatementData],
    held: Mapping[int, Any],
    writes: _Writes,
    result: Stored,
    telling: Telling,
) -> None:
    """NEW, CHANGED or SAME: what is to be written of one paper."""
    key = str(canonical_key([i for entry in one.entries for i in entry.identifiers]))
    if not one.paper_ids:
        writes.new_groups.append(one)
        writes.inserts.append(
            {
                **facts_of(statements),
                "key": key,
                "past_hashes": [],
                "first_seen_at": telling.now,
                "changed_at": telling.now,
            }
        )
        result.new += 1
        return
    old = held[one.paper_id]
    key = stronger(key, old.key)
    was = before.get(telling.speaker)
    if was is not None and statements[telling.speaker].content_hash == was.content_hash and not one.folded:
        result.known += 1
        first = min(words.first_on for words in statements.values())
        if (key, first) != (old.key, old.announced_on):
            writes.names_and_days.append({"key": key, "announced_on": first, "b_id": one.paper_id})
        return
    row = {**facts_of(statements), "key": key}
    past: list[str] = old.past_hashes
    moved = row["content_hash"] != old.content_hash
    # What it said before is no news: a source that goes back and forth is followed without telling anybody.
    changed = moved and row["content_hash"] not in past
    if moved:
        past = [*(h for h in past if h != old.content_hash), old.content_hash][-PAST_HASHES:]
    if changed or one.folded:  # what the other row knew is news to the readers of this one
        earlier = one.was if one.folded else before
        facts = merging.compose({name: words.data for name, words in earlier.items()})
        writes.events += [(one.paper_id, event) for event in paper_events(facts, row)]
    result.changed += changed
    result.known += not changed
    writes.updates.append(
        {
            **row, "past_hashes": past, "b_id": one.paper_id,
            "changed_at": telling.now if changed else old.changed_at,
        }
    )  # fmt: skip


def facts_of(statements: Mapping[str, StatementData]) -> dict[str, Any]:
    """A paper's facts as its row holds them, but for its key: composed of what all its sources say."""
    facts = merging.compose({source: words.data for source, words in statements.items()})
    return {
        **facts, "title_key": title_fingerprint(facts["title"]), "content_hash": merging.meaning(facts),
        "announced_on": min(words.first_on for words in statements.values()),
    }  # fmt: skip


def _held(session: Session, paper_ids: Collection[int], columns: Sequence[str]) -> dict[int, Any]:
    if not paper_ids:
        return {}
    table = table_of(Paper).c
    asked = sa.select(table.id, *(table[name] for name in columns)).where(among(session, table.id, paper_ids))
    return {row[0]: row for row in session.connection().execute(asked).all()}


# -- writing -----------------------------------------------------------------------------------------------------


def _insert_papers(session: Session, rows: Sequence[dict[str, Any]], groups: Sequence[Group]) -> None:
    if not rows:
        return
    for paper_id, row, one in zip(take_ids(session, Paper, len(rows)), rows, groups, strict=True):
        row["id"] = paper_id
        one.paper_ids.append(paper_id)
    execute_many(session, table_of(Paper).insert(), rows)


def _update_papers(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = table_of(Paper)
    columns: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "b_id"}
    session.connection().execute(table.update().where(table.c.id == bindparam("b_id")).values(columns), list(rows))


def _write_statements(session: Session, spoken: Sequence[tuple[Group, StatementData]], *, now: datetime) -> None:
    rows = [statement_row(one.paper_id, words, now) for one, words in spoken]
    upsert(session, Statement, rows, ["paper_id", "source"], update=STATEMENT_COLUMNS)


def _write_sightings(session: Session, groups: Sequence[Group], known: Collection[int], telling: Telling) -> None:
    """Who listed which paper when. What an identifier brings stands before what a title does."""
    there: set[tuple[int, date]] = set()
    if known:
        table = table_of(Sighting).c
        asked = sa.select(table.paper_id, table.day).where(
            table.feed_id == telling.feed_id, table.by_title.is_(False), among(session, table.paper_id, known)
        )
        there = {(paper_id, day) for paper_id, day in session.connection().execute(asked).all()}
    rows = {
        seen: {
            "paper_id": one.paper_id, "feed_id": telling.feed_id, "day": seen[1], "rank": entry.rank,
            "announce_type": entry.announce_type, "seen_at": telling.now, "by_title": telling.by_title,
        }
        for one in groups
        for entry in one.entries
        if (seen := (one.paper_id, entry.announced_on or telling.day)) not in there
    }  # fmt: skip
    upsert(
        session, Sighting, list(rows.values()), ["paper_id", "feed_id", "day"],
        update=["rank", "announce_type", "by_title"],
        where=lambda table, new: sa.and_(table.c.by_title, sa.not_(new.by_title)),
    )  # fmt: skip
