"""Feedback: what readers say of papers, and what follows from it for what they get."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from services.domain.errors import InvalidInput
from services.domain.indexed import Indexed
from services.domain.queries import Query, parse_query
from services.domain.text import clean

ACTS = ("save", "more", "less", "mute", "snooze")
"""save: kept, and liked; more and less: like this; mute: nothing of this author, feed, category or topic, ever;
snooze: not now, but (once more) from a day on."""

WITH_TARGET = {"mute": "what to mute", "snooze": "a day to come back on"}
"""Acts that need to be told something, and what."""

OPPOSITE = {"more": "less", "less": "more", "save": "less"}
"""Saying the one takes the other back."""

LONGEST_SNOOZE = timedelta(days=366)

_MUTES = {"author": 'author:"{}"', "feed": 'feed:"{}"', "category": 'category:"{}"', "topic": '"{}"'}


@dataclass(frozen=True, slots=True)
class Mute:
    """Something a reader wants nothing of; `query` is it in the query language."""

    query: Query

    def shuts_out(self, paper: Indexed) -> str | None:
        """Why the paper is shut out: `muted by the reader: by Ada Quill`; `None` when it is not."""
        if not self.query.matches(paper):
            return None
        return f"muted by the reader: {'; '.join(self.query.explain(paper)) or self.query.text}"


def mute_target(kind: str, value: str) -> str:
    """What is muted, as a query: `author` and `feed` a name, `category` one of arXiv's, `topic` words in a row.

    Raises `InvalidInput` for an unknown kind and for a value without words.
    """
    if kind not in _MUTES:
        raise InvalidInput(f"{kind[:40]!r} cannot be muted; use one of {', '.join(_MUTES)}")
    plain = clean(value, limit=200).replace("\\", " ").replace('"', " ").strip()
    target = _MUTES[kind].format(plain)
    if not plain or not parse_query(target, date.min).root:  # none of these has days in it
        raise InvalidInput("there is nothing to mute")
    return target


def mutes_of(targets: Sequence[str], today: date) -> tuple[Mute, ...]:
    """The mutes for what was kept of them. Raises `QueryError` for a target that is no query."""
    return tuple(Mute(parse_query(target, today)) for target in targets)


def shut_out(paper: Indexed, mutes: Sequence[Mute]) -> str | None:
    """The first reason why a paper is shut out, or `None`."""
    return next((reason for mute in mutes if (reason := mute.shuts_out(paper))), None)


# -- snoozes ------------------------------------------------------------------------------------------------------


def snooze_target(until: str, today: date) -> str:
    """The day a snooze ends on, as it is kept. Raises `InvalidInput` for one not within a year after `today`."""
    try:
        day = date.fromisoformat(until)
    except ValueError as error:
        raise InvalidInput("write the day as 2026-12-01") from error
    if not today < day <= today + LONGEST_SNOOZE:
        raise InvalidInput("choose a day after today, within a year from now")
    return day.isoformat()


@dataclass(frozen=True, slots=True)
class Snoozes:
    """What a reader has put off, as of their today."""

    held: frozenset[int] = frozenset()
    """Papers that are not to come yet."""
    back: Mapping[int, tuple[int, date]] = field(default_factory=dict)
    """Papers that are to come (once more): how many of their snoozes have ended, and the day of the last."""


def snoozes_of(kept: Iterable[tuple[int, str]], had: Collection[tuple[int, int]], today: date) -> Snoozes:
    """What follows from the snoozes kept, as (paper, day), and from the editions so far, as (paper, snoozes that had
    ended by then): a paper comes back once for each snooze that has ended, however late the edition."""
    days: dict[int, list[date]] = {}
    for paper_id, until in kept:
        days.setdefault(paper_id, []).append(date.fromisoformat(until))
    held = frozenset(paper_id for paper_id, own in days.items() if max(own) > today)
    back: dict[int, tuple[int, date]] = {}
    for paper_id, own in days.items():
        ended = [day for day in own if day <= today]
        if ended and paper_id not in held and all(one != paper_id or n < len(ended) for one, n in had):
            back[paper_id] = (len(ended), max(ended))
    return Snoozes(held, back)
