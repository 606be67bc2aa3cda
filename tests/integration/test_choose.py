"""Choosing: the best of the time after a pause, what was put off once more, the same picks wherever asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.pipeline import choose as choosing
from services.pipeline import drain, feedback, notify
from services.pipeline.choose import Chosen, choose
from services.pipeline.messages import unpack
from services.pipeline.schedule import edition_job
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import archive, subscribers
from services.storage.tables import Delivery, Edition, EditionItem, Subscription
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, arxiv, entry, store
from tests.fakes import Clock


@pytest.fixture
def rt(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime()


def subscription_of(rt: Runtime, **values: Any) -> Subscription:
    with rt.writing() as session:
        made, _ = subscribe(rt, session, to="ada@example.org", confirmed=True, **values)
        subscribers.update_subscription(session, made.id or 0, since_at=rt.now() - timedelta(days=2))
        session.refresh(made)
        session.expunge(made)
        return made


def chosen(rt: Runtime, subscription: Subscription) -> Chosen:
    with rt.reading() as session:
        return choose(rt, session, subscription)


def compose(rt: Runtime, subscription: Subscription) -> None:
    job = edition_job(subscription.id or 0, subscription.cadence, subscription.timezone, rt.now())
    job.payload["now"] = True  # type: ignore[index]
    rt.add_jobs([job])
    drain.run_until_idle(rt, stages=["notify"], ticking=False)


def test_after_a_pause_one_edition_brings_the_best_of_all_that_time(rt: Runtime, clock: Clock) -> None:
    feed, subscription = add_feed(rt, "hf"), subscription_of(rt, budget=3)
    store(rt, [entry(1)], feed=feed)
    compose(rt, subscription)
    with rt.writing() as session:
        subscribers.update_subscription(session, subscription.id or 0, paused_until=clock.today + timedelta(days=21))
    for day in range(20):
        clock.advance(days=1)
        upvotes = 300 if day < 2 else day
        store(rt, [entry(10 + day, upvotes=upvotes, announced_on=clock.today)], feed=feed)
        compose(rt, subscription)
    assert len(all_rows(rt, Edition)) == 1
    clock.advance(days=1)
    compose(rt, subscription)
    _, best = all_rows(rt, Edition)
    assert (best.matched, best.since_at is not None) == (20, True)
    message = unpack(all_rows(rt, Delivery)[-1].message)
    assert "20 new papers since Wed 25 Nov" in message.text
    assert [i for i in all_rows(rt, EditionItem, edition_id=best.id) if i.late] == []
    titles = [pick for pick in message.text.splitlines() if "part 1" in pick]
    assert any("part 10" in t for t in titles)
    assert any("part 11" in t for t in titles)


def test_a_paper_that_was_had_and_put_off_comes_once_more_and_not_twice(rt: Runtime, clock: Clock) -> None:
    feed, subscription = add_feed(rt, "hf"), subscription_of(rt)
    store(rt, [entry(1), entry(2)], feed=feed)
    compose(rt, subscription)
    feedback.give(rt, subscription.id or 0, str(arxiv(1)), "snooze", target=str(clock.today + timedelta(days=2)))
    had = []
    for day in range(1, 5):
        clock.advance(days=1)
        store(rt, [entry(10 + day)], feed=feed)
        compose(rt, subscription)
        had.append([i.again for i in all_rows(rt, EditionItem) if i.edition_id == all_rows(rt, Edition)[-1].id])
    assert had == [[0], [1, 0], [0], [0]]
    text = unpack(all_rows(rt, Delivery)[2].message).text
    assert "you put it off until Fri 27 Nov" in text


@pytest.mark.parametrize(
    ("ranking", "first"), [("personal", 2), ("upvotes", 2), ("newest", 3), ("trending", 2)]
)  # fmt: skip
def test_a_subscription_is_ranked_as_it_asks(rt: Runtime, clock: Clock, ranking: str, first: int) -> None:
    papers = [entry(1), entry(2, upvotes=50), entry(3, announced_on=clock.today)]
    store(rt, papers, feed=add_feed(rt, "hf"))
    assert chosen(rt, subscription_of(rt, ranking=ranking)).picks[0].paper.key == str(arxiv(first))


def test_the_same_rows_give_the_same_picks_in_another_process_and_after_a_change_of_facts(
    rt: Runtime, clock: Clock
) -> None:
    feed, subscription = add_feed(rt, "hf"), subscription_of(rt)
    store(rt, [entry(n, upvotes=n % 3) for n in range(1, 40)], feed=feed)
    for number in (3, 5):
        feedback.give(rt, subscription.id or 0, str(arxiv(number)), "save")
    before = chosen(rt, subscription)
    assert before == chosen(rt, subscription)
    choosing._kept.clear()
    feedback._spaces.clear()
    assert before == chosen(rt, subscription)
    assert all(pick.why for pick in before.picks)
    store(rt, [entry(7, upvotes=900)], feed=feed)
    clock.advance(seconds=31)  # what was kept ready has had its time
    assert chosen(rt, subscription).picks[0].paper.key == str(arxiv(7)) or 900 in [
        pick.paper.upvotes for pick in chosen(rt, subscription).picks
    ]


def test_many_subscriptions_share_one_reading_of_the_papers(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    store(rt, [entry(n) for n in range(1, 30)], feed=add_feed(rt, "hf"))
    loads: list[int] = []
    real = archive.load

    def load(session: Any, ids: Any, **kwargs: Any) -> Any:
        loads.append(len(ids))
        return real(session, ids, **kwargs)

    monkeypatch.setattr(archive, "load", load)
    made = []
    with rt.writing() as session:
        for number in range(20):
            subscription, who = subscribe(
                rt, session, to=f"r{number}@example.org", query="lanterns" if number % 2 else "", confirmed=True
            )
            subscription.since_at = rt.now() - timedelta(days=2)
            made.append((subscription, who))
        session.flush()
        for subscription, who in made:
            _, items = notify.plan_edition(rt, session, subscription, who, "2026-11-25", rt.now())
            assert items == 12
    assert sum(loads) == 29
