"""Identity: which entries of a page and which rows are one paper.

Entries are joined by shared identifiers, whoever brings them. Those that carry none are known by their title, and
go where `storage.title_entries` says: every title a paper ever bore is kept (`titles`), so a listing without
identifiers finds it under any of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace
from sqlmodel import Session, col

from services.domain import merging
from services.domain.identifiers import Identifier as Ident
from services.domain.identifiers import canonical_key, title_fingerprint
from services.domain.merging import StatementData
from services.domain.nearness import near_keys
from services.domain.papers import PaperData
from services.storage import duplicates
from services.storage.sql import among, insert_ignore, table_of
from services.storage.tables import Identifier, Paper, Title


@dataclass(slots=True)
class Group:
    """Entries of one page that are one paper, and the rows it has so far (several: they are folded into one)."""

    entries: list[PaperData] = field(default_factory=list)
    paper_ids: list[int] = field(default_factory=list)
    unheld: list[Ident] = field(default_factory=list)
    """Names in the entries that no row had when the page came."""
    folded: bool = False
    was: Mapping[str, StatementData] = field(default_factory=dict)
    """What was said of the row of the best key before it was folded with others."""

    @property
    def paper_id(self) -> int:
        """The row that is, or will be, this paper's."""
        return self.paper_ids[0]


def named(entry: PaperData) -> PaperData:
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


class _Forest:
    """Union-find over entries (numbers), identifiers and rows."""

    def __init__(self) -> None:
        self.parent: dict[Any, Any] = {}

    def root(self, node: Any) -> Any:
        parent = self.parent
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = above
        return node

    def join(self, one: Any, other: Any) -> None:
        self.parent[self.root(one)] = self.root(other)


def group(session: Session, entries: Sequence[PaperData]) -> list[Group]:
    """Entries (each with an identifier, see `named`) joined with each other and with rows, in the page's order."""
    names = [i for entry in entries for i in entry.identifiers]
    wanted = set(names)
    rows = find_identifiers(session, wanted)
    held = [sorted({rows[i] for i in entry.identifiers if i in rows}) for entry in entries]
    if len(wanted) == len(names) and len(set().union(*held)) == sum(map(len, held)):  # the usual page: no two share any
        alone = zip(entries, held, strict=True)
        groups = [Group([entry], ids, [i for i in entry.identifiers if i not in rows]) for entry, ids in alone]
    else:
        groups = _joined(entries, rows)
    _keep_apart(session, groups)
    return groups


def _joined(entries: Sequence[PaperData], rows: Mapping[Ident, int]) -> list[Group]:
    forest = _Forest()
    for number, entry in enumerate(entries):
        for identifier in entry.identifiers:
            forest.join(("id", identifier), number)
            if identifier in rows:
                forest.join(("row", rows[identifier]), number)
    groups: dict[Any, Group] = {}
    for number, entry in enumerate(entries):
        one = groups.setdefault(forest.root(number), Group())
        one.entries.append(entry)
        one.unheld += [i for i in entry.identifiers if i not in rows]
    for node in list(forest.parent):
        if isinstance(node, tuple) and node[0] == "row":
            groups[forest.root(node)].paper_ids.append(node[1])
    for one in groups.values():
        one.paper_ids.sort()  # the oldest row is the one kept
    return list(groups.values())


def _keep_apart(session: Session, groups: Iterable[Group]) -> None:
    """Rows that a person said are different papers are not folded: the entry goes to the one of the best key."""
    several = [one for one in groups if len(one.paper_ids) > 1]
    apart = duplicates.apart(session, {paper_id for one in several for paper_id in one.paper_ids})
    for one in several if apart else ():
        keys = {
            row.id: row.key
            for row in session.execute(sa.select(col(Paper.id), col(Paper.key)).where(col(Paper.id).in_(one.paper_ids)))
        }
        strongest = {key: paper_id for paper_id, key in keys.items()}
        kept = strongest[str(canonical_key([Ident(*key.split(":", 1)) for key in strongest]))]
        one.paper_ids = sorted(i for i in one.paper_ids if i == kept or i not in apart.get(kept, ()))


def find_identifiers(session: Session, wanted: Iterable[Ident]) -> dict[Ident, int]:
    """The rows of those that are known."""
    by_scheme: dict[str, list[str]] = defaultdict(list)
    for identifier in wanted:
        by_scheme[identifier.scheme].append(identifier.value)
    found: dict[Ident, int] = {}
    columns = table_of(Identifier).c
    asked = sa.select(columns.value, columns.paper_id)
    for scheme, values in by_scheme.items():
        rows = asked.where(columns.scheme == scheme, among(session, columns.value, values))
        found |= {Ident(scheme, value): paper_id for value, paper_id in session.connection().execute(rows).all()}
    return found


def write_identifiers(session: Session, groups: Sequence[Group]) -> None:
    """The names of each group's paper that are new; one that another paper has by now stays with that."""
    rows = {i: {"scheme": i.scheme, "value": i.value, "paper_id": one.paper_id} for one in groups for i in one.unheld}
    insert_ignore(session, Identifier, list(rows.values()), ["scheme", "value"])


def write_titles(session: Session, groups: Sequence[Group], *, known: Collection[int]) -> list[dict[str, Any]]:
    """The titles of each group's paper; returns the rows (paper_id, head_key, body_key) that are new. A paper that is
    not among the `known` ones (row ids) has had none so far."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for one in groups:
        for entry in one.entries:
            fingerprint = title_fingerprint(entry.title)
            if fingerprint and (fingerprint, one.paper_id) not in rows:
                head, body = near_keys(entry.title)
                rows[(fingerprint, one.paper_id)] = {
                    "paper_id": one.paper_id, "title_key": fingerprint, "head_key": head, "body_key": body,
                }  # fmt: skip
    of_known = {paper_id for _, paper_id in rows} & set(known)
    held = _titles_of(session, of_known) if of_known else set()
    fresh = [row for name, row in rows.items() if name not in held]
    insert_ignore(session, Title, fresh, ["title_key", "paper_id"])
    return fresh


def _titles_of(session: Session, paper_ids: Collection[int]) -> set[tuple[str, int]]:
    columns = table_of(Title).c
    asked = sa.select(columns.title_key, columns.paper_id).where(among(session, columns.paper_id, paper_ids))
    return {(title_key, paper_id) for title_key, paper_id in session.connection().execute(asked).all()}


def stronger(one: str, other: str) -> str:
    """Of two keys the one a paper is known by."""
    return one if one == other else str(canonical_key([Ident(*one.split(":", 1)), Ident(*other.split(":", 1))]))
