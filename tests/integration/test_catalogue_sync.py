"""The catalogue and the rows that follow from it: what the file says holds, what a person added stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from config.catalogue import SHIPPED, Catalogue, CatalogueError, DigestSpec, FeedSpec, load_catalogue
from services.domain.errors import InvalidInput, NotFound
from services.pipeline.subscribe import subscribe, sync_catalogue
from services.runtime import Runtime
from services.storage import feeds, subscribers
from services.storage.tables import Feed, Subscriber, Subscription
from services.upstreams import kinds
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock

DAILY = FeedSpec(name="daily-papers", kind="hf_papers", title="Daily Papers")
BLOG = FeedSpec(name="blog", kind="rss", title="A blog", url="https://blog.example/feed.xml")
DIGEST = DigestSpec(name="Mornings", to="ada@example.org", at="08:00", timezone="Europe/Berlin", feeds=("blog",))


def sync(rt: Runtime, *specs: FeedSpec, digests: tuple[DigestSpec, ...] = ()) -> None:
    with rt.writing() as session:
        sync_catalogue(rt, session, Catalogue(feeds=specs, digests=digests))


def by_name(rt: Runtime) -> dict[str, Feed]:
    return {f.name: f for f in all_rows(rt, Feed)}


def test_the_catalogue_becomes_rows_and_the_same_again_changes_nothing(rt: Runtime, clock: Clock) -> None:
    sync(rt, DAILY, BLOG, digests=(DIGEST,))
    first = [row.model_dump() for model in (Feed, Subscriber, Subscription) for row in all_rows(rt, model)]
    assert {f.origin for f in all_rows(rt, Feed)} == {"catalogue"}
    clock.advance(hours=5)
    sync(rt, DAILY, BLOG, digests=(DIGEST,))
    assert [row.model_dump() for model in (Feed, Subscriber, Subscription) for row in all_rows(rt, model)] == first


def test_what_the_file_changes_changes_and_what_was_learned_stays(rt: Runtime, clock: Clock) -> None:
    sync(rt, BLOG)
    row = by_name(rt)["blog"]
    clock.advance(hours=1)
    with rt.writing() as session:
        feeds.update_feed(session, row.id or 0, failures=3, next_check_at=clock.now(), paused=True)
    sync(rt, replace(BLOG, title="Renamed", interval_minutes=15))
    after = by_name(rt)["blog"]
    assert (after.id, after.title, after.interval_minutes) == (row.id, "Renamed", 15)
    assert (after.failures, after.next_check_at, after.paused) == (3, clock.now(), True)


def test_a_feed_taken_out_is_retired_and_comes_back_with_its_history(rt: Runtime) -> None:
    sync(rt, DAILY, BLOG)
    number = by_name(rt)["blog"].id
    sync(rt, DAILY)
    assert by_name(rt)["blog"].retired
    sync(rt, DAILY, BLOG)
    assert (by_name(rt)["blog"].retired, by_name(rt)["blog"].id) == (False, number)


def test_feeds_added_by_hand_are_left_alone(rt: Runtime) -> None:
    add_feed(rt, "mine", "rss", url="https://mine.example/feed")
    sync(rt, DAILY)
    sync(rt)
    assert not by_name(rt)["mine"].retired
    assert by_name(rt)["daily-papers"].retired


def test_a_digest_of_the_file_needs_no_opt_in(rt: Runtime) -> None:
    sync(rt, BLOG, digests=(DIGEST,))
    (person,), (wanted,) = all_rows(rt, Subscriber), all_rows(rt, Subscription)
    assert (person.state, person.address, person.channel) == ("active", "ada@example.org", "email")
    assert (wanted.name, wanted.feeds, wanted.timezone, wanted.origin) == (
        "Mornings", ["blog"], "Europe/Berlin", "catalogue"
    )  # fmt: skip
    assert wanted.next_edition_at > rt.now()


def test_a_digest_changed_in_the_file_is_changed_and_its_hour_moved(rt: Runtime) -> None:
    sync(rt, BLOG, digests=(DIGEST,))
    (before,) = all_rows(rt, Subscription)
    sync(rt, BLOG, digests=(replace(DIGEST, budget=5),))
    (same_hour,) = all_rows(rt, Subscription)
    assert (same_hour.budget, same_hour.next_edition_at) == (5, before.next_edition_at)
    sync(rt, BLOG, digests=(replace(DIGEST, at="19:00"),))
    assert all_rows(rt, Subscription)[0].next_edition_at != before.next_edition_at
    assert len(all_rows(rt, Subscription)) == 1


def test_the_file_mutes_a_feed_or_leaves_it_to_whoever_did_it_by_hand(rt: Runtime) -> None:
    sync(rt, BLOG, replace(DAILY, mute_alerts=True))
    assert {name: f.mute_alerts for name, f in by_name(rt).items()} == {"blog": False, "daily-papers": True}
    with rt.writing() as session:
        feeds.update_feed(session, by_name(rt)["blog"].id or 0, mute_alerts=True)
    sync(rt, BLOG, replace(DAILY, mute_alerts=False))
    assert {name: f.mute_alerts for name, f in by_name(rt).items()} == {"blog": True, "daily-papers": False}


def test_a_digest_of_the_file_may_bring_news_alone(rt: Runtime) -> None:
    sync(rt, BLOG, digests=(DIGEST, replace(DIGEST, name="News", news_alone=True)))
    assert {s.name: s.news_alone for s in all_rows(rt, Subscription)} == {"Mornings": False, "News": True}


@pytest.mark.parametrize("line", ["mute_alerts = 'yes'", "paused = 1"])
def test_a_switch_that_is_neither_true_nor_false_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "feeds.toml"
    path.write_text(f"[[feed]]\nname = 'blog'\nkind = 'rss'\nurl = 'https://blog.example/feed'\n{line}\n")
    with pytest.raises(CatalogueError, match="must be true or false"):
        load_catalogue(path)


def test_an_address_that_lacks_its_key_is_refused(rt: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "feeds.toml"
    path.write_text("[[feed]]\nname = 'blog'\nkind = 'rss'\nurl = 'https://blog.example/feed?key=***'\n")
    with pytest.raises(CatalogueError, match="with its key"):
        load_catalogue(path)
    with pytest.raises(InvalidInput, match="with its key"):
        sync(rt, replace(BLOG, url="https://blog.example/feed?u=https%3A%2F%2Fx.example%3Fkey%3D***"))


def test_a_digest_taken_out_is_removed_and_comes_back(rt: Runtime) -> None:
    sync(rt, BLOG, digests=(DIGEST,))
    sync(rt, BLOG)
    assert all_rows(rt, Subscription)[0].state == "removed"
    sync(rt, BLOG, digests=(DIGEST,))
    assert [s.state for s in all_rows(rt, Subscription)] == ["active"]


def test_a_digest_its_reader_removed_stays_removed(rt: Runtime) -> None:
    sync(rt, BLOG, digests=(DIGEST,))
    (wanted,) = all_rows(rt, Subscription)
    with rt.writing() as session:
        subscribers.update_subscription(session, wanted.id or 0, state="removed")
    for digests in ((DIGEST,), (), (DIGEST,)):
        sync(rt, BLOG, digests=digests)
        assert [s.state for s in all_rows(rt, Subscription)] == ["removed"]


def test_who_left_a_digest_of_the_file_is_not_brought_back_by_the_next_start(rt: Runtime) -> None:
    """The operator's file vouches for an address; its owner's own word weighs more."""
    sync(rt, BLOG, digests=(DIGEST,))
    (person,) = all_rows(rt, Subscriber)
    with rt.writing() as session:
        subscribers.set_state(session, person.id or 0, "unsubscribed")
    sync(rt, BLOG, digests=(DIGEST,))
    assert all_rows(rt, Subscriber)[0].state == "unsubscribed"


def test_subscriptions_made_by_hand_are_left_alone(rt: Runtime) -> None:
    with rt.writing() as session:
        subscribe(rt, session, to="bram@example.org", confirmed=True)
    sync(rt, BLOG)
    assert [s.state for s in all_rows(rt, Subscription)] == ["active"]


def test_a_digest_of_an_unknown_feed_is_refused_by_name(rt: Runtime) -> None:
    with pytest.raises(NotFound, match="'blog'"):
        sync(rt, DAILY, digests=(DIGEST,))
    assert all_rows(rt, Feed) == []  # all or nothing


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"to": "not an address"}, "address"),
        ({"cadence": "hourly"}, "hourly"),
        ({"at": "25:00"}, "25:00"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"budget": 0}, "budget"),
        ({"query": 'title:"unclosed'}, "quotation mark"),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused_and_nothing_written(
    rt: Runtime, values: dict[str, object], words: str
) -> None:
    wanted = {"to": "ada@example.org", **values}
    with pytest.raises(InvalidInput, match=words), rt.writing() as session:
        subscribe(rt, session, confirmed=True, **wanted)  # type: ignore[arg-type]
    assert all_rows(rt, Subscriber) == all_rows(rt, Subscription) == []


def test_an_unconfirmed_subscriber_is_pending(rt: Runtime) -> None:
    with rt.writing() as session:
        subscribe(rt, session, to="ada@example.org")
    assert all_rows(rt, Subscriber)[0].state == "pending"


def test_the_shipped_catalogue_is_valid_and_every_feed_can_be_asked(make_runtime: MakeRuntime) -> None:
    rt = make_runtime()
    catalogue = load_catalogue(SHIPPED)
    assert "daily-papers" in {f.name for f in catalogue.feeds}
    sync(rt, *catalogue.feeds, digests=catalogue.digests)
    from services.pipeline.fetch import info

    for feed in all_rows(rt, Feed):
        upstream = kinds.for_kind(feed.kind)
        request = upstream.request(info(feed), rt.urls, batch="2026-11-24" if upstream.by_day else "")
        assert request.url.startswith("https://")


def test_the_home_folders_own_file_is_used_where_there_is_one(make_runtime: MakeRuntime, home: Path) -> None:
    rt = make_runtime()
    assert {f.name for f in rt.catalogue().feeds} == {f.name for f in load_catalogue(SHIPPED).feeds}
    (home / "feeds.toml").write_text('[[feed]]\nname = "own"\nkind = "rss"\nurl = "https://own.example/feed"\n')
    assert [f.name for f in rt.catalogue().feeds] == ["own"]
    (home / "feeds.toml").write_text("[[feed]\n")
    with pytest.raises(CatalogueError, match="not valid TOML"):
        rt.catalogue()
