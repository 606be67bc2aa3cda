"""Feedback: what readers say of papers, and what follows from it for what they get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.domain.errors import InvalidInput
from services.domain.indexed import Indexed
from services.domain.queries import Query, parse_query
from services.domain.text import clean

ACTS = ("save", "more", "less", "mute")
"""save: kept, and liked; more and less: like this; mute: nothing of this author or topic, ever."""

OPPOSITE = {"more": "less", "less": "more", "save": "less"}
"""Saying the one takes the other back."""


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
    """What is muted, as a query: `author` a name, `category` an arXiv category, `topic` words in a row.

    Raises `InvalidInput` for an unknown kind and for a value without words.
    """
    forms = {"author": 'author:"{}"', "category": 'category:"{}"', "topic": '"{}"'}
    if kind not in forms:
        raise InvalidInput(f"{kind[:40]!r} cannot be muted; use one of {', '.join(forms)}")
    plain = clean(value, limit=200).replace("\\", " ").replace('"', " ").strip()
    target = forms[kind].format(plain)
    if not plain or not parse_query(target).root:
        raise InvalidInput("there is nothing to mute")
    return target


def mutes_of(targets: Sequence[str]) -> tuple[Mute, ...]:
    """The mutes for what was kept of them. Raises `QueryError` for a target that is no query."""
    return tuple(Mute(parse_query(target)) for target in targets)


def shut_out(paper: Indexed, mutes: Sequence[Mute]) -> str | None:
    """The first reason why a paper is shut out, or `None`."""
    return next((reason for mute in mutes if (reason := mute.shuts_out(paper))), None)
