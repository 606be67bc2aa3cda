"""`broadsheet papers export`: papers for reference managers, spreadsheets and scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from workers.commands.opening import opened
from workers.commands.options import Limit, Since, Until, epilog
from workers.commands.output import counted, note

FORMATS = ("bibtex", "ris", "csl", "csv", "jsonl")
EPILOG = epilog(
    "broadsheet papers export --query 'cat:cs.CL has:code' --format bibtex --out papers.bib",
    "broadsheet papers export --since 2026-11-01 --format csv > papers.csv",
)


def _format(text: str) -> str:
    if text.lower() not in FORMATS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(FORMATS)}")
    return text.lower()


def export_papers(
    form: Annotated[
        str, typer.Option("--format", "-f", parser=_format, metavar="|".join(FORMATS), help="What to write.")
    ],
    query: Annotated[
        str, typer.Option("--query", "-q", help="What to look for, as in a subscription.", show_default=False)
    ] = "",
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="A file; without it, stdout.", show_default=False),
    ] = None,
) -> None:
    """Write papers as BibTeX, RIS, CSL-JSON, CSV or JSON Lines, newest first."""
    from itertools import islice

    from services.digests.export import write
    from services.domain.queries import parse_query
    from services.storage import search

    with opened() as rt, rt.reading() as session:
        wanted = parse_query(query, rt.now().date())
        found = islice(search.find_papers(session, wanted, now=rt.now(), since=since, until=until), limit)
        number = 0

        def counting() -> Iterable[object]:
            nonlocal number
            for paper in found:
                number += 1
                yield paper

        pieces = write(counting(), form)  # type: ignore[arg-type]
        if out is None:
            sys.stdout.reconfigure(newline="")  # type: ignore[union-attr]
            sys.stdout.writelines(pieces)
            if not number:
                note("No paper fits." if query or since or until else "No papers yet.")
            return
        part = out.with_name(f".{out.name}.{os.getpid()}.part")
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                file.writelines(pieces)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    note(f"{counted(number, 'paper')} written to {out}")
