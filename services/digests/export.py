"""Exports: papers as files that other programs read, written piece by piece, however many there are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from services.domain.cite import bibtex, cite_key, csl, ris
from services.domain.errors import InvalidInput
from services.domain.export import paper_json
from services.domain.papers import PaperFacts

COLUMNS = (
    "key", "title", "authors", "organization", "published_at", "announced_on", "categories", "upvotes",
    "comments_count", "code", "stars", "license", "journal_ref", "url", "pdf_url", "abstract",
)  # fmt: skip
"""Of a CSV file, in order; lists are joined by `; `."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write papers: media type, file ending, and the pieces of the file."""

    name: str
    media_type: str
    suffix: str
    write: Callable[[Iterable[PaperFacts]], Iterator[str]]


def write(papers: Iterable[PaperFacts], name: str) -> Iterator[str]:
    """The file's text, in pieces. Raises `InvalidInput` for a format that is none of `FORMATS`."""
    return format_named(name).write(papers)


def format_named(name: str) -> Format:
    """A format by its name, or `InvalidInput`."""
    found = FORMATS.get(name.lower())
    if found is None:
        raise InvalidInput(f"there is no format {name[:40]!r}; use one of {', '.join(FORMATS)}")
    return found


def _keyed(papers: Iterable[PaperFacts]) -> Iterator[tuple[PaperFacts, str]]:
    """Each paper with a key to cite it by that no other of the file has: `ito2026fast`, `ito2026fasta`."""
    seen: dict[str, int] = {}
    for paper in papers:
        key = cite_key(paper)
        number = seen[key] = seen.get(key, 0) + 1
        yield paper, key if number == 1 else f"{key}{_letters(number - 1)}"


def _letters(number: int) -> str:
    found = ""
    while number:
        number, rest = divmod(number - 1, 26)
        found = chr(ord("a") + rest) + found
    return found


def _bibtex(papers: Iterable[PaperFacts]) -> Iterator[str]:
    for number, (paper, key) in enumerate(_keyed(papers)):
        yield ("\n" if number else "") + bibtex(paper, key=key)


def _ris(papers: Iterable[PaperFacts]) -> Iterator[str]:
    for number, (paper, key) in enumerate(_keyed(papers)):
        yield ("\r\n" if number else "") + ris(paper, key=key)


def _csl(papers: Iterable[PaperFacts]) -> Iterator[str]:
    before = "["
    for paper, key in _keyed(papers):
        yield before + "\n" + json.dumps(csl(paper, key=key), ensure_ascii=False)
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _jsonl(papers: Iterable[PaperFacts]) -> Iterator[str]:
    for paper in papers:
        yield json.dumps(paper_json(paper), ensure_ascii=False) + "\n"


def _csv(papers: Iterable[PaperFacts]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for paper in papers:
        writer.writerow([cell(value) for value in _row(paper)])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _row(paper: PaperFacts) -> list[object]:
    facts = paper_json(paper)
    best = max(paper.repos, key=lambda repo: repo.stars if repo.stars is not None else -1, default=None)
    facts |= {"code": best.url if best else None, "stars": best.stars if best else None}
    return [facts[name] for name in COLUMNS]


def cell(value: object) -> str:
    """A value as a spreadsheet may safely show it: text that it would take for a formula is marked as text by `'`."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    text = "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = text.replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA[:4]) else text


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format("bibtex", "application/x-bibtex", "bib", _bibtex),
        Format("ris", "application/x-research-info-systems", "ris", _ris),
        Format("csl", "application/vnd.citationstyles.csl+json", "json", _csl),
        Format("csv", "text/csv", "csv", _csv),
        Format("jsonl", "application/jsonl", "jsonl", _jsonl),
    )
}
"""Every format by its name."""
