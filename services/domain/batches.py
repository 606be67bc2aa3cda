"""Batches: whether what a source listed for one day (week, month) has come in whole, by the source's own figures.

| state | means |
|---|---|
| `complete` | every page was read and every entry announced was seen: stored, or refused with its reason |
| `partial` | a page is missing, or came short of what was announced, or the list moved while it was read |
| `late` | there should be something by now, and there is nothing |
| `stale` | the source served an earlier batch again |
| `quiet` | nothing was listed, and nothing had to be |
| `failed` | every try ended in an error |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

COMPLETE = ("complete", "quiet")
"""States that ask for nothing more."""

ACCEPTED = "accepted"
"""What a batch that is not complete counts as once a person has taken it as it is."""

CLOSED = (*COMPLETE, ACCEPTED)
"""States nobody waits for any more."""

FEW = 5
"""So few papers may rightly all be in two batches that follow each other (new versions)."""

NEARLY_ALL = 0.8
"""So large a part of a batch is not announced once more by the next."""

FIRST_LOOK = timedelta(minutes=20)
"""How soon a batch that is not complete is asked for again; each further look waits twice as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One ledger row, as far as completeness goes."""

    state: str
    """fetched, parsed, failed."""
    cursor: str
    next_cursor: str | None
    announced: int | None
    seen: int
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a batch's pages add up to. `short` says why it is not whole, in words; empty when it is."""

    announced: int | None
    seen: int
    rejected: int
    short: str = ""
    nothing_read: bool = False
    all_failed: bool = False


def page_start(cursor: str) -> str:
    """The place in the list a cursor stands for: `400~2` is another try at what `400` asks for."""
    return cursor.partition("~")[0] or "0"


def _try_of(cursor: str) -> int:
    number = cursor.partition("~")[2]
    return int(number) if number.isdecimal() else 0


def add_up(pages: Sequence[Page]) -> Figures:
    """The figures of one slot's pages of a batch, oldest first.

    Of several rows of one cursor the newest counts, of several tries at one place the last, from which the walk
    went on.
    """
    rows = list({page.cursor: page for page in pages}.values())
    read = [row for row in rows if row.state == "parsed"]
    if not read:
        failed = bool(rows) and all(row.state == "failed" for row in rows)
        return Figures(announced=None, seen=0, rejected=0, nothing_read=True, all_failed=failed)
    best: dict[str, Page] = {}
    for row in read:
        start = page_start(row.cursor)
        if start not in best or _try_of(row.cursor) >= _try_of(best[start].cursor):
            best[start] = row
    seen, refused = sum(p.seen for p in best.values()), sum(p.rejected for p in best.values())
    totals = {row.announced for row in read if row.announced is not None}
    announced = max(totals, default=None)
    asked = {row.cursor for row in rows}
    read_starts = set(best)
    unread = [row for row in rows if row.state != "parsed" and page_start(row.cursor) not in read_starts]
    ahead = [row for row in read if row.next_cursor is not None and row.next_cursor not in asked]
    short = ""
    if unread or ahead:
        short = "a page is still missing"
    elif announced is not None and seen < announced:
        short = f"{seen} of {announced} announced entries came"
    elif len(totals) > 1:
        short = "the list changed while it was read"
    return Figures(announced=announced, seen=seen, rejected=refused, short=short)


def judge(
    figures: Figures, *, held: int | None = None, expected_quiet: bool, overdue: bool, stale: bool = False
) -> tuple[str, str | None]:
    """The state of a batch, and why where it is not complete.

    `held`: papers stored under the batch; with the refused entries they prove it complete even where the pages
    alone do not (a list that moved). `expected_quiet`: by the calendar nothing need come; `overdue`: something should
    have come by now; `stale`: what came is an earlier batch.
    """
    if figures.nothing_read:
        return ("failed", "no page could be read") if figures.all_failed else ("late", "nothing has been read yet")
    if stale:
        return "stale", "the source served an earlier batch again"
    proven = held is not None and figures.announced is not None and held + figures.rejected >= figures.announced > 0
    if figures.short and not (proven and figures.short != "a page is still missing"):
        return "partial", figures.short
    if figures.seen or proven:
        return "complete", None
    if overdue and not expected_quiet:
        return "late", "nothing is listed yet, though the day is no quiet one"
    return "quiet", None


def counts_as(state: str, accepted_at: datetime | None) -> str:
    """The state of a batch, given when a person took it as it is: what is complete since needs nobody's word."""
    return ACCEPTED if accepted_at is not None and state not in COMPLETE else state


def is_stale(ids: Collection[int], before: Collection[int], *, new: int) -> bool:
    """Whether a batch of papers `ids`, `new` of them never seen, is the one `before` it once more.

    The very same papers are; so is a part of them, unless it is so small that it may be chance; and so are nearly all
    of them among others: a batch that was made up lacks the replacements in its list.
    """
    if new or not ids or not before:
        return False
    here, there = set(ids), set(before)
    if here == there or (len(here) >= FEW and here <= there):
        return True
    return len(there) >= FEW and len(here & there) >= NEARLY_ALL * len(there)


def look_again_in(tries: int, interval: timedelta) -> timedelta:
    """How soon a batch is looked at again after `tries` looks in a row that did not find it complete."""
    return min(FIRST_LOOK * (1 << min(max(tries, 1) - 1, 10)), interval)


def settled(state: str, checked_at: datetime, day: date, *, settles_days: int = 0) -> bool:
    """Whether a day's batch needs no more asking: complete, and looked at after the day had settled (UTC).

    A list read while its day was still running may have grown since, and some sources add to a day for
    `settles_days` more.
    """
    return state in COMPLETE and checked_at.date() > day + timedelta(days=settles_days)


def worth_showing(batches: Iterable[tuple[str, str, int]]) -> str | None:
    """Of (batch, state, seen) the one a reader wants to hear of: the newest that lists anything or is in trouble,
    else the newest; `None` when there is none."""
    rows = sorted(batches, reverse=True)
    telling = next((batch for batch, state, seen in rows if seen or state not in COMPLETE), None)
    return telling or (rows[0][0] if rows else None)
