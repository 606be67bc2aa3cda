"""A team's digest in Slack: the list, its thread, whatever happens between, and the votes that come back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.domain.ranking import reasons, score
from services.pipeline import notify
from services.pipeline.drain import run_until_idle
from services.pipeline.send import resend
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import archive, feedback, votes
from services.storage.tables import Delivery, EditionItem, Job, Vote
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, plan_edition, store
from tests.fakes import Clock, Crash
from workers.demo.replay import Replay
from workers.demo.slack_api import CHANNEL, TOKEN


def team(make_runtime: MakeRuntime, replay: Replay, papers: int = 3, **settings: Any) -> tuple[Runtime, int]:
    """A runtime with one edition of so many papers on its way to the channel; also the subscription's id."""
    rt = make_runtime(replay=replay, slack_token=TOKEN, **settings)
    store(rt, [entry(n) for n in range(1, papers + 1)], feed=add_feed(rt, "daily-papers", paused=True))
    return rt, plan_edition(rt, f"slack:{CHANNEL}")


def run(rt: Runtime) -> None:
    run_until_idle(rt, ticking=False, patience=timedelta(minutes=10))


def delivery(rt: Runtime) -> Delivery:
    row: Delivery
    (row,) = all_rows(rt, Delivery)
    return row


def test_the_list_and_a_reply_for_each_paper(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt, _ = team(make_runtime, replay)
    run(rt)
    main, *replies = replay.slack.messages
    assert delivery(rt).state == "accepted"
    assert "thread_ts" not in main
    assert [reply["thread_ts"] for reply in replies] == [main["ts"]] * 3
    assert sorted(delivery(rt).parts) == ["main", "reply:1", "reply:2", "reply:3"]


@pytest.mark.parametrize("passed", range(8))
def test_a_crash_anywhere_posts_no_part_twice(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock, passed: int
) -> None:
    rt, _ = team(make_runtime, replay, smtp_ambiguity="hold")
    moments = iter(range(100))

    def crash(name: str) -> None:
        # The moments at which each part's outcome is certain: before its intent, and after its receipt is committed.
        if name in {"send_deliveries.connected", "send_deliveries.part_taken"} and next(moments) == passed:
            raise Crash

    rt.checkpoint = crash
    with pytest.raises(Crash):
        run(rt)
    clock.advance(minutes=10)
    run(rt)
    said = Counter(message["text"] for message in replay.slack.messages)
    assert len(said) == 4
    assert set(said.values()) == {1}
    assert delivery(rt).state == "accepted"


def test_a_crash_with_a_post_on_its_way_is_held(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt, _ = team(make_runtime, replay)

    def crash(name: str) -> None:
        if name == "send_deliveries.intended" and len(replay.slack.messages) == 2:
            raise Crash

    rt.checkpoint = crash
    with pytest.raises(Crash):
        run(rt)
    rt.checkpoint = lambda _: None
    clock.advance(minutes=10)
    run(rt)
    assert delivery(rt).state == "unknown"
    assert len(replay.slack.messages) == 2
    # A person says that it did not arrive: what did is not posted again.
    assert resend(rt, delivery(rt).edition_id) == 1
    run(rt)
    assert delivery(rt).state == "accepted"
    assert set(Counter(message["text"] for message in replay.slack.messages).values()) == {1}
    assert len(replay.slack.messages) == 4


def test_slacks_wait_is_kept_and_the_thread_goes_on(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt, _ = team(make_runtime, replay)

    def busy(name: str) -> None:
        if name == "send_deliveries.intended" and len(replay.slack.messages) == 2 and not replay.count(status=429):
            replay.fail_next("/slack/api", 429, 1, {"Retry-After": "40"})

    rt.checkpoint = busy
    run_until_idle(rt, ticking=False)
    assert (delivery(rt).state, len(replay.slack.messages)) == ("deferred", 2)
    began = clock.now()
    run(rt)
    assert delivery(rt).state == "accepted"
    assert clock.now() - began >= timedelta(seconds=40)
    assert set(Counter(message["text"] for message in replay.slack.messages).values()) == {1}


def test_an_answer_that_never_came_is_unknown(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt, _ = team(make_runtime, replay)
    replay.drop_next("/slack/api/chat.postMessage")
    run(rt)
    assert delivery(rt).state == "unknown"
    assert replay.slack.messages == []


def test_a_teams_thumbs_become_votes_and_feedback(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt, own = team(make_runtime, replay)
    run(rt)
    first, second, third = (message["ts"] for message in replay.slack.messages[1:])
    replay.slack.react(first, "+1", "U1", "U2")
    replay.slack.react(first, "-1", "U3")
    replay.slack.react(second, "-1", "U1")
    replay.slack.react(third, "thinking_face", "U1")
    clock.advance(minutes=31)
    run(rt)
    papers = {item.rank: item.paper_id for item in all_rows(rt, EditionItem)}
    with rt.reading() as session:
        assert votes.tally(session, list(papers.values())) == {papers[1]: (2, 1), papers[2]: (0, 1)}
        said = {(row.paper_id, row.act) for row in feedback.list_all(session, own)}
    assert said == {(papers[1], "more"), (papers[2], "less")}
    assert not any("U1" in row.voter for row in all_rows(rt, Vote))
    with rt.reading() as session:
        (voted,) = archive.load(session, [papers[1]], now=rt.now())
    assert "2 of your team for it, 1 against" in reasons(voted, rt.now())
    assert score(voted, rt.now()) > score(replace(voted, votes=(0, 0)), rt.now())
    # They change their minds: the last word counts.
    replay.slack.take_back(first)
    replay.slack.react(first, "-1", "U1", "U2")
    clock.advance(hours=2)
    run(rt)
    with rt.reading() as session:
        assert votes.tally(session, [papers[1]]) == {papers[1]: (0, 2)}
        assert (papers[1], "less") in {(row.paper_id, row.act) for row in feedback.list_all(session, own)}
        assert (papers[1], "more") not in {(row.paper_id, row.act) for row in feedback.list_all(session, own)}
    for _ in range(6):
        clock.advance(days=4)
        run(rt)
    looks = [job for job in all_rows(rt, Job) if job.kind == "read_votes"]
    assert (len(looks), {job.state for job in looks}) == (6, {"done"})


def test_votes_that_may_not_be_read_are_left_alone(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt, _ = team(make_runtime, replay)
    run(rt)
    replay.fail_next("/slack/api/reactions.get", 403, 1)
    clock.advance(minutes=31)
    run(rt)
    looks = [job for job in all_rows(rt, Job) if job.kind == "read_votes"]
    assert [(job.state, job.payload["look"]) for job in looks] == [("done", 0)]
    assert delivery(rt).state == "accepted"


def test_another_readers_digest_tells_what_the_team_thinks(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt, _ = team(make_runtime, replay)
    run(rt)
    replay.slack.react(replay.slack.messages[1]["ts"], "thumbsup", "U1", "U2", "U3")
    clock.advance(minutes=31)
    run(rt)
    with rt.writing() as session:
        made, _ = subscribe(rt, session, to="ada@shore.example", confirmed=True)
    message = notify.preview(rt, made.id or 0)
    assert "3 of your team for it" in message.text
    assert "3 of your team for it" in (message.html or "")
