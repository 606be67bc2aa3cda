"""Waiting: which feeds an edition that is due waits for. One look a minute serves all editions of that minute."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from services.domain.polls import Polls, worth_waiting
from services.storage import polls
from services.storage.engine import snapshot

NAMED = 5
"""Feeds named where it is told what is waited for."""


@dataclass(slots=True)
class _Look:
    """What was seen in one minute, and what that meant to those who asked."""

    minute: datetime
    seen: Polls
    answers: dict[tuple[tuple[str, ...], datetime, datetime], list[str]] = field(default_factory=dict)


_looks: WeakKeyDictionary[Engine, _Look] = WeakKeyDictionary()
_looking = threading.Lock()


def waited_for(
    engine: Engine, names: tuple[str, ...], *, due_at: datetime, until: datetime, now: datetime
) -> list[str]:
    """The feeds an edition due at `due_at` is held for at `now`, up to `until`; `names` are those it reads, or all."""
    minute = now.replace(second=0, microsecond=0)
    with _looking:  # whoever comes second waits for the look of the first
        look = _looks.get(engine)
        if look is None or look.minute != minute:
            # In one moment: what goes on from being parsed to being fetched again must not be missed between two looks.
            with snapshot(engine) as session:
                look = _looks[engine] = _Look(minute, polls.look(session, now=now))
        asked = (names, due_at, until)
        if asked not in look.answers:
            look.answers[asked] = worth_waiting(look.seen, names, due_at=due_at, until=until)
        return look.answers[asked]


def in_words(names: list[str]) -> str:
    """`a, b, c, d, e and 7 more`."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
