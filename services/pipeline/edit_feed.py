"""Editing a feed: it is read at another address from now on, and stays the feed it is."""

from __future__ import annotations

from dataclasses import replace

from config.catalogue import FeedSpec
from services.domain.errors import BroadsheetError, InvalidInput
from services.domain.papers import ParsedFeed
from services.domain.urls import without_keys
from services.domain.users import Actor
from services.pipeline.acts import acting, note
from services.pipeline.add_feed import Wanted, prepare, refuse_twins, request
from services.runtime import Runtime
from services.storage import feeds
from services.storage.tables import Feed

ASKED_FOR = ("query", "id_list")
"""Parameters that say what is asked for: an address that says one of them has no use for the other."""


def edit_feed(
    rt: Runtime, actor: Actor, name: str, url: str, *, check: bool = True
) -> tuple[Feed, ParsedFeed | None]:  # fmt: skip
    """Give a feed another address; with `check` it is fetched there once first. Returns it with what was found.

    Its name, papers and history stay; its failures were those of the old address. Raises `InvalidInput` for an address
    that cannot be used, `NotFound` where there is no such feed.
    """
    try:
        spec, found = as_edited(rt, name, url, check=check)
    except BroadsheetError as error:
        note(rt, actor, "feed.edit", name, outcome="failed", detail=str(error))
        raise
    with acting(rt, actor, "feed.edit", name) as (session, said):
        feed = feeds.get(session, name)
        _editable(feed)
        refuse_twins(session, spec)
        said.before = {"url": feed.url, "params": dict(feed.params)}
        said.after = {"url": spec.url, "params": dict(spec.params)}
        feeds.update_feed(
            session, feed.id or 0, url=spec.url, params=dict(spec.params), failures=0, last_error=None,
            ttl_minutes=None, next_check_at=rt.now(),
        )  # fmt: skip
    with rt.reading() as session:
        return feeds.get(session, name), found


def as_edited(rt: Runtime, name: str, url: str, *, check: bool) -> tuple[FeedSpec, ParsedFeed | None]:
    """The feed as it will be at another address, and what a look at it there found."""
    with rt.reading() as session:
        feed = feeds.get(session, name)
    _editable(feed)
    if not url:
        raise InvalidInput("give the feed's new address")
    wanted = Wanted(url=url, name=name, title=feed.title, params={})
    spec, found = prepare(rt, wanted, check=check, instead=f"feeds edit {name}", changes="change")
    if spec.kind != feed.kind:
        raise InvalidInput(
            f"{name} is of the kind {feed.kind}, and {without_keys(url)} of {spec.kind}: add it as a feed of its own, "
            f"`broadsheet feeds add {without_keys(url)}`"
        )
    kept = {key: value for key, value in feed.params.items() if key not in ASKED_FOR}
    spec = replace(spec, params={**kept, **spec.params})
    request(rt, spec)  # with all of its parameters it can be asked for
    return spec, found


def _editable(feed: Feed) -> None:
    if feed.retired:
        raise InvalidInput(f"{feed.name} is gone or was removed; add it again first, with the new address")
    if feed.origin == "catalogue":
        raise InvalidInput(f"{feed.name} is written in the feeds.toml in use: change its address there")
