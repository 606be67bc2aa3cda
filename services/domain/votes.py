"""Votes: what the members of a team say of a paper by reacting to its reply in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

LOOKS = (
    timedelta(minutes=30), timedelta(hours=2), timedelta(hours=8), timedelta(days=1), timedelta(days=3),
    timedelta(days=7),
)  # fmt: skip
"""How long after an edition its thread is looked at; most who vote do so on the first day."""

UP = frozenset({"+1", "thumbsup", "heart", "fire", "star", "bookmark", "tada", "rocket", "100", "eyes"})
DOWN = frozenset({"-1", "thumbsdown"})


@dataclass(frozen=True, slots=True)
class Reaction:
    """One emoji below a message, and the members who chose it."""

    name: str
    """As Slack names it, `+1` or `+1::skin-tone-3`."""
    users: tuple[str, ...]


def votes_of(reactions: Iterable[Reaction]) -> dict[str, int]:
    """1 or -1 for each member; whoever says both says nothing, and other emoji are no votes."""
    ups: set[str] = set()
    downs: set[str] = set()
    for reaction in reactions:
        name = reaction.name.partition("::")[0]
        if name in UP:
            ups.update(reaction.users)
        elif name in DOWN:
            downs.update(reaction.users)
    return {**dict.fromkeys(ups - downs, 1), **dict.fromkeys(downs - ups, -1)}


def act_of(votes: Mapping[str, int]) -> str | None:
    """What a team's votes say as feedback of its subscription: more, less, or nothing where they are even."""
    balance = sum(votes.values())
    return "more" if balance > 0 else "less" if balance < 0 else None
