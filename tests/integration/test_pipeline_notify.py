"""Notifying: an edition once, a paper once, a message once, and every delivery in a state with a name."""

from __future__ import annotations

import email
import email.policy
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import Connection, event

from services.domain.deliveries import STATES
from services.domain.errors import LeaseLost
from services.domain.jobs import Claim, NewJob
from services.pipeline import drain, notify, schedule, send
from services.pipeline.fetch import page_job
from services.pipeline.messages import pack, render_edition, unpack
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import editions, feeds, subscribers
from services.storage.tables import Attempt, Delivery, Edition, EditionItem, Feed, Job, Subscription
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, store
from tests.fakes import Clock, Crash, ScriptedChannel
from tests.servers import MailSink

HOLD, RESEND = "hold", "resend"


@pytest.fixture
def channel() -> ScriptedChannel:
    return ScriptedChannel()


@pytest.fixture
def make(make_runtime: MakeRuntime, channel: ScriptedChannel) -> Any:
    """Make runtimes whose mail goes by the scripted channel."""

    def make(**settings: Any) -> Runtime:
        rt = make_runtime(smtp_url="smtp://127.0.0.1:9", **settings)
        rt.channels = {**rt.channels, "email": channel}
        return rt

    return make


@pytest.fixture
def rt(make: Any) -> Runtime:
    runtime: Runtime = make()
    return runtime


def a_feed(rt: Runtime, name: str = "hf") -> Feed:
    """A feed with nothing outstanding: its next check is far ahead."""
    feed = add_feed(rt, name)
    with rt.writing() as session:
        feeds.update_feed(session, feed.id or 0, next_check_at=rt.now() + timedelta(days=400))
    return feed


def a_subscription(rt: Runtime, to: str = "ada@example.org", **values: Any) -> Subscription:
    with rt.writing() as session:
        subscription, _ = subscribe(rt, session, to=to, confirmed=True, **values)
        return subscription


def compose(rt: Runtime, subscription: Subscription, *, due_at: datetime | None = None) -> dict[str, int]:
    """Compose (and send) the edition that is due now."""
    rt.add_jobs(
        [schedule.edition_job(subscription.id or 0, subscription.cadence, subscription.timezone, due_at or rt.now())]
    )
    return notified(rt)


def notified(rt: Runtime) -> dict[str, int]:
    return drain.run_until_idle(rt, stages=["notify"], ticking=False)


def states(rt: Runtime) -> list[str]:
    return [d.state for d in all_rows(rt, Delivery)]


def the_delivery(rt: Runtime) -> Delivery:
    (row,) = all_rows(rt, Delivery)
    assert isinstance(row, Delivery)
    return row


def had(rt: Runtime, subscription: Subscription) -> list[int]:
    return [i.paper_id for i in all_rows(rt, EditionItem, subscription_id=subscription.id)]


# -- composing -------------------------------------------------------------------------------------------------


def test_an_edition_is_composed_planned_and_sent(rt: Runtime, channel: ScriptedChannel) -> None:
    store(rt, [entry(n) for n in (1, 2, 3)], feed=a_feed(rt))
    assert compose(rt, a_subscription(rt)) == {"done": 2}
    (edition,) = all_rows(rt, Edition)
    assert (edition.period, edition.matched, edition.considered, edition.skipped) == ("2026-11-25", 3, 3, None)
    delivery = the_delivery(rt)
    assert (delivery.state, delivery.attempts, delivery.code) == ("accepted", 1, "250 2.0.0")
    ((message, to, key),) = channel.sent
    assert (to, key) == ("ada@example.org", f"{edition.id}-{delivery.id}")
    assert message.message_id == delivery.message_id
    for number in (1, 2, 3):
        assert f"part {number}" in message.text


