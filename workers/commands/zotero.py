"""`broadsheet papers zotero`: papers into a Zotero library."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.commands.opening import opened
from workers.commands.options import Json, Limit, Since, Until, epilog
from workers.commands.output import counted, emit_json, say, warn

EPILOG = epilog(
    "broadsheet papers zotero --saved-by 1",
    "broadsheet papers zotero --query 'author:\"Kenji Ito\"' --since 2026-11-01 --collection ABCD2345",
)
MOST = 500


def send_papers(
    query: Annotated[
        str, typer.Option("--query", "-q", help="What to look for, as in a subscription.", show_default=False)
    ] = "",
    saved_by: Annotated[
        int | None,
        typer.Option("--saved-by", metavar="ID", help="What the reader of a subscription saved.", show_default=False),
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    collection: Annotated[
        str,
        typer.Option(metavar="KEY", help="Put them into this collection: the end of its address.", show_default=False),
    ] = "",
    as_json: Json = False,
) -> None:
    """Send papers to the Zotero library that is set up; those it has already stay as they are."""
    from itertools import islice

    from services.domain.queries import parse_query
    from services.pipeline import feedback
    from services.pipeline.zotero import send_to_zotero
    from services.storage import search, subscribers

    if (saved_by is None) == (not query and since is None):
        raise typer.BadParameter("say which papers: --saved-by ID, or --query or --since")
    with opened() as rt:
        now = rt.now()
        with rt.reading() as session:
            if saved_by is not None:
                subscribers.get_subscription(session, saved_by)
                papers = feedback.saved(session, saved_by, now=now)[:limit]
            else:
                wanted = parse_query(query, now.date())
                found = search.find_papers(session, wanted, now=now, since=since, until=until)
                papers = list(islice(found, limit or MOST))
        sent = send_to_zotero(rt, papers, collection=collection)
    if as_json:
        emit_json(
            {"added": sent.added, "known": sent.known, "refused": [{"key": k, "reason": w} for k, w in sent.refused]}
        )
    else:
        for key, why in sent.refused:
            warn(f"{key}: {why}")
        say(f"{counted(sent.added, 'paper')} added, {sent.known} known, {len(sent.refused)} refused.")
    if sent.refused:
        raise typer.Exit(1)
