"""Adding a feed: it is looked at before it is added, so that a wrong address is found out at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sqlmodel import Session

from config.catalogue import NAME, FeedSpec
from services.domain.errors import InvalidInput, MalformedDocument, UpstreamError
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest
from services.domain.papers import ParsedFeed
from services.domain.urls import whole, without_keys
from services.domain.users import Actor
from services.pipeline.acts import acting
from services.pipeline.opml import recognise
from services.runtime import Runtime
from services.storage import feeds
from services.storage.tables import Feed
from services.upstreams import discover, kinds
from services.upstreams.http import Fetched


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A feed as somebody asks for it; what is empty is found out."""

    url: str = ""
    kind: str = ""
    name: str = ""
    title: str = ""
    params: Mapping[str, str]
    interval_minutes: int | None = None
    history_days: int = 3
    paused: bool = False


def add_feed(rt: Runtime, actor: Actor, wanted: Wanted, *, check: bool = True) -> tuple[Feed, ParsedFeed | None]:
    """Add a feed; with `check` it is fetched once first. Returns it with what was found in it.

    Raises `InvalidInput` for one that cannot be used, or is there already.
    """
    spec, found = prepare(rt, wanted, check=check)
    with acting(rt, actor, "feed.add", spec.name) as (session, said):
        said.after = {"kind": spec.kind, "url": spec.url, "params": dict(spec.params), "paused": spec.paused}
        add(rt, session, spec)
    with rt.reading() as session:
        return feeds.get(session, spec.name), found


def prepare(
    rt: Runtime, wanted: Wanted, *, check: bool, instead: str = "feeds add", changes: str = "add"
) -> tuple[FeedSpec, ParsedFeed | None]:
    """The feed as it will be added, and what a first look at it found.

    An error names the command that would do, `instead` with an address, and what it `changes`.
    """
    if not wanted.url and not wanted.kind:
        raise InvalidInput("give the address of a feed, or a kind with its parameters")
    if wanted.name and not NAME.fullmatch(wanted.name):
        raise InvalidInput(f"{wanted.name!r} may hold a-z, 0-9, . _ - and begins with a letter or digit")
    kind, url, params = wanted.kind, whole(wanted.url), dict(wanted.params)
    if url and not kind:
        kind, url, recognised = recognise(url, rt.urls)
        params = recognised | params
    spec = FeedSpec(
        name=wanted.name or name_for(kind, url, params), kind=kind, title=wanted.title, url=url,
        interval_minutes=wanted.interval_minutes or 60, interval_fixed=wanted.interval_minutes is not None,
        history_days=wanted.history_days, paused=wanted.paused, params=params,
    )  # fmt: skip
    asked = request(rt, spec)
    found: ParsedFeed | None = None
    if check:
        try:
            found = look(rt, spec, asked, instead)
        except UpstreamError as error:
            words = f"Nothing was {changes.removesuffix('e')}ed. --no-check {changes}s it all the same."
            raise InvalidInput(f"{error}\n{words}") from error
    title = wanted.title or (found.title if found else None) or spec.name
    return titled(spec, title, named=bool(wanted.name)), found


def name_for(kind: str, url: str, params: Mapping[str, str]) -> str:
    """A name from what the feed is: its host and path, or its kind and parameters."""
    if url:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.").removeprefix("feeds.")
        text = f"{host} {re.sub(r'(?i)(index|feed|rss|atom)?(.xml|.json|.rdf)?$', '', parts.path)}"
    else:
        text = f"{kind.partition('_')[0]} {' '.join(params.values())}"
    return (re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "feed")[:50].strip("-")


def titled(spec: FeedSpec, title: str, *, named: bool) -> FeedSpec:
    """The feed's own title gives the name, where nobody chose one and the title is short enough to be one."""
    name = spec.name
    if not named and spec.url:
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        name = slug if 2 < len(slug) <= 40 else name
    return replace(spec, title=title[:200], name=name)


def request(rt: Runtime, spec: FeedSpec) -> FeedRequest:
    """What a fetch of it would ask for; `InvalidInput` when it lacks something."""
    upstream = kinds.for_kind(spec.kind)
    batch = rt.now().date().isoformat() if upstream.by_day else ""
    feed = FeedInfo(name=spec.name, kind=spec.kind, url=spec.url, params=spec.params)
    return upstream.request(feed, rt.urls, batch=batch)


def look(rt: Runtime, spec: FeedSpec, asked: FeedRequest, instead: str) -> ParsedFeed:
    """Fetch and parse it once, without writing anything down. For a page that names feeds `instead` is what to do."""
    answer = rt.get(asked)
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
        choices = "\n".join(f"  broadsheet {instead} {address}" for address in addresses)
        raise InvalidInput(f"{without_keys(spec.url)} is a web page, not a feed. It has:\n{choices}") from error


PLACES_TRIED = 9
"""Usual places at which a feed is looked for, where a page names none."""


def _found_at_usual_places(rt: Runtime, spec: FeedSpec, page: str) -> list[str]:
    """The first usual place of a site at which there is a feed."""
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


def add(rt: Runtime, session: Session, spec: FeedSpec) -> Feed:
    """Add the feed; one of that name that was removed comes back with its history."""
    old = feeds.find(session, spec.name)
    if old is None or not old.retired:
        refuse_twins(session, spec)
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


def refuse_twins(session: Session, spec: FeedSpec) -> None:
    """`InvalidInput` where there is a feed that asks for the very same."""
    wanted = (spec.kind, spec.url, dict(spec.params))
    same = next((f.name for f in feeds.list_all(session) if (f.kind, f.url, dict(f.params)) == wanted), None)
    if same is not None:
        raise InvalidInput(f"that is the feed {same} already; `broadsheet feeds list` shows it")