def test_a_period_has_one_edition_though_four_compose_it_at_once(make: Any, database_url: str) -> None:
    rt = make(database_url=database_url)
    store(rt, [entry(n) for n in range(1, 9)], feed=a_feed(rt))
    subscription = a_subscription(rt)
    begin = threading.Barrier(4)
    results: list[Any] = []

    def work() -> None:
        begin.wait()
        try:
            with rt.writing() as session:
                wanted, subscriber = subscribers.get_subscription(session, subscription.id or 0)
                results.append(notify.plan_edition(rt, session, wanted, subscriber, "2026-11-25", rt.now()))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r for r in results if isinstance(r, Exception)] == []
    assert sorted(items for _, items in results) == [0, 0, 0, 8]
    assert len(all_rows(rt, Edition)) == len(all_rows(rt, Delivery)) == 1
    assert len(had(rt, subscription)) == 8


def test_a_second_job_of_the_same_period_plans_nothing(rt: Runtime, channel: ScriptedChannel) -> None:
    store(rt, [entry(1)], feed=a_feed(rt))
    subscription = a_subscription(rt)
    compose(rt, subscription)
    store(rt, [entry(2)], feed=all_rows(rt, Feed)[0])
    payload = {"subscription_id": subscription.id, "period": "2026-11-25", "due_at": rt.now().isoformat(), "now": True}
    rt.add_jobs([NewJob(kind="compose_edition", key="by another name", payload=payload)])
    assert notified(rt) == {"done": 1}
    assert len(all_rows(rt, Edition)) == len(channel.sent) == 1


def test_a_subscription_gets_a_paper_once_ever(rt: Runtime, channel: ScriptedChannel, clock: Clock) -> None:
    feed = a_feed(rt)
    subscription = a_subscription(rt)
    store(rt, [entry(1), entry(2)], feed=feed)
    compose(rt, subscription)
    clock.advance(days=1)
    store(rt, [entry(1, announced_on=clock.today, version=2), entry(3)], feed=feed)
    compose(rt, subscription)
    assert len(channel.sent) == 2
    papers, _, since_you_read = channel.sent[1][0].text.partition("SINCE YOU READ")
    assert "part 3" in papers
    assert "part 1" not in papers
    assert "part 1" in since_you_read  # its new version is news, the paper is not
    assert sorted(had(rt, subscription)) == [1, 2, 3]


def test_two_subscriptions_each_get_their_own(rt: Runtime, channel: ScriptedChannel) -> None:
    store(rt, [entry(1), entry(2, title="Moored buoys as memory for agents")], feed=a_feed(rt))
    for to, query in (("ada@example.org", "buoys"), ("bram@example.org", "")):
        compose(rt, a_subscription(rt, to, query=query))
    sent = {to: message.text for message, to, _ in channel.sent}
    assert "Moored buoys" in sent["ada@example.org"]
    assert "Sparse lanterns" not in sent["ada@example.org"]
    assert "Sparse lanterns" in sent["bram@example.org"]
    assert all_rows(rt, Edition)[0].considered == 2
    assert all_rows(rt, Edition)[0].matched == 1


def test_the_budget_holds_and_the_edition_says_how_many_matched(rt: Runtime) -> None:
    store(rt, [entry(n, upvotes=n) for n in range(1, 31)], feed=a_feed(rt))
    subscription = a_subscription(rt, budget=5)
    compose(rt, subscription)
    assert len(had(rt, subscription)) == 5
    (edition,) = all_rows(rt, Edition)
    assert (edition.matched, edition.considered) == (30, 30)
    assert [i.rank for i in all_rows(rt, EditionItem)] == [1, 2, 3, 4, 5]


def test_only_the_papers_of_the_subscribed_feeds_are_considered(rt: Runtime) -> None:
    store(rt, [entry(1)], feed=a_feed(rt, "hf"))
    store(rt, [entry(2)], feed=a_feed(rt, "other"))
    subscription = a_subscription(rt, feed_names=("other",))
    compose(rt, subscription)
    assert len(had(rt, subscription)) == 1
    assert all_rows(rt, Edition)[0].considered == 1


def test_a_quiet_day_is_recorded_and_nothing_sent(rt: Runtime, channel: ScriptedChannel) -> None:
    a_feed(rt)
    compose(rt, a_subscription(rt))
    (edition,) = all_rows(rt, Edition)
    assert (edition.skipped, edition.considered) == ("empty", 0)
    assert all_rows(rt, Delivery) == channel.sent == []


