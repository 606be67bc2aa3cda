"""Papers: one page of entries in, one row a paper out.

`store_page` is the heart of the archive. It works in batches (a handful of statements a page, whatever its
size): resolve identifiers, join what belongs together, compose facts from statements, write what differs.
Reading papers back is in `storage.archive`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, delete, func, update
from sqlmodel import Session, col, select

from services.domain import merging
from services.domain.identifiers import Identifier as Ident
from services.domain.identifiers import canonical_key, canonical_url, title_fingerprint
from services.domain.links import EVIDENCE, LinkData, find_links
from services.domain.merging import StatementData
from services.domain.papers import PaperData
from services.storage import repos as repo_rows
from services.storage.engine import is_sqlite
from services.storage.sql import chunks, insert_ignore, table_of, upsert
from services.storage.tables import EditionItem, Feed, Identifier, Link, Merge, Paper, Sighting, Statement

STORE_LOCK = 0x7061706572  # "paper": one number for all processes that store


@dataclass(slots=True)
class Stored:
    """What a page did to the archive: `new + changed + known` papers, one for each entry's paper."""

    new: int = 0
    changed: int = 0
    known: int = 0
    merged: int = 0
    paper_ids: list[int] = field(default_factory=list)
    new_repo_ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    """Entries of one page that are one paper, and the rows it has so far (several: they are folded into one)."""

    entries: list[PaperData] = field(default_factory=list)
    paper_ids: list[int] = field(default_factory=list)
    folded: bool = False

    @property
    def paper_id(self) -> int:
        return self.paper_ids[0]


def store_page(
    session: Session, entries: Sequence[PaperData], *, feed: Feed, source: str, day: date, now: datetime
) -> Stored:
    """Store a page's entries as papers, identifiers, statements, sightings and links.

    `source` names who speaks (see `domain.merging`), `day` is used where an entry states none. Storing the same
    page again changes nothing.
    """
    result = Stored()
    if not entries:
        return result
    if not is_sqlite(session):
        # One page at a time, as on SQLite: two that bring the same new papers would wait for each other for ever.
        session.execute(select(func.pg_advisory_xact_lock(STORE_LOCK)))
    groups = _group(session, [_named(entry) for entry in entries])
    for group in groups:
        if len(group.paper_ids) > 1:
            _fold(session, group, now=now)
            result.merged += 1
    known_ids = [g.paper_id for g in groups if g.paper_ids]
    said = _statements(session, known_ids)
    held = _held(session, known_ids)

    new_groups: list[_Group] = []
    inserts: list[dict[str, Any]] = []
    updates: list[dict[str, Any]] = []
    earlier: list[dict[str, Any]] = []
    spoken: list[tuple[_Group, StatementData]] = []
    linked: list[_Group] = []
    for group in groups:
        before = said.get(group.paper_id, {}) if group.paper_ids else {}
        statements = dict(before)
        was = before.get(source)
        news = False
        for entry in group.entries:
            words = merging.state(entry, source=source, fallback_day=day)
            old = statements.get(source)
            if old is None or merging.supersedes(words, old.as_of, old.content_hash):
                statements[source] = words
            news = news or was is None or words.content_hash != was.content_hash
        if news:
            linked.append(group)  # also where older words change nothing else: a link once named stays
        fresh = statements[source]
        if was is None or (fresh.content_hash, fresh.as_of) != (was.content_hash, was.as_of):
            spoken.append((group, fresh))
        if was is not None and fresh.content_hash == was.content_hash and not group.folded:
            result.known += 1
            first, held_first = _first_day(group, day), held[group.paper_id].announced_on
            if held_first is None or first < held_first:
                earlier.append({"announced_on": first, "b_id": group.paper_id})
            continue
        row = _compose(statements, group, day)
        if not group.paper_ids:
            new_groups.append(group)
            inserts.append({**row, "first_seen_at": now, "changed_at": now})
            result.new += 1
            continue
        old_row = held[group.paper_id]
        changed = row["content_hash"] != old_row.content_hash
        result.changed += changed
        result.known += not changed
        row["key"] = _stronger(row["key"], old_row.key)
        row["announced_on"] = min(row["announced_on"], old_row.announced_on or row["announced_on"])
        updates.append({**row, "b_id": group.paper_id, "changed_at": now if changed else old_row.changed_at})

    _insert_papers(session, inserts, new_groups)
    _update_papers(session, updates)
    _update_papers(session, earlier)
    _write_identifiers(session, groups)
    _write_statements(session, spoken, now=now)
    _write_sightings(session, groups, feed_id=feed.id or 0, day=day, now=now)
    result.new_repo_ids = _write_links(session, linked, now=now)
    result.paper_ids = [g.paper_id for g in groups]
    return result


