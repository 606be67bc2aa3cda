"""`broadsheet feeds add` and `feeds edit`: a feed is looked at before it is added, or read at another address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.catalogue import NAME
from workers.commands.feeds import feed_json
from workers.commands.opening import me, opened
from workers.commands.options import Json, epilog
from workers.commands.output import counted, emit_json, note, say, warn

if TYPE_CHECKING:
    from services.domain.papers import ParsedFeed
    from services.storage.tables import Feed


EPILOG = epilog(
    "broadsheet feeds add https://example.org/blog/feed.xml --name lab-blog",
    "broadsheet feeds add --kind arxiv_api --query 'cat:cs.CL AND ti:speculative'",
    "broadsheet feeds add --kind arxiv_rss --category cs.CV",
)


def add_feed(
    url: Annotated[str, typer.Argument(help="Address of an RSS, Atom or JSON feed.", show_default=False)] = "",
    name: Annotated[
        str, typer.Option("--name", help="Its name here: a-z, 0-9, . _ -", show_default="from its title")
    ] = "",
    kind: Annotated[
        str,
        typer.Option(
            "--kind", help="hf_papers, arxiv_api, arxiv_rss, arxiv_oai, biorxiv, rss or records.", show_default="rss"
        ),
    ] = "",
    query: Annotated[
        str, typer.Option("--query", help="arxiv_api: a search, as arXiv's API takes it.", show_default=False)
    ] = "",
    category: Annotated[
        str, typer.Option("--category", help="arxiv_rss: cs.CL, or cs.CL+cs.LG.", show_default=False)
    ] = "",
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Another parameter of the kind (may be repeated).", show_default=False
        ),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="What readers see.", show_default="the feed's own")] = "",
    interval: Annotated[
        int | None,
        typer.Option(
            "--interval",
            min=1,
            max=44_640,
            help="Minutes between two looks.",
            show_default="60, and then by the feed's own rhythm",
        ),
    ] = None,
    history: Annotated[
        int,
        typer.Option("--history", min=0, max=3650, help="Days the first fetch goes back, where a source has a past."),
    ] = 3,
    paused: Annotated[bool, typer.Option("--paused", help="Add it, but do not poll it yet.")] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Fetch it once first, and show what is in it.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Add a feed; it is fetched once first, so that a wrong address is found out now."""
    from services.pipeline.add_feed import Wanted
    from services.pipeline.add_feed import add_feed as add

    given = _params(params or [])
    given |= {key: value for key, value in (("query", query), ("category", category)) if value}
    if not url and not kind:
        raise typer.BadParameter("give the address of a feed, or --kind with its parameters", param_hint="URL")
    if name and not NAME.fullmatch(name):
        raise typer.BadParameter(
            f"{name!r} may hold a-z, 0-9, . _ - and begins with a letter or digit", param_hint="--name"
        )
    wanted = Wanted(
        url=url, kind=kind, name=name, title=title, params=given, interval_minutes=interval, history_days=history,
        paused=paused,
    )  # fmt: skip
    with opened(sync=True) as rt:
        feed, found = add(rt, me(), wanted, check=check)
    _tell(feed, found, f"Added {feed.name} ({feed.kind}), asked every {feed.interval_minutes} minutes.", as_json)


EDIT_EPILOG = epilog(
    "broadsheet feeds edit lab-blog https://lab.example/new/feed.xml",
    "broadsheet feeds edit lab-blog 'https://lab.example/feed?api_key=NEW' --no-check",
)


def edit_feed(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A feed, as `feeds list` shows it.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="Its new address, whole: with its key, if it has one.")],
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Fetch it there once first, and show what is in it.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Read a feed at another address from now on; its name, papers and history stay."""
    from services.pipeline.edit_feed import edit_feed as edit

    with opened(sync=True) as rt:
        feed, found = edit(rt, me(), name, url, check=check)
    _tell(feed, found, f"{feed.name} is read at its new address from now on; its papers and history stay.", as_json)


def _tell(feed: Feed, found: ParsedFeed | None, done: str, as_json: bool) -> None:
    """What was done with a feed, and what a look at it found."""
    if as_json:
        emit_json(feed_json(feed) | {"found": _found_json(found)})
        return
    if found is not None:
        _show_found(found)
    say(done, style="green")
    note(f"Fetch it now: broadsheet feeds fetch {feed.name}")


def _params(pairs_given: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs_given:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--set")
        found[key.strip()] = value.strip()
    return found


def feeds_named_by(page: bytes, base: str) -> list[str]:
    """The addresses of the feeds a web page names, at most eight (see `services.upstreams.discover`)."""
    from services.upstreams import discover

    return [one.url for one in discover.feeds_of_page(page, base)]


def _found_json(found: ParsedFeed | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "entries": found.seen, "rejected": [{"reason": r.reason, "entry": r.entry} for r in found.rejected],
        "titles": [paper.title for paper in found.papers[:5]], "notes": list(found.notes),
    }  # fmt: skip


def _show_found(found: ParsedFeed) -> None:
    said = counted(found.seen, "entry", "entries")
    say(f"Found {said}{' today' if found.quiet else ''}{': ' + found.title if found.title else ''}")
    for paper in found.papers[:3]:
        say(f"  • {paper.title}")
    if found.rejected:
        unusable = counted(len(found.rejected), "entry", "entries")
        warn(f"  {unusable} cannot be used, the first because {found.rejected[0].reason}")