@pytest.mark.parametrize("wanted", [True, False])
def test_news_of_papers_they_had_is_sent_alone_to_who_wants_it(
    rt: Runtime, channel: ScriptedChannel, clock: Clock, wanted: bool
) -> None:
    feed = a_feed(rt)
    store(rt, [entry(1)], feed=feed)
    subscription = a_subscription(rt, news_alone=wanted)
    compose(rt, subscription)
    clock.advance(days=1)
    compose(rt, subscription)  # nothing new at all
    assert len(channel.sent) == 1
    clock.advance(days=1)
    store(rt, [entry(1, version=2, comment="Accepted at CONF 2026")], feed=feed)
    clock.advance(days=1)
    compose(rt, subscription)
    assert len(channel.sent) == 1 + wanted
    assert [e.skipped for e in all_rows(rt, Edition)] == [None, "empty", None if wanted else "empty"]
    if wanted:
        message = channel.sent[1][0]
        assert "SINCE YOU READ" in message.text
        assert "part 1" in message.text
        assert message.subject.endswith(": since you read")
    clock.advance(days=1)
    compose(rt, subscription)  # what was told is told once
    assert len(channel.sent) == 1 + wanted


def test_withdrawn_papers_are_not_sent(rt: Runtime, channel: ScriptedChannel) -> None:
    store(rt, [entry(1, withdrawn=True)], feed=a_feed(rt))
    compose(rt, a_subscription(rt))
    assert channel.sent == []


def test_a_paper_stored_while_the_last_edition_was_composed_is_in_the_next(
    rt: Runtime, channel: ScriptedChannel, clock: Clock
) -> None:
    feed = a_feed(rt)
    store(rt, [entry(1)], feed=feed)
    subscription = a_subscription(rt)
    began = rt.now()
    compose(rt, subscription)
    clock.advance(to=began - timedelta(minutes=5))  # its transaction began before, and committed after
    store(rt, [entry(2)], feed=feed)
    clock.advance(to=began + timedelta(days=1))
    compose(rt, subscription)
    assert "part 2" in channel.sent[1][0].text


def test_a_paused_subscription_gets_nothing_until_its_day_comes(
    rt: Runtime, channel: ScriptedChannel, clock: Clock
) -> None:
    store(rt, [entry(1)], feed=a_feed(rt))
    subscription = a_subscription(rt)
    with rt.writing() as session:
        subscribers.update_subscription(session, subscription.id or 0, paused_until=date(2026, 11, 27))
    for _ in range(2):
        compose(rt, subscription)
        clock.advance(days=1)
    assert all_rows(rt, Edition) == channel.sent == []
    compose(rt, subscription)
    assert len(channel.sent) == 1  # and with what came meanwhile


@pytest.mark.parametrize("why", ["paused", "removed"])
def test_a_subscription_that_was_stopped_composes_nothing(rt: Runtime, why: str) -> None:
    store(rt, [entry(1)], feed=a_feed(rt))
    subscription = a_subscription(rt)
    with rt.writing() as session:
        subscribers.update_subscription(session, subscription.id or 0, state=why)
    assert compose(rt, subscription) == {"done": 1}
    assert all_rows(rt, Edition) == []


def test_an_edition_waits_for_its_feeds_and_goes_out_without_them_at_its_deadline(
    rt: Runtime, channel: ScriptedChannel, clock: Clock
) -> None:
    feed = a_feed(rt)
    store(rt, [entry(1)], feed=feed)
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot=rt.now().isoformat())])  # being fetched, and never done
    subscription = a_subscription(rt)
    due_at = rt.now()
    waited = 0
    compose(rt, subscription, due_at=due_at)
    while not channel.sent:
        assert rt.now() <= due_at + timedelta(minutes=95)
        waited += 1
        clock.advance(minutes=2, seconds=15)
        notified(rt)
    assert waited > 30
    assert rt.now() >= due_at + timedelta(minutes=rt.settings.digest_wait_minutes)
    (job,) = all_rows(rt, Job, kind="compose_edition")
    assert job.state == "done"  # waiting used up none of its tries
    assert job.attempts - job.spared == 1