# -- who is who ------------------------------------------------------------------------------------------------


def _named(entry: PaperData) -> PaperData:
    """An entry that carries no identifier is known by its title and year (a short title: by its day)."""
    if entry.identifiers:
        return entry
    when = entry.published_at.date() if entry.published_at else entry.announced_on
    fingerprint = title_fingerprint(entry.title)
    if fingerprint:
        value = f"{fingerprint}-{when.year}" if when else fingerprint
    else:
        value = f"{merging.fingerprint({'title': entry.title})[:16]}-{when or ''}"
    return replace(entry, identifiers=(Ident("title", value),))


def _group(session: Session, entries: Sequence[PaperData]) -> list[_Group]:
    """Entries joined by shared identifiers, with each other and with rows, in the order of the page."""
    rows = _find_identifiers(session, {i for entry in entries for i in entry.identifiers})
    unknown = [n for n, entry in enumerate(entries) if not any(i in rows for i in entry.identifiers)]
    titles = _find_titles(session, [entries[n] for n in unknown])
    parent: dict[Any, Any] = {}

    def root(node: Any) -> Any:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    def join(one: Any, other: Any) -> None:
        parent[root(one)] = root(other)

    for number, entry in enumerate(entries):
        for identifier in entry.identifiers:
            join(("id", identifier), number)
            if identifier in rows:
                join(("row", rows[identifier]), number)
    weak_here: dict[str, int] = {}
    for number in unknown:
        entry = entries[number]
        fingerprint = title_fingerprint(entry.title)
        if not fingerprint:
            continue
        row = next((r for r in titles.get(fingerprint, ()) if _same_by_title(entry, r.key, r.published_at)), None)
        if row is not None:
            join(("row", row.id), number)
        first = weak_here.setdefault(fingerprint, number)
        other = entries[first]
        if first != number and _same_by_title(entry, str(other.identifiers[0]), other.published_at):
            join(number, first)
    groups: dict[Any, _Group] = {}
    for number, entry in enumerate(entries):
        groups.setdefault(root(number), _Group()).entries.append(entry)
    for node in list(parent):
        if isinstance(node, tuple) and node[0] == "row":
            groups[root(node)].paper_ids.append(node[1])
    for group in groups.values():
        group.paper_ids.sort()  # the oldest row is the one kept
    return list(groups.values())


def _find_identifiers(session: Session, wanted: Iterable[Ident]) -> dict[Ident, int]:
    by_scheme: dict[str, list[str]] = defaultdict(list)
    for identifier in wanted:
        by_scheme[identifier.scheme].append(identifier.value)
    found: dict[Ident, int] = {}
    for scheme, values in by_scheme.items():
        for part in chunks(sorted(values)):
            for value, paper_id in session.exec(
                select(Identifier.value, Identifier.paper_id).where(
                    Identifier.scheme == scheme, col(Identifier.value).in_(part)
                )
            ):
                found[Ident(scheme, value)] = paper_id
    return found


def _find_titles(session: Session, entries: Sequence[PaperData]) -> dict[str, list[Any]]:
    """Rows by title fingerprint, for entries no identifier led to."""
    found: dict[str, list[Any]] = defaultdict(list)
    prints = {title_fingerprint(e.title) for e in entries} - {""}
    for part in chunks(sorted(prints)):
        for row in session.execute(
            select(Paper.id, Paper.key, Paper.title_key, Paper.published_at)
            .where(col(Paper.title_key).in_(part))
            .order_by(col(Paper.id))
        ):
            found[row.title_key].append(row)
    return found


def _same_by_title(entry: PaperData, key: str, published_at: datetime | None) -> bool:
    """Whether equal titles mean one paper: only where one side has nothing stronger, and the years fit."""
    weak = all(i.scheme == "title" for i in entry.identifiers) or key.startswith("title:")
    if not weak:
        return False
    if entry.published_at is None or published_at is None:
        return True
    return abs(entry.published_at.year - published_at.year) <= 1


def _stronger(one: str, other: str) -> str:
    return str(canonical_key([Ident(*one.split(":", 1)), Ident(*other.split(":", 1))]))


# -- folding rows that turned out to be one ----------------------------------------------------------------------


