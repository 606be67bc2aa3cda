"""The audit: what the world announced and took, compared with what the archive holds. No violation, no word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.faults.world import TOKEN, Mail


@dataclass(slots=True)
class Expected:
    """What must be true at the end of a plan. Everything in it comes from outside the service."""

    announced: Mapping[str, Mapping[str, str]]
    """For each feed: identifier → token."""
    repos: Iterable[str]
    mails: Sequence[Mail]
    readers: Sequence[str]
    ambiguity: str
    unknown: tuple[int, int] = (0, 0)
    """Fewest and most deliveries that may be `unknown`: the faults inside the window."""
    doubled: tuple[int, int] = (0, 0)
    """Fewest and most mails that may have come twice (only ever with the same Message-ID and bytes)."""
    failed: tuple[int, int] = (0, 0)
    """Fewest and most deliveries that the mail server refused for good."""
    late: bool = False
    """Whether a delivery may have expired: its works must then have come in the next edition."""
    complete: bool = True
    """Whether every work must have reached every reader by now."""


@dataclass(slots=True)
class Findings:
    """What an audit counted, and what it found wrong."""

    violations: list[str] = field(default_factory=list)
    listings: int = 0
    papers: int = 0
    deliveries: int = 0
    unknown: int = 0
    doubled: int = 0
    lost_listings: int = 0
    doubled_papers: int = 0
    missing: int = 0


class Archive:
    """The database of the service under test, read from outside."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, poolclass=NullPool)

    def rows(self, query: str, **values: Any) -> list[Any]:
        """All rows of a query."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(query), values).all())

    def number(self, query: str, **values: Any) -> int:
        """The first value of a query's only row."""
        return int(self.rows(query, **values)[0][0] or 0)

    def in_doubt(self) -> set[tuple[int, int]]:
        """Deliveries, each with its try, whose intent is committed and whose outcome is not."""
        return {(row[0], row[1]) for row in self.rows("SELECT id, attempts FROM deliveries WHERE state = 'sending'")}

    def change(self, statement: str, **values: Any) -> None:
        """Change rows, as an operator would."""
        with self._engine.begin() as connection:
            connection.execute(text(statement), values)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file."""
        return self._engine.dialect.name == "sqlite"


def audit(archive: Archive, expected: Expected) -> Findings:
    """Compare; every difference is one sentence in `violations`."""
    found = Findings()
    _listings(archive, expected, found)
    _papers(archive, expected, found)
    _repos(archive, expected, found)
    _deliveries(archive, expected, found)
    _jobs(archive, found)
    if archive.is_sqlite:
        verdict = archive.rows("PRAGMA integrity_check")[0][0]
        if verdict != "ok":
            found.violations.append(f"the database is damaged: {verdict}")
    return found


def _listings(archive: Archive, expected: Expected, found: Findings) -> None:
    held: dict[str, set[str]] = defaultdict(set)
    for feed, scheme, value in archive.rows(
        "SELECT f.name, i.scheme, i.value FROM feeds f JOIN sightings s ON s.feed_id = f.id "
        "JOIN identifiers i ON i.paper_id = s.paper_id"
    ):
        held[feed].add(f"{scheme}:{value}")
    for feed, announced in expected.announced.items():
        found.listings += len(announced)
        lost = sorted(set(announced) - held[feed])
        found.lost_listings += len(lost)
        if lost:
            found.violations.append(f"{feed}: {len(lost)} listings lost, such as {lost[0]}")
        invented = sorted(held[feed] - set(announced))
        if invented:
            found.violations.append(f"{feed}: {len(invented)} listings nobody announced, such as {invented[0]}")


def _papers(archive: Archive, expected: Expected, found: Findings) -> None:
    works = {token for announced in expected.announced.values() for token in announced.values()}
    counted: Counter[str] = Counter()
    for (title,) in archive.rows("SELECT title FROM papers"):
        counted.update(TOKEN.findall(title))
    found.papers = len(works)
    found.doubled_papers = sum(n - 1 for n in counted.values() if n > 1)
    if found.doubled_papers:
        found.violations.append(
            f"{found.doubled_papers} papers doubled: {[t for t, n in counted.items() if n > 1][:3]}"
        )
    for what, query in (
        (
            "identifiers",
            "SELECT count(*) FROM (SELECT 1 FROM identifiers GROUP BY scheme, value HAVING count(*) > 1) x",
        ),
        ("sightings",
         "SELECT count(*) FROM (SELECT 1 FROM sightings GROUP BY paper_id, feed_id, day HAVING count(*) > 1) x"),
        ("orphans", "SELECT count(*) FROM identifiers WHERE paper_id NOT IN (SELECT id FROM papers)"),
        ("editions",
         "SELECT count(*) FROM (SELECT 1 FROM editions GROUP BY subscription_id, period HAVING count(*) > 1) x"),
    ):  # fmt: skip
        number = archive.number(query)
        if number:
            found.violations.append(f"{number} {what} that there must not be")


def _repos(archive: Archive, expected: Expected, found: Findings) -> None:
    held = Counter(slug for (slug,) in archive.rows("SELECT slug FROM repos WHERE state = 'found'"))
    lost = set(expected.repos) - set(held)
    if lost:
        found.violations.append(f"{len(lost)} repositories never read, such as {min(lost)}")
    if any(n > 1 for n in held.values()):
        found.violations.append("a repository has two rows")


def _deliveries(archive: Archive, expected: Expected, found: Findings) -> None:
    states = {
        row.message_id: row
        for row in archive.rows(
            "SELECT d.message_id, d.state, s.address, d.edition_id FROM deliveries d "
            "JOIN subscribers s ON s.id = d.subscriber_id"
        )
    }
    found.deliveries = len(states)
    by_state = Counter(row.state for row in states.values())
    found.unknown = by_state["unknown"]
    settled = {"accepted", "unknown", "failed"} | ({"expired"} if expected.late else set())
    odd = {s: n for s, n in by_state.items() if s not in settled}
    if odd:
        found.violations.append(f"deliveries left unsettled: {odd}")
    low, high = expected.failed
    if not low <= by_state["failed"] <= high:
        found.violations.append(f"{by_state['failed']} deliveries failed, {low} to {high} were refused")
    low, high = expected.unknown
    if not low <= found.unknown <= high:
        found.violations.append(f"{found.unknown} deliveries unknown, but {low} to {high} faults inside the window")
    _mails(archive, expected, found, states)


def _mails(archive: Archive, expected: Expected, found: Findings, states: Mapping[str, Any]) -> None:
    copies: dict[str, list[Mail]] = defaultdict(list)
    for mail in expected.mails:
        copies[mail.message_id].append(mail)
    found.doubled = sum(len(same) - 1 for same in copies.values())
    low, high = expected.doubled
    if not low <= found.doubled <= high:
        found.violations.append(f"{found.doubled} mails came twice, {low} to {high} may have")
    for message_id, same in copies.items():
        if len({mail.digest for mail in same}) > 1:
            found.violations.append(f"{message_id} came twice with different bytes")
        if message_id not in states:
            found.violations.append(f"a mail nobody planned reached {same[0].to}")
        elif states[message_id].address != same[0].to:
            found.violations.append(f"a mail for {states[message_id].address} reached {same[0].to}")
    never = [r for m, r in states.items() if r.state == "accepted" and m not in copies]
    if never:
        found.missing += len(never)
        found.violations.append(f"{len(never)} deliveries accepted that never arrived, such as to {never[0].address}")
    came: dict[str, Counter[str]] = defaultdict(Counter)
    for same in copies.values():
        came[same[0].to].update(same[0].tokens)
    for reader, tokens in came.items():
        twice = [token for token, n in tokens.items() if n > 1]
        if twice:
            found.violations.append(f"{reader} was told twice of {len(twice)} works, such as {twice[0]}")
    excused: dict[str, set[str]] = defaultdict(set)
    for address, title in archive.rows(
        "SELECT s.address, p.title FROM deliveries d JOIN subscribers s ON s.id = d.subscriber_id "
        "JOIN edition_items i ON i.edition_id = d.edition_id JOIN papers p ON p.id = i.paper_id "
        "WHERE d.state IN ('unknown', 'failed')"
    ):
        excused[address].update(TOKEN.findall(title))
    if not expected.complete:
        return
    works = {token for announced in expected.announced.values() for token in announced.values()}
    for reader in expected.readers:
        lost = works - set(came[reader]) - excused[reader]
        if lost:
            found.missing += 1
            found.violations.append(f"{reader} was never told of {len(lost)} works, such as {min(lost)}")


def _jobs(archive: Archive, found: Findings) -> None:
    # What was put off on purpose and never tried yet (a day to be asked for again) is no work left behind.
    left = archive.rows(
        "SELECT kind, state, count(*) FROM jobs WHERE state <> 'done' "
        "AND NOT (state = 'ready' AND attempts = 0 AND due_at > created_at) GROUP BY kind, state"
    )
    for kind, state, number in left:
        found.violations.append(f"{number} {kind} jobs left {state}")
    lost = archive.number("SELECT count(*) FROM attempts WHERE outcome = 'running'")
    if lost:
        found.violations.append(f"{lost} attempts without an outcome")