def test_a_person_who_asks_for_it_now_waits_for_nothing(rt: Runtime, channel: ScriptedChannel) -> None:
    feed = a_feed(rt)
    store(rt, [entry(1)], feed=feed)
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot=rt.now().isoformat())])
    job = schedule.edition_job(a_subscription(rt).id or 0, "daily", "UTC", rt.now())
    rt.add_jobs([NewJob(kind=job.kind, key=job.key, payload={**job.payload, "now": True})])
    notified(rt)
    assert len(channel.sent) == 1


def test_a_preview_writes_nothing(rt: Runtime) -> None:
    store(rt, [entry(1)], feed=a_feed(rt))
    subscription = a_subscription(rt)
    message = notify.preview(rt, subscription.id or 0)
    assert "part 1" in message.text
    assert all_rows(rt, Edition) == all_rows(rt, Delivery) == []


@time_machine.travel(datetime(2026, 11, 25, 8, tzinfo=UTC), tick=False)  # its links are signed with the second
def test_a_kept_message_is_the_same_as_was_packed(rt: Runtime) -> None:
    store(rt, [entry(1)], feed=a_feed(rt))
    compose(rt, a_subscription(rt))
    with rt.reading() as session:
        message = render_edition(rt, session, editions.get(session, 1), the_delivery(rt))
    assert unpack(pack(message)) == message
    kept = the_delivery(rt).message
    assert kept is not None
    assert unpack(kept) == message


def test_an_edition_of_merged_papers_still_renders(rt: Runtime, channel: ScriptedChannel) -> None:
    """Two papers of an edition turn out to be one before it is sent."""
    from services.domain.identifiers import Identifier
    from tests.factories import arxiv

    doi = Identifier("doi", "10.5555/lantern.7")
    feed = a_feed(rt)
    store(rt, [entry(1), entry(2, identifiers=(doi,), title="Another name for it"), entry(3)], feed=feed)
    channel.next("defer")
    compose(rt, a_subscription(rt))
    store(rt, [entry(1, identifiers=(arxiv(1), doi))], feed=feed)
    with rt.reading() as session:
        message = render_edition(rt, session, editions.get(session, 1), the_delivery(rt))
    assert "part 1" in message.text
    assert "part 3" in message.text


# -- sending ---------------------------------------------------------------------------------------------------


def planned(rt: Runtime, **subscription: Any) -> Subscription:
    """One paper, one subscription, one edition planned and not sent."""
    store(rt, [entry(1)], feed=a_feed(rt))
    wanted = a_subscription(rt, **subscription)
    with rt.writing() as session:
        row, subscriber = subscribers.get_subscription(session, wanted.id or 0)
        edition, _ = notify.plan_edition(rt, session, row, subscriber, "2026-11-25", rt.now())
    rt.add_jobs([send.send_job(edition or 0)])
    return wanted


def test_a_deferred_message_is_tried_again_with_the_same_bytes(
    rt: Runtime, channel: ScriptedChannel, clock: Clock
) -> None:
    planned(rt)
    channel.next("defer", "defer")
    assert notified(rt) == {"retry": 1}
    delivery = the_delivery(rt)
    assert (delivery.state, delivery.code, delivery.attempts) == ("deferred", "451 4.7.1", 0)
    for _ in range(2):
        clock.advance(minutes=10)
        notified(rt)
    assert states(rt) == ["accepted"]
    first, second, third = channel.seen
    assert first == second == third


def test_a_refused_message_has_failed_at_once(rt: Runtime, channel: ScriptedChannel) -> None:
    planned(rt)
    channel.next("refuse")
    assert notified(rt) == {"done": 1}
    delivery = the_delivery(rt)
    assert (delivery.state, delivery.code) == ("failed", "550 5.1.1")
    assert "no such user" in (delivery.detail or "")


