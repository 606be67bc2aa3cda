"""`broadsheet feeds add`: a feed is looked at before it is added."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.catalogue import FeedSpec
from workers.commands.feeds import feed_json
from workers.commands.opening import opened
from workers.commands.options import Json, epilog
from workers.commands.output import counted, emit_json, note, say, warn

if TYPE_CHECKING:
    from services.domain.feeds import FeedRequest
    from services.domain.papers import ParsedFeed
    from services.runtime import Runtime
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
    from config.catalogue import NAME
    from services.domain.errors import InvalidInput, UpstreamError
    from services.pipeline.opml import recognise
    from services.storage import feeds

    given = _params(params or [])
    given |= {key: value for key, value in (("query", query), ("category", category)) if value}
    if not url and not kind:
        raise typer.BadParameter("give the address of a feed, or --kind with its parameters", param_hint="URL")
    if name and not NAME.fullmatch(name):
        raise typer.BadParameter(
            f"{name!r} may hold a-z, 0-9, . _ - and begins with a letter or digit", param_hint="--name"
        )
    with opened(sync=True) as rt:
        if url and not kind:
            kind, url, recognised = recognise(url, rt.urls)
            given = recognised | given
        spec = FeedSpec(
            name=name or name_for(kind, url, given), kind=kind, title=title, url=url,
            interval_minutes=interval or 60, interval_fixed=interval is not None, history_days=history,
            paused=paused, params=given,
        )  # fmt: skip
        request = _request(rt, spec)
        found: ParsedFeed | None = None
        if check:
            try:
                found = _look(rt, spec, request)
            except UpstreamError as error:
                raise InvalidInput(f"{error}\nNothing was added. --no-check adds it all the same.") from error
        spec = titled(spec, title or (found.title if found else None) or spec.name, named=bool(name))
        with rt.writing() as session:
            feed = _add(rt, session, spec)
        with rt.reading() as session:
            feed = feeds.get(session, feed.name)
    if as_json:
        emit_json(feed_json(feed) | {"found": _found_json(found)})
        return
    if found is not None:
        _show_found(found)
    say(f"Added {feed.name} ({feed.kind}), asked every {feed.interval_minutes} minutes.", style="green")
    note(f"Fetch it now: broadsheet feeds fetch {feed.name}")


def _params(pairs_given: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs_given:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--set")
        found[key.strip()] = value.strip()
    return found


def name_for(kind: str, url: str, params: Mapping[str, str]) -> str:
    """A name from what the feed is: its host and path, or its kind and parameters."""
    from urllib.parse import urlsplit

    if url:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.").removeprefix("feeds.")
        text = f"{host} {re.sub(r'(?i)(index|feed|rss|atom)?(.xml|.json|.rdf)?$', '', parts.path)}"
    else:
        text = f"{kind.partition('_')[0]} {' '.join(params.values())}"
    return (re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "feed")[:50].strip("-")


def titled(spec: FeedSpec, title: str, *, named: bool) -> FeedSpec:
    """The feed's own title gives the name, where nobody chose one and the title is short enough to be one."""
    from dataclasses import replace

    name = spec.name
    if not named and spec.url:
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        name = slug if 2 < len(slug) <= 40 else name
    return replace(spec, title=title[:200], name=name)


def _request(rt: Runtime, spec: FeedSpec) -> FeedRequest:
    """What a fetch of it would ask for; `InvalidInput` when it lacks something."""
    from services.domain.feeds import FeedInfo
    from services.upstreams import kinds

    upstream = kinds.for_kind(spec.kind)
    batch = rt.now().date().isoformat() if upstream.by_day else ""
    feed = FeedInfo(name=spec.name, kind=spec.kind, url=spec.url, params=spec.params)
    return upstream.request(feed, rt.urls, batch=batch)


def _look(rt: Runtime, spec: FeedSpec, request: FeedRequest) -> ParsedFeed:
    """Fetch and parse it once, without writing anything down."""
    from services.domain.errors import InvalidInput, MalformedDocument
    from services.domain.feeds import DocumentInfo
    from services.upstreams import discover, kinds
    from services.upstreams.http import Fetched

    answer = rt.get(request)
    assert isinstance(answer, Fetched)
    about = DocumentInfo(
        feed=spec.name, kind=spec.kind, url=answer.final_url, content_type=answer.headers.get("content-type", ""),
        fetched_at=rt.now(), batch=rt.now().date().isoformat() if kinds.for_kind(spec.kind).by_day else "",
    )  # fmt: skip
    try:
        return kinds.for_kind(spec.kind).parse(answer.body, about)
    except MalformedDocument as error:
        if spec.kind != "rss" or not discover.is_page(answer.body, about.content_type):
            raise
        named = discover.feeds_of_page(answer.body, answer.final_url)
        addresses = [f"{one.url}{f'  ({one.title})' if one.title else ''}" for one in named]
        if not addresses:
            addresses = _found_at_usual_places(rt, spec, answer.final_url)
        if not addresses:
            raise
        choices = "\n".join(f"  broadsheet feeds add {address}" for address in addresses)
        raise InvalidInput(f"{spec.url} is a web page, not a feed. It has:\n{choices}") from error


def feeds_named_by(page: bytes, base: str) -> list[str]:
    """The addresses of the feeds a web page names, at most eight (see `services.upstreams.discover`)."""
    from services.upstreams import discover

    return [one.url for one in discover.feeds_of_page(page, base)]


PLACES_TRIED = 9
"""Usual places at which a feed is looked for, where a page names none."""


def _found_at_usual_places(rt: Runtime, spec: FeedSpec, page: str) -> list[str]:
    """The first usual place of a site at which there is a feed."""
    from services.domain.errors import UpstreamError
    from services.domain.feeds import DocumentInfo, FeedInfo
    from services.upstreams import discover, kinds
    from services.upstreams.http import Fetched

    rss = kinds.for_kind("rss")
    for place in discover.usual_places(page)[:PLACES_TRIED]:
        try:
            answer = rt.get(rss.request(FeedInfo(name=spec.name, kind="rss", url=place), rt.urls))
            if isinstance(answer, Fetched):
                rss.parse(answer.body, DocumentInfo(feed=spec.name, kind="rss", url=place, fetched_at=rt.now()))
                return [place]
        except UpstreamError:
            continue
    return []


def _add(rt: Runtime, session: Any, spec: FeedSpec) -> Feed:
    """Add the feed; one of that name that was removed comes back with its history."""
    from services.domain.errors import InvalidInput
    from services.storage import feeds

    old = feeds.find(session, spec.name)
    if old is None or not old.retired:
        same = next(
            (
                f
                for f in feeds.list_all(session)
                if (f.kind, f.url, dict(f.params)) == (spec.kind, spec.url, dict(spec.params))
            ),
            None,
        )
        if same is not None:
            raise InvalidInput(f"that is the feed {same.name} already; `broadsheet feeds list` shows it")
        return feeds.add(session, spec, now=rt.now())
    if old.origin == "catalogue":
        raise InvalidInput(f"{spec.name} belongs to a feed of feeds.toml; choose another --name")
    feeds.update_feed(
        session, old.id or 0, kind=spec.kind, title=spec.title, url=spec.url, params=dict(spec.params),
        interval_minutes=spec.interval_minutes, interval_fixed=spec.interval_fixed,
        history_days=spec.history_days, paused=spec.paused, retired=False,
        failures=0, last_error=None, next_check_at=rt.now(),
    )  # fmt: skip
    return old


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