def _fold(session: Session, group: _Group, *, now: datetime) -> None:
    """Fold a group's later rows into its first: everything that pointed at them points at it."""
    kept, *losers = group.paper_ids
    why = ", ".join(sorted({str(i) for e in group.entries for i in e.identifiers}))
    statements = _statements(session, group.paper_ids)
    held = _held(session, group.paper_ids)
    for loser in losers:
        key = held[loser].key
        for source, words in statements.get(loser, {}).items():
            mine = statements.setdefault(kept, {}).get(source)
            if mine is None or words.as_of > mine.as_of:
                statements[kept][source] = words
        _repoint(session, Sighting, loser, kept, ["feed_id", "day"])
        _repoint(session, Link, loser, kept, ["url_key"])
        _repoint(session, EditionItem, loser, kept, ["subscription_id"])
        session.execute(update(Identifier).where(col(Identifier.paper_id) == loser).values(paper_id=kept))
        session.execute(delete(Statement).where(col(Statement.paper_id) == loser))
        session.execute(delete(Paper).where(col(Paper.id) == loser))
        session.add(Merge(kept_paper_id=kept, merged_key=key, reason=f"one entry names both: {why}", merged_at=now))
    # The entry that joins them may name neither the strongest key nor the first day.
    days = [row.announced_on for row in held.values() if row.announced_on is not None]
    key = str(canonical_key([Ident(*row.key.split(":", 1)) for row in held.values()]))
    session.execute(update(Paper).where(col(Paper.id) == kept).values(key=key, announced_on=min(days, default=None)))
    upsert(
        session, Statement,
        [_statement_row(kept, words, now) for words in statements.get(kept, {}).values()],
        ["paper_id", "source"], update=["as_of", "content_hash", "data", "said_at"],
    )  # fmt: skip
    session.flush()
    group.paper_ids[:] = [kept]
    group.folded = True


def _repoint(session: Session, model: Any, loser: int, kept: int, rest: Sequence[str]) -> None:
    """Move a loser's rows of `model`, dropping those the kept paper has already (`rest` completes its key)."""
    table = table_of(model)
    twin = table.alias()
    same = [twin.c[name] == table.c[name] for name in rest]
    session.execute(
        delete(table).where(table.c.paper_id == loser, select(twin.c.id).where(twin.c.paper_id == kept, *same).exists())
    )
    session.execute(update(table).where(table.c.paper_id == loser).values(paper_id=kept))


# -- reading what is there ---------------------------------------------------------------------------------------


def _statements(session: Session, paper_ids: Sequence[int]) -> dict[int, dict[str, StatementData]]:
    found: dict[int, dict[str, StatementData]] = defaultdict(dict)
    for part in chunks(sorted(set(paper_ids))):
        for row in session.execute(
            sa.select(
                col(Statement.paper_id),
                col(Statement.source),
                col(Statement.as_of),
                col(Statement.content_hash),
                col(Statement.data),
            ).where(col(Statement.paper_id).in_(part))
        ):
            found[row.paper_id][row.source] = StatementData(
                source=row.source, as_of=row.as_of, content_hash=row.content_hash, data=row.data
            )
    return found