def test_what_is_deferred_to_the_end_has_failed_by_name(rt: Runtime, channel: ScriptedChannel, clock: Clock) -> None:
    planned(rt)
    channel.next(*["defer"] * 20)
    for _ in range(10):
        notified(rt)
        clock.advance(minutes=61)  # not so long that the edition expires first
    (job,) = all_rows(rt, Job)
    assert (job.state, job.attempts) == ("dead", 10)
    delivery = the_delivery(rt)
    assert delivery.state == "failed"
    assert "given up after 10 tries" in (delivery.detail or "")


def test_an_edition_that_is_too_old_expires(rt: Runtime, channel: ScriptedChannel, clock: Clock) -> None:
    planned(rt)
    clock.advance(hours=25)
    notified(rt)
    assert states(rt) == ["expired"]
    assert channel.seen == []


@pytest.mark.parametrize("composed", ["after", "before"])
def test_what_expired_is_told_by_the_next_edition(
    rt: Runtime, channel: ScriptedChannel, clock: Clock, composed: str
) -> None:
    subscription = planned(rt)
    (edition,) = all_rows(rt, Edition)
    told = {item.paper_id for item in all_rows(rt, EditionItem)}
    clock.advance(hours=25)
    next_day = schedule.edition_job(subscription.id or 0, "daily", "UTC", rt.now())
    if composed == "before":  # the next edition is there already, without those papers, when the first expires
        store(rt, [entry(90)], feed=a_feed(rt, "more"))
        rt.add_jobs([next_day])
        (job,) = all_rows(rt, Job, key=next_day.key)
        claim = drain.claim_next(rt, job_id=job.id)
        assert claim is not None
        assert drain.run_job(rt, claim) == "done"
        notified(rt)
        clock.advance(hours=24)
        next_day = schedule.edition_job(subscription.id or 0, "daily", "UTC", rt.now())
    else:
        notified(rt)
    assert all_rows(rt, Edition, id=edition.id)[0].skipped == "expired"
    assert send.resend(rt, edition.id or 0) == 0
    rt.add_jobs([next_day])
    notified(rt)
    (newest,) = [row for row in all_rows(rt, Edition) if row.period == next_day.payload["period"]]
    assert {item.paper_id for item in all_rows(rt, EditionItem, edition_id=newest.id)} == told
    assert sorted(set(states(rt))) == ["accepted", "expired"]


@pytest.mark.parametrize("state", ["unsubscribed", "suppressed"])
def test_who_has_left_since_gets_nothing(rt: Runtime, channel: ScriptedChannel, state: str) -> None:
    subscription = planned(rt)
    with rt.writing() as session:
        subscribers.set_state(session, subscription.subscriber_id, state)
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["suppressed"]
    assert channel.seen == []


def test_a_message_that_may_have_arrived_is_held(rt: Runtime, channel: ScriptedChannel) -> None:
    planned(rt)
    channel.next("unknown")
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["unknown"]
    assert len(channel.sent) == 1


def test_a_message_that_may_have_arrived_is_sent_again_where_that_is_asked_for(
    make: Any, channel: ScriptedChannel, clock: Clock
) -> None:
    rt = make(smtp_ambiguity=RESEND)
    planned(rt)
    channel.next("unknown")
    assert notified(rt) == {"retry": 1}
    assert states(rt) == ["unknown"]
    clock.advance(minutes=10)
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["accepted"]
    (first, *_), (second, *_) = channel.sent
    assert first == second


def _crash_while_sending(rt: Runtime, channel: ScriptedChannel, what: str) -> None:
    """The process ends in the middle of a send: nothing of it is accounted for."""
    channel.next(what)
    claim = drain.claim_next(rt, stages=["notify"])
    assert claim is not None
    with pytest.raises(Crash):
        drain.run_job(rt, claim)


