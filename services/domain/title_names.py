"""Papers known by their title alone: which of the papers that bear a title such an entry means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.domain.identifiers import SCHEMES, Identifier


@dataclass(frozen=True, slots=True)
class TitleName:
    """A name made of a title: its value, and the year of publication that entries of that name state."""

    value: str
    year: int | None

    def may_be(self, year: int | None) -> bool:
        """Whether something published in that year can be meant: a preprint and its article lie a year apart."""
        return self.year is None or year is None or abs(self.year - year) <= 1


@dataclass(frozen=True, slots=True)
class Bearer:
    """A paper with an identifier that bears, or bore, the title."""

    key: Identifier
    year: int | None


def clusters(names: Iterable[TitleName]) -> list[tuple[TitleName, ...]]:
    """Names of one title, those together that are one paper: each within a year of the one before it."""
    found: list[list[TitleName]] = []
    for name in sorted(names, key=lambda one: (one.year or 0, one.value)):
        if found and name.may_be(found[-1][-1].year):
            found[-1].append(name)
        else:
            found.append([name])
    return [tuple(one) for one in found]


def home(cluster: Sequence[TitleName], bearers: Iterable[Bearer]) -> Bearer | None:
    """The one paper that a title without an identifier means, or `None`: there is none, or which one is in doubt.

    Of several bearers those of the strongest scheme count (a preprint before a post that has its title). Two of
    these are two papers of one name, and nothing says which is meant. It follows from what there is and not from
    what came first, so it is asked again whenever names or bearers change.
    """
    able = [one for one in bearers if all(name.may_be(one.year) for name in cluster)]
    best = min((SCHEMES.index(one.key.scheme) for one in able), default=None)
    strongest = [one for one in able if SCHEMES.index(one.key.scheme) == best]
    return strongest[0] if len(strongest) == 1 else None
