"""Organisations: whom a paper comes from, gathered from what the sources say of it and of its authors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from services.domain.papers import PaperFacts
from services.domain.words import fold


@dataclass(frozen=True, slots=True)
class Organization:
    """One organisation of a paper: `authors` of it wrote for it, as far as known; `ror` is its id at ror.org."""

    name: str
    authors: int
    ror: str | None = None

    @property
    def url(self) -> str | None:
        """Its page at ror.org."""
        return f"https://ror.org/{quote(self.ror, safe='')}" if self.ror else None

    @property
    def query(self) -> str:
        """What finds its papers, and follows it as a subscription's query."""
        plain = " ".join(self.name.replace("\\", " ").replace('"', " ").split())
        return f'organization:"{plain}"'


def organizations_of(paper: PaperFacts) -> tuple[Organization, ...]:
    """The organisations of a paper, each once: the one it is listed for first, then by how many authors they have.

    An author's affiliation may name several, apart by `;`.
    """
    names: dict[str, str] = {}
    authors: dict[str, int] = {}
    rors: dict[str, str] = {}
    if paper.organization:
        names[fold(paper.organization)] = paper.organization
        authors[fold(paper.organization)] = 0
    for author in paper.authors:
        for place, name in enumerate(dict.fromkeys(_parts(author.affiliation))):
            key = fold(name)
            names.setdefault(key, name)
            authors[key] = authors.get(key, 0) + 1
            if place == 0 and author.ror:
                rors.setdefault(key, author.ror)
    listed = fold(paper.organization) if paper.organization else None
    order = sorted(names, key=lambda key: (key != listed, -authors[key]))
    return tuple(Organization(names[key], authors[key], rors.get(key)) for key in order)


def main_organization(paper: PaperFacts) -> str | None:
    """The one to name where there is room for one: that it is listed for, else that of most of its authors."""
    return paper.organization or next((one.name for one in organizations_of(paper)), None)


def _parts(affiliation: str | None) -> Iterator[str]:
    for part in (affiliation or "").split(";"):
        if name := part.strip():
            yield name
