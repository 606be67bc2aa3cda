"""`broadsheet subscriptions preview`: what a query would bring, before anybody is sent anything."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.commands.opening import opened
from workers.commands.options import Json, epilog
from workers.commands.output import Column, emit_json, note, say, table

EPILOG = epilog(
    "broadsheet subscriptions preview --query 'cat:cs.CL \"speculative decoding\" -survey'",
    "broadsheet subscriptions preview --query 'author:Ito' --days 90 --json",
)


def preview(
    query: Annotated[str, typer.Option("--query", "-q", help="The query to try.", show_default=False)],
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How many days to look back.")] = 30,
    feeds: Annotated[
        list[str] | None,
        typer.Option(
            "--feed", metavar="NAME", help="Only what this feed listed (may be repeated).", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Show so many of the papers.")] = 10,
    as_json: Json = False,
) -> None:
    """Try a query on the last days: how many papers, how many a day, and what each exclusion removes."""
    from services.domain.export import paper_json
    from services.pipeline.rules import preview_rule
    from services.storage import feeds as feed_rows

    with opened() as rt, rt.reading() as session:
        for name in feeds or ():
            feed_rows.get(session, name)
        tried = preview_rule(session, query, now=rt.now(), days=days, feeds=feeds or (), limit=limit)
    if as_json:
        emit_json(
            {
                "query": tried.query, "days": tried.days, "considered": tried.considered, "matched": tried.matched,
                "per_day": round(tried.per_day, 2), "sentence": tried.sentence(),
                "by_day": [{"day": day, "matched": number} for day, number in tried.by_day],
                "removed": [{"exclusion": what, "removes": number} for what, number in tried.removed],
                "papers": [paper_json(paper) for paper in tried.papers],
            }
        )  # fmt: skip
        return
    said = tried.sentence()
    say(said[:1].upper() + said[1:] + ".", style="bold")
    if tried.papers:
        table(
            ["Day", Column("Title", fold=True), Column("Key", from_width=70), Column("▲", right=True, from_width=90)],
            [(p.announced_on, p.title, p.key, p.upvotes) for p in tried.papers],
        )
    if tried.matched > len(tried.papers):
        note(f"The best {len(tried.papers)} of {tried.matched:,} (of {tried.considered:,} papers); --limit shows more.")