@pytest.mark.parametrize(
    ("what", "left", "held", "copies"),
    [
        ("crash before", "planned", "accepted", 1),
        ("crash after", "sending", "unknown", 0),
        ("crash sent", "sending", "unknown", 1),
    ],
)
def test_a_crash_leaves_doubt_only_once_the_intent_is_committed(
    rt: Runtime, channel: ScriptedChannel, clock: Clock, what: str, left: str, held: str, copies: int
) -> None:
    planned(rt)
    _crash_while_sending(rt, channel, what)
    assert states(rt) == [left]
    assert all_rows(rt, Job)[0].state == "running"
    clock.advance(seconds=rt.settings.lease_s + 1)
    assert notified(rt) == {"done": 1}
    assert states(rt) == [held]
    assert len(channel.sent) == copies  # never two
    assert [a.outcome for a in all_rows(rt, Attempt)] == ["lost", "done"]


@pytest.mark.parametrize(("what", "copies"), [("crash after", 1), ("crash sent", 2)])
def test_a_crash_is_followed_by_the_same_message_where_resend_is_asked_for(
    make: Any, channel: ScriptedChannel, clock: Clock, what: str, copies: int
) -> None:
    rt = make(smtp_ambiguity=RESEND)
    planned(rt)
    _crash_while_sending(rt, channel, what)
    clock.advance(seconds=rt.settings.lease_s + 1)
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["accepted"]
    assert len(channel.sent) == copies
    assert len({m.message_id for m in channel.seen}) == 1
    assert channel.seen[0] == channel.seen[1]


@pytest.mark.parametrize(("act", "outcome"), [("accept", "accepted"), ("unknown", "unknown")])
def test_an_outcome_and_the_end_of_its_job_are_written_together(
    rt: Runtime, channel: ScriptedChannel, clock: Clock, monkeypatch: pytest.MonkeyPatch, act: str, outcome: str
) -> None:
    """A crash before their commit leaves the intent, and one after it nothing to do."""
    planned(rt)
    channel.next(act)

    def crash(name: str) -> None:
        if name == f"send_deliveries.{outcome}_written":
            raise Crash

    claim = drain.claim_next(rt, stages=["notify"])
    assert claim is not None
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(rt, "checkpoint", crash)
        drain.run_job(rt, claim)
    assert states(rt) == ["sending"]
    clock.advance(seconds=rt.settings.lease_s + 1)
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["unknown"]
    assert len(channel.sent) == 1


def test_a_mail_takes_three_commits(rt: Runtime, channel: ScriptedChannel) -> None:
    """The claim, the intent with the bytes, the outcome with the end of the job."""
    planned(rt)
    before: list[str] = []

    def committed(connection: Connection) -> None:
        if not connection.get_execution_options().get("broadsheet_reads"):
            before.append(the_delivery(rt).state)

    event.listen(rt.engine, "commit", committed)
    assert notified(rt)["done"] == 1
    # The last look finds no job.
    assert before == ["planned", "planned", "sending", "accepted"]
    assert len(channel.sent) == 1
    assert unpack(the_delivery(rt).message or b"") == channel.seen[0]


def test_a_worker_that_dies_at_every_try_leaves_a_named_state(
    make: Any, channel: ScriptedChannel, clock: Clock
) -> None:
    rt = make(smtp_ambiguity=RESEND)
    planned(rt)
    for _ in range(10):
        _crash_while_sending(rt, channel, "crash after")
        clock.advance(seconds=rt.settings.lease_s + 1)
    assert notified(rt) == {"dead": 1}
    assert states(rt) == ["unknown"]  # nobody can say


def test_a_worker_whose_lease_ran_out_before_the_hand_over_sends_nothing(
    rt: Runtime, channel: ScriptedChannel, clock: Clock
) -> None:
    planned(rt)
    claim = drain.claim_next(rt, stages=["notify"])
    assert claim is not None
    clock.advance(seconds=rt.settings.lease_s - 5)  # connecting took that long
    assert drain.run_job(rt, claim) == "lost"
    assert channel.sent == []
    assert states(rt) == ["planned"]
    clock.advance(seconds=10)
    assert notified(rt) == {"done": 1}
    assert len(channel.sent) == 1


