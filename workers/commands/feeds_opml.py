"""`broadsheet feeds import-opml` and `export-opml`: lists of feeds as readers exchange them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from config.catalogue import FeedSpec
from workers.commands.opening import opened
from workers.commands.options import Json, epilog
from workers.commands.output import counted, emit, emit_json, note, say, warn

IMPORT_EPILOG = epilog("broadsheet feeds import-opml subscriptions.opml")
EXPORT_EPILOG = epilog("broadsheet feeds export-opml > feeds.opml")


def import_opml(
    file: Annotated[Path, typer.Argument(help="An OPML file, as feed readers export it.")],
    interval: Annotated[int, typer.Option("--interval", min=1, max=44_640, help="Minutes between two looks.")] = 180,
    as_json: Json = False,
) -> None:
    """Add the feeds of an OPML list; those known already are left as they are."""
    from services.domain.urls import without_keys
    from services.pipeline.add_feed import name_for, titled
    from services.pipeline.imports import read_file
    from services.pipeline.opml import read_opml
    from services.storage import feeds

    results: list[dict[str, Any]] = []
    with opened(sync=True) as rt:
        outlines = read_opml(read_file(file), rt.urls)
        with rt.writing() as session:
            known = {(f.kind, f.url, tuple(sorted(f.params.items()))): f.name for f in feeds.list_all(session)}
            taken = {f.name for f in feeds.list_all(session, retired=True)}
            for outline in outlines:
                same = known.get((outline.kind, outline.url, tuple(sorted(outline.params.items()))))
                if outline.problem or same:
                    results.append(
                        {
                            "title": outline.title,
                            "url": without_keys(outline.url),
                            "name": same,
                            "state": "refused" if outline.problem else "known",
                            "error": outline.problem,
                        }
                    )
                    continue
                name = _free(
                    titled(
                        FeedSpec(
                            name=name_for(outline.kind, outline.url, outline.params),
                            kind=outline.kind,
                            title="",
                            url=outline.url,
                        ),
                        outline.title,
                        named=False,
                    ).name,
                    taken,
                )
                taken.add(name)
                feeds.add(
                    session,
                    FeedSpec(
                        name=name,
                        kind=outline.kind,
                        title=outline.title or name,
                        url=outline.url,
                        params=outline.params,
                        interval_minutes=interval,
                    ),
                    now=rt.now(),
                )
                results.append(
                    {
                        "title": outline.title,
                        "url": without_keys(outline.url),
                        "name": name,
                        "state": "added",
                        "error": None,
                    }
                )
    refused = [r for r in results if r["error"]]
    if as_json:
        emit_json(results)
    else:
        added = [r for r in results if r["state"] == "added"]
        known_already = sum(r["state"] == "known" for r in results)
        say(f"{counted(len(added), 'feed')} added, {known_already} known already, {len(refused)} refused.")
        for one in refused:
            warn(f"refused: {one['title'] or one['url']}: {one['error']}")
        if not results:
            warn(f"{file} names no feeds.")
    if refused:
        raise typer.Exit(1)


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else next(f"{name}-{n}" for n in range(2, 10_000) if f"{name}-{n}" not in taken)


def export_opml(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; else stdout.", show_default=False)
    ] = None,
) -> None:
    """Write the feeds that any reader can use as OPML."""
    from services.pipeline.fetch import info
    from services.pipeline.opml import readable_address, write_opml
    from services.storage import feeds

    with opened(sync=True) as rt, rt.reading() as session:
        rows = feeds.list_all(session)
        text = write_opml(rows, rt.urls, now=rt.now())
        left_out = [f.name for f in rows if readable_address(info(f), rt.urls) is None]
    if out is None:
        emit(text)
    else:
        out.write_text(text, encoding="utf-8")
        note(f"{out} written.")
    if left_out:
        note(f"Left out, since no reader can use them: {', '.join(left_out)}")
