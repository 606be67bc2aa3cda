"""Poison: what fails every time ends with the dead letters after its tries, alone; everything beside it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.domain.errors import UpstreamUnavailable
from services.domain.jobs import NewJob
from services.domain.messages import Message, Receipt
from services.domain.users import Actor
from services.pipeline import drain, enrich, redrive, schedule
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds, jobs, reports, runs
from services.storage.tables import Delivery, Feed, Fetch, Job, Repo
from services.upstreams import kinds
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, code, entry, store
from tests.fakes import WEDNESDAY, Clock, ScriptedChannel
from workers.demo.replay import Replay


def live(rt: Runtime, clock: Clock, *stages: str, hours: int = 30) -> None:
    """Work through hours of retries."""
    for _ in range(hours):
        drain.run_until_idle(rt, stages=stages or ("fetch", "parse", "enrich", "notify"), ticking=False)
        clock.advance(hours=1)


def dead(rt: Runtime) -> list[str]:
    return sorted(job.key for job in all_rows(rt, Job, state="dead"))


def left(rt: Runtime) -> list[str]:
    return [job.key for job in all_rows(rt, Job) if job.state in {"ready", "running"}]


def poisoned(act: Callable[..., Any], bad: Callable[..., bool]) -> Callable[..., Any]:
    """The same, but that what is bad raises something nobody thought of."""

    def call(*positional: Any, **named: Any) -> Any:
        if bad(*positional, **named):
            raise ZeroDivisionError("poison")
        return act(*positional, **named)

    return call


def test_a_feed_whose_answer_nobody_can_bear_leaves_the_others_alone(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = make_runtime(replay=replay)
    base = replay.urls()["BLOG_FEED_URL"]
    names = ("bad", "good")
    for name in names:
        add_feed(rt, name, kind="rss", url=f"{base}?{name}")
    monkeypatch.setattr(rt.http, "get", poisoned(rt.http.get, lambda url, **_: "bad" in url))
    for name in names:
        schedule.fetch_now(rt, name)
    live(rt, clock, "fetch", "parse")
    (key,) = dead(rt)
    assert key.startswith("bad ")
    assert left(rt) == []
    by_name = {feed.name: feed for feed in all_rows(rt, Feed)}
    assert by_name["good"].failures == 0
    assert by_name["bad"].failures == 3  # a bug's few tries
    assert "poison" in (by_name["bad"].last_error or "")


def test_a_document_nobody_can_read_leaves_the_others_alone(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = make_runtime(replay=replay)
    for name in ("bad", "good"):
        add_feed(rt, name, kind="rss", url=f"{replay.urls()['BLOG_FEED_URL']}?{name}")
        schedule.fetch_now(rt, name)
    for_kind = kinds.for_kind

    class Poisoned:
        def __init__(self, kind: str) -> None:
            self._upstream = for_kind(kind)

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._upstream, name)
            return poisoned(found, lambda _, about: about.feed == "bad") if name == "parse" else found

    monkeypatch.setattr(kinds, "for_kind", Poisoned)
    live(rt, clock, "fetch", "parse")
    states = {fetch.feed_id: fetch.state for fetch in all_rows(rt, Fetch)}
    ids = {feed.name: feed.id for feed in all_rows(rt, Feed)}
    assert (states[ids["bad"]], states[ids["good"]]) == ("failed", "parsed")
    assert len(dead(rt)) == 1
    assert left(rt) == []


@pytest.mark.parametrize("dies", [False, True], ids=["raises", "kills its worker"])
def test_a_batch_of_repositories_is_split_until_the_bad_one_is_alone(
    make_runtime: MakeRuntime, clock: Clock, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    rt = make_runtime(repo_recheck=False)
    slugs = [f"harbour/lights-{n}" for n in range(9)]
    store(rt, [entry(n, links=(code(slug),)) for n, slug in enumerate(slugs, 1)], feed=add_feed(rt, "hf"))
    ids = {repo.slug: repo.id for repo in all_rows(rt, Repo)}
    bad = ids["harbour/lights-4"]
    read: list[int] = []

    def run(rt: Runtime, claim: Any) -> None:
        if bad in claim.payload["repo_ids"]:
            raise (KeyboardInterrupt if dies else ZeroDivisionError)
        with rt.step(claim):
            read.extend(claim.payload["repo_ids"])

    handler = drain.HANDLERS["enrich_repos"]
    changed = {**drain.HANDLERS, "enrich_repos": drain.Handler(run, handler.failed, handler.policy)}
    monkeypatch.setattr(drain, "HANDLERS", changed)
    rt.add_jobs([NewJob(kind="enrich_repos", key="batch", payload={"repo_ids": sorted(ids.values())})])
    for _ in range(60):
        try:
            live(rt, clock, "enrich", hours=1)
        except KeyboardInterrupt:
            clock.advance(seconds=rt.settings.lease_s + 1)  # its worker is gone
    assert sorted(read) == sorted(set(ids.values()) - {bad})
    assert left(rt) == []
    (row,) = all_rows(rt, Repo, id=bad)
    assert row.next_check_at > rt.now() - timedelta(hours=60)  # it is asked for again, a day after it was given up
    assert row.state == "new"


def test_a_host_that_is_down_is_no_reason_to_split(make_runtime: MakeRuntime, clock: Clock, replay: Replay) -> None:
    rt = make_runtime(replay=replay)
    store(rt, [entry(n, links=(code(f"a/b{n}"),)) for n in (1, 2)], feed=add_feed(rt, "hf"))
    rt.add_jobs([NewJob(kind="enrich_repos", key="batch", payload={"repo_ids": [r.id for r in all_rows(rt, Repo)]})])
    claim = drain.claim_next(rt)
    assert claim is not None
    with rt.writing() as session:
        enrich.enrich_failed(session, claim, UpstreamUnavailable("down"), rt, True)
    assert len(all_rows(rt, Job)) == 1


def test_a_subscription_that_cannot_be_composed_keeps_nobody_elses_from_leaving(
    make_runtime: MakeRuntime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt, channel = make_runtime(smtp_url="smtp://127.0.0.1:9"), ScriptedChannel()
    rt.channels = {**rt.channels, "email": channel}
    feed = add_feed(rt, "hf")
    store(rt, [entry(1)], feed=feed)
    with rt.writing() as session:
        feeds.update_feed(session, feed.id or 0, next_check_at=rt.now() + timedelta(days=400))
        ids = [subscribe(rt, session, to=f"{n}@example.org", confirmed=True)[0].id or 0 for n in ("bad", "good")]
    handler = drain.HANDLERS["compose_edition"]
    run = poisoned(handler.run, lambda _, claim: claim.payload["subscription_id"] == ids[0])
    changed = {**drain.HANDLERS, "compose_edition": drain.Handler(run, handler.failed, handler.policy)}
    monkeypatch.setattr(drain, "HANDLERS", changed)
    rt.add_jobs([schedule.edition_job(number, "daily", "UTC", rt.now()) for number in ids])
    live(rt, clock, "notify", hours=5)
    assert [to for _, to, _ in channel.sent] == ["good@example.org"]
    assert len(dead(rt)) == 1
    assert left(rt) == []


class Channel:
    """A way out that cannot bear one address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.took: list[str] = []

    def send(self, message: Message, to: str, key: str, **more: Any) -> Receipt:
        """See `channels.Channel.send`."""
        if "bad" in to:
            raise ZeroDivisionError("poison")
        more["commit_intent"]()
        self.took.append(to)
        return Receipt(code="250", detail="taken", accepted_at=WEDNESDAY)