def test_two_workers_never_send_one_delivery_both(rt: Runtime, channel: ScriptedChannel, clock: Clock) -> None:
    """The first is frozen between reading and handing over; the second takes over and sends."""
    planned(rt)
    frozen = drain.claim_next(rt, stages=["notify"])
    assert frozen is not None
    clock.advance(seconds=rt.settings.lease_s + 1)
    assert notified(rt) == {"done": 1}
    believes = replace(frozen, lease_until=rt.now() + timedelta(hours=1))  # its clock went wrong as well
    found = the_delivery_as_it_was_read(rt, believes)
    with pytest.raises(LeaseLost):
        send._send(rt, believes, found)
    assert len(channel.sent) == 1


def the_delivery_as_it_was_read(rt: Runtime, claim: Claim) -> send._Found:
    """Put the row back to `planned`, as the frozen worker believes it to be."""
    with rt.writing() as session:
        session.execute(Delivery.__table__.update().values(state="planned"))  # type: ignore[attr-defined]
    found = send._look(rt, claim)
    assert found is not None
    return found


def test_the_message_id_says_nothing_and_stays(rt: Runtime) -> None:
    planned(rt)
    first = the_delivery(rt).message_id
    assert first.endswith("@papers.example>")
    assert "ada" not in first


# -- again, by hand --------------------------------------------------------------------------------------------


def test_resending_an_edition_reaches_only_those_who_did_not_get_it(
    make: Any, channel: ScriptedChannel, clock: Clock
) -> None:
    rt = make()
    store(rt, [entry(1)], feed=a_feed(rt))
    subscription = a_subscription(rt)
    with rt.writing() as session:
        row, subscriber = subscribers.get_subscription(session, subscription.id or 0)
        edition, _ = notify.plan_edition(rt, session, row, subscriber, "2026-11-25", rt.now())
        assert edition is not None
        for number in range(2, 9):
            other = subscribers.ensure(
                session, channel="email", address=f"r{number}@x.example", confirmed=True, now=rt.now()
            )
            notify.plan_delivery(rt, session, edition, row, other, rt.now())
    given = dict(zip(range(1, 9), STATES, strict=True))
    with rt.writing() as session:
        for number, state in given.items():
            session.get_one(Delivery, number).state = state
    assert send.resend(rt, edition) == 4  # failed, suppressed, expired, unknown
    assert notified(rt) == {"done": 1}
    sent_to = {to for _, to, _ in channel.sent}
    got_it_before = {"accepted"}
    after = {d.id: d.state for d in all_rows(rt, Delivery)}
    assert set(after.values()) == {"accepted", "unknown"}
    assert [given[n] for n, state in after.items() if state == "unknown"] == ["sending"]  # held, for a person
    for number, state in given.items():
        address = "ada@example.org" if number == 1 else f"r{number}@x.example"
        assert (address in sent_to) == (state not in got_it_before | {"sending"}), state
    assert len(channel.sent) == len(sent_to)
    assert send.resend(rt, edition) == 1


def test_resending_what_everybody_got_sends_nothing(rt: Runtime, channel: ScriptedChannel) -> None:
    planned(rt)
    notified(rt)
    assert send.resend(rt, 1) == 0
    assert notified(rt) == {}
    assert len(channel.sent) == 1


# -- over real SMTP --------------------------------------------------------------------------------------------


@pytest.fixture
def mailing(make_runtime: MakeRuntime, mail: MailSink) -> Any:
    def make(**settings: Any) -> Runtime:
        return make_runtime(smtp_url=mail.url, **settings)

    return make


def test_a_digest_arrives_as_one_mail_with_text_and_html(mailing: Any, mail: MailSink) -> None:
    rt = mailing()
    planned(rt)
    assert notified(rt) == {"done": 1}
    assert (states(rt), the_delivery(rt).code) == (["accepted"], "250 2.0.0")
    (raw,) = mail.received
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["To"] == "ada@example.org"
    assert message["Message-ID"] == the_delivery(rt).message_id
    assert message["List-Unsubscribe"]
    kinds = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html"]
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        assert body is not None
        assert "Sparse lanterns" in body.get_content()