def _held(session: Session, paper_ids: Sequence[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for part in chunks(sorted(set(paper_ids))):
        for row in session.execute(
            sa.select(
                col(Paper.id), col(Paper.key), col(Paper.content_hash), col(Paper.announced_on), col(Paper.changed_at)
            ).where(col(Paper.id).in_(part))
        ):
            found[row.id] = row
    return found


# -- writing -----------------------------------------------------------------------------------------------------


def _compose(statements: Mapping[str, StatementData], group: _Group, day: date) -> dict[str, Any]:
    facts = merging.compose({source: words.data for source, words in statements.items()})
    return {
        **facts,
        "key": str(canonical_key([i for entry in group.entries for i in entry.identifiers])),
        "title_key": title_fingerprint(facts["title"]),
        "content_hash": merging.meaning(facts),
        "announced_on": _first_day(group, day),
    }


def _first_day(group: _Group, day: date) -> date:
    """The first day on which these entries list their paper; one that names none: its publication, else `day`."""
    return min(
        entry.announced_on or (entry.published_at.date() if entry.published_at else day) for entry in group.entries
    )


def _insert_papers(session: Session, rows: Sequence[Mapping[str, Any]], groups: Sequence[_Group]) -> None:
    if not rows:
        return
    table = table_of(Paper)
    session.connection().execute(table.insert(), list(rows))
    ids: dict[str, int] = {}
    for part in chunks([row["key"] for row in rows]):
        for key, paper_id in session.execute(sa.select(col(Paper.key), col(Paper.id)).where(col(Paper.key).in_(part))):
            ids[key] = paper_id
    for row, group in zip(rows, groups, strict=True):
        group.paper_ids.append(ids[row["key"]])


def _update_papers(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = table_of(Paper)
    columns: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "b_id"}
    session.connection().execute(table.update().where(table.c.id == bindparam("b_id")).values(columns), list(rows))


def _write_identifiers(session: Session, groups: Sequence[_Group]) -> None:
    rows = {
        (i.scheme, i.value): {"scheme": i.scheme, "value": i.value, "paper_id": group.paper_id}
        for group in groups
        for entry in group.entries
        for i in entry.identifiers
    }
    insert_ignore(session, Identifier, list(rows.values()), ["scheme", "value"])


def _statement_row(paper_id: int, words: StatementData, now: datetime) -> dict[str, Any]:
    return {
        "paper_id": paper_id, "source": words.source, "as_of": words.as_of, "content_hash": words.content_hash,
        "data": dict(words.data), "said_at": now,
    }  # fmt: skip


def _write_statements(session: Session, spoken: Sequence[tuple[_Group, StatementData]], *, now: datetime) -> None:
    rows = [_statement_row(group.paper_id, words, now) for group, words in spoken]
    upsert(session, Statement, rows, ["paper_id", "source"], update=["as_of", "content_hash", "data", "said_at"])


def _write_sightings(session: Session, groups: Sequence[_Group], *, feed_id: int, day: date, now: datetime) -> None:
    rows = {
        (group.paper_id, entry.announced_on or day): {
            "paper_id": group.paper_id, "feed_id": feed_id, "day": entry.announced_on or day, "rank": entry.rank,
            "announce_type": entry.announce_type, "seen_at": now,
        }
        for group in groups
        for entry in group.entries
    }  # fmt: skip
    insert_ignore(session, Sighting, list(rows.values()), ["paper_id", "feed_id", "day"])


def _write_links(session: Session, groups: Sequence[_Group], *, now: datetime) -> list[int]:
    """Write the links of papers of which something new was said; returns the repositories never asked for yet."""
    found: dict[tuple[int, str], LinkData] = {}
    for group in groups:
        for entry in group.entries:
            for link in links_of(entry):
                key = (group.paper_id, link_key(link))
                if key not in found or _strength(link.evidence) < _strength(found[key].evidence):
                    found[key] = link
    if not found:
        return []
    there: dict[tuple[int, str], str] = {}
    for part in chunks(sorted({paper_id for paper_id, _ in found})):
        for row in session.execute(
            select(Link.paper_id, Link.url_key, Link.evidence).where(col(Link.paper_id).in_(part))
        ):
            there[(row.paper_id, row.url_key)] = row.evidence
    fresh = {
        key: link for key, link in found.items() if key not in there or _strength(link.evidence) < _strength(there[key])
    }
    repo_ids, new_repo_ids = repo_rows.ensure(
        session, [link for link in fresh.values() if link.kind == "code" and link.slug], now=now
    )
    rows = [
        {
            "paper_id": paper_id, "url": link.url, "url_key": url_key, "kind": link.kind, "slug": link.slug,
            "evidence": link.evidence, "repo_id": repo_ids.get(link.url.lower()), "found_at": now,
        }
        for (paper_id, url_key), link in fresh.items()
    ]  # fmt: skip
    upsert(session, Link, rows, ["paper_id", "url_key"], update=["url", "kind", "slug", "evidence", "repo_id"])
    return new_repo_ids


def links_of(entry: PaperData) -> tuple[LinkData, ...]:
    """Every link of an entry: those its source states, those its abstract and comment name."""
    found = list(entry.links)
    if entry.abstract:
        found += find_links(entry.abstract, evidence="abstract")
    if entry.comment:
        found += find_links(entry.comment, evidence="comment")
    return tuple(found)


def link_key(link: LinkData) -> str:
    """What makes two links one: the thing they name, whatever its case, tail or scheme."""
    if link.slug:
        host = link.url.partition("://")[2].partition("/")[0].removeprefix("www.")
        return f"{link.kind}:{host}/{link.slug}".lower()
    return canonical_url(link.url)


def _strength(evidence: str) -> int:
    return EVIDENCE.index(evidence) if evidence in EVIDENCE else len(EVIDENCE)