ADDRESSES = {
    "email": "{}@example.org", "slack": "slack:https://hooks.slack.com/services/T000/B000/{}",
    "webhook": "webhook:https://hooks.example.org/{}",
}  # fmt: skip


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_delivery_that_cannot_be_made_is_given_up_alone(make_runtime: MakeRuntime, clock: Clock, name: str) -> None:
    rt, channel = make_runtime(smtp_url="smtp://127.0.0.1:9"), Channel(name)
    rt.channels = {**rt.channels, name: channel}
    feed = add_feed(rt, "hf")
    store(rt, [entry(1)], feed=feed)
    with rt.writing() as session:
        feeds.update_feed(session, feed.id or 0, next_check_at=rt.now() + timedelta(days=400))
        ids = [
            subscribe(rt, session, to=ADDRESSES[name].format(who), confirmed=True)[0].id or 0
            for who in ("bad", "good", "better")
        ]
    rt.add_jobs([schedule.edition_job(number, "daily", "UTC", rt.now()) for number in ids])
    live(rt, clock, "notify", hours=8)
    assert len(channel.took) == 2
    assert sorted(delivery.state for delivery in all_rows(rt, Delivery)) == ["accepted", "accepted", "failed"]
    assert len(dead(rt)) == 1
    assert left(rt) == []


# -- and once more ---------------------------------------------------------------------------------------------

ADMIN = Actor(name="ada", role="admin", origin="command")