def test_a_4xx_defers_and_the_mail_arrives_later_once(mailing: Any, mail: MailSink, clock: Clock) -> None:
    rt = mailing()
    planned(rt)
    mail.refuses_next("451 4.7.1 greylisted")
    assert notified(rt) == {"retry": 1}
    assert (states(rt), the_delivery(rt).code) == (["deferred"], "451 4.7.1")
    clock.advance(minutes=10)
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["accepted"]
    assert len(mail.received) == 1


@pytest.mark.parametrize("where", ["at the recipient", "after the message"])
def test_a_5xx_is_final(mailing: Any, mail: MailSink, where: str) -> None:
    rt = mailing()
    planned(rt)
    if where == "at the recipient":
        mail.refuses_next("550 5.1.1 no such user")
    else:
        mail.answers_dot("554 5.6.0 we do not like it")
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["failed"]
    assert mail.received == []


def test_a_4xx_after_the_message_is_known_not_to_have_been_taken(mailing: Any, mail: MailSink, clock: Clock) -> None:
    rt = mailing()
    planned(rt)
    mail.answers_dot("452 4.3.1 disk full")
    assert notified(rt) == {"retry": 1}
    assert states(rt) == ["deferred"]
    clock.advance(minutes=10)
    notified(rt)
    assert (states(rt), len(mail.received)) == (["accepted"], 1)


def test_a_connection_lost_after_the_dot_is_held_as_unknown(mailing: Any, mail: MailSink, clock: Clock) -> None:
    rt = mailing()
    planned(rt)
    mail.drops_after_dot()
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["unknown"]
    clock.advance(hours=1)
    assert notified(rt) == {}
    assert len(mail.received) == 1


def test_a_connection_lost_after_the_dot_is_resent_byte_for_byte(mailing: Any, mail: MailSink, clock: Clock) -> None:
    rt = mailing(smtp_ambiguity=RESEND)
    planned(rt)
    mail.drops_after_dot()
    assert notified(rt) == {"retry": 1}
    clock.advance(minutes=10)
    assert notified(rt) == {"done": 1}
    assert states(rt) == ["accepted"]
    first, second = mail.received
    assert first == second
    assert the_delivery(rt).message_id.encode() in first


def test_a_mail_server_that_is_down_loses_nothing(make_runtime: MakeRuntime, mail: MailSink, clock: Clock) -> None:
    from tests.servers import free_port

    down = make_runtime(smtp_url=f"smtp://127.0.0.1:{free_port()}")
    planned(down)
    assert notified(down) == {"retry": 1}
    assert states(down) == ["deferred"]
    clock.advance(minutes=10)
    up = make_runtime(smtp_url=mail.url)
    assert notified(up) == {"done": 1}
    assert len(mail.received) == 1


def test_without_a_mail_server_messages_go_to_the_outbox(make_runtime: MakeRuntime) -> None:
    rt = make_runtime()
    planned(rt)
    notified(rt)
    (path,) = rt.settings.outbox.glob("*.eml")
    assert states(rt) == ["accepted"]
    assert the_delivery(rt).detail == str(path)


# -- when ------------------------------------------------------------------------------------------------------


def test_a_daily_edition_comes_by_the_clock_of_its_reader(rt: Runtime, channel: ScriptedChannel, clock: Clock) -> None:
    feed = a_feed(rt)
    store(rt, [entry(1)], feed=feed)
    subscription = a_subscription(rt, at="08:00", timezone="Asia/Tokyo")
    assert subscription.next_edition_at == datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
    clock.advance(to=datetime(2026, 11, 25, 22, 59, tzinfo=UTC))
    drain.run_until_idle(rt, stages=["notify"])
    assert channel.sent == []
    clock.advance(minutes=1)
    drain.run_until_idle(rt, stages=["notify"])
    assert len(channel.sent) == 1
    assert all_rows(rt, Edition)[0].period == "2026-11-26"
    assert all_rows(rt, Subscription)[0].next_edition_at == datetime(2026, 11, 26, 23, 0, tzinfo=UTC)