def buried(rt: Runtime, clock: Clock, keys: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Jobs given up for one cause; the returned function mends it, or breaks it again."""
    broken = True

    def run(rt: Runtime, claim: Any) -> None:
        if broken:
            raise ZeroDivisionError("poison")
        with rt.step(claim):
            pass

    def mend(whole: bool) -> None:
        nonlocal broken
        broken = not whole

    handler = drain.HANDLERS["housekeeping"]
    changed = {**drain.HANDLERS, "housekeeping": drain.Handler(run, handler.failed, handler.policy)}
    monkeypatch.setattr(drain, "HANDLERS", changed)
    rt.add_jobs([NewJob(kind="housekeeping", key=key) for key in keys])
    live(rt, clock, "enrich", hours=4)
    assert dead(rt) == sorted(keys)
    return mend


def test_the_rest_of_a_group_goes_one_by_one_and_stops_where_the_cause_still_holds(
    rt: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = buried(rt, clock, [f"k{n}" for n in range(6)], monkeypatch)
    signature = all_rows(rt, Job)[0].signature
    mend(True)
    done = redrive.redrive(rt, ADMIN, signature, "one")
    drain.run_until_idle(rt, stages=["enrich"], ticking=False)
    assert len(dead(rt)) == 5

    mend(False)  # it was mended for a moment only
    again = redrive.redrive(rt, ADMIN, signature, "rest", proof=done.retried[0])
    assert len(again.retried) == 5
    due = sorted(job.due_at for job in all_rows(rt, Job, state="ready"))
    assert [later - due[0] for later in due] == [n * redrive.APART for n in range(5)]
    drain.run_until_idle(rt, stages=["enrich"], ticking=False)
    assert len(dead(rt)) == 4  # the first has failed, and waits for its other tries
    assert len(left(rt)) == 1

    mend(True)
    redrive.redrive(rt, ADMIN, signature, "rest", force=True)
    live(rt, clock, "enrich", hours=2)
    assert dead(rt) == left(rt) == []


def test_many_runs_tried_again_by_hand_go_one_by_one_too(
    rt: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    buried(rt, clock, [f"k{n}" for n in range(4)], monkeypatch)
    rt.add_jobs([NewJob(kind="housekeeping", key="late", due_at=clock.now() + timedelta(hours=1))])
    told: list[int] = []
    monkeypatch.setattr(rt, "publish", lambda hints: told.extend(hint.job_id for hint in hints))
    ids = [job.id or 0 for job in all_rows(rt, Job)]
    assert redrive.retry(rt, ADMIN, *ids) == ids
    due = {job.id: job.due_at for job in all_rows(rt, Job, state="ready")}
    assert [due[run] - due[ids[0]] for run in ids] == [n * redrive.APART for n in range(5)]
    assert told == ids[:1]

    drain.run_until_idle(rt, stages=["enrich"], ticking=False)
    clock.advance(minutes=30)
    assert len(dead(rt)) == 3  # what makes the first fail again stops those behind it


def test_failures_of_one_cause_are_told_together_and_whether_they_came_right(
    rt: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = clock.now()
    mend = buried(rt, clock, ["k1", "k2", "k3"], monkeypatch)
    rt.add_jobs([NewJob(kind="housekeeping", key="new")])
    drain.run_until_idle(rt, stages=["enrich"], ticking=False)

    def told() -> reports.FailureGroup:
        with rt.reading() as session:
            (group,) = reports.failure_groups(session, since=began)
        return group

    before = told()
    assert (before.dead, before.trying, before.solved) == (3, 1, 0)
    assert (before.kinds, before.sample) == ({"housekeeping"}, "ZeroDivisionError: poison")
    mend(True)
    redrive.redrive(rt, ADMIN, before.signature, "one")
    live(rt, clock, "enrich", hours=2)
    after = told()
    assert (after.dead, after.trying, after.solved, after.open) == (2, 0, 2, 2)
    assert after.first_at is not None
    assert after.last_at is not None
    assert after.first_at < after.last_at
    assert all_rows(rt, Job, id=after.sample_id)[0].state == "dead"
    redrive.redrive(rt, ADMIN, before.signature, "rest", force=True)
    live(rt, clock, "enrich", hours=2)
    assert (told().open, told().solved) == (0, 4)
    clock.advance(days=2)
    with rt.reading() as session:  # what came right is told of for a while only
        assert reports.failure_groups(session, since=clock.now() - timedelta(days=1)) == []


def test_a_run_whose_worker_died_is_told_of_as_such(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([NewJob(kind="housekeeping", key="k")])
    assert drain.claim_next(rt) is not None
    clock.advance(seconds=rt.settings.lease_s + 1)
    taken = drain.claim_next(rt)
    assert taken is not None
    with rt.step(taken):
        pass
    with rt.reading() as session:
        (group,) = reports.failure_groups(session, since=clock.now() - timedelta(days=1))
    assert (group.signature, group.solved, group.open) == (jobs.WORKER_LOST, 1, 0)


def test_what_came_right_and_is_done_over_has_not_failed(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([NewJob(kind="housekeeping", key="k")])
    assert drain.claim_next(rt) is not None
    clock.advance(seconds=rt.settings.lease_s + 1)
    drain.run_until_idle(rt, stages=["enrich"], ticking=False)
    (job,) = all_rows(rt, Job)
    assert (job.state, job.signature) == ("done", jobs.WORKER_LOST)
    redrive.retry(rt, ADMIN, job.id or 0)
    with rt.reading() as session:
        assert runs.list_runs(session, failed=True) == []
