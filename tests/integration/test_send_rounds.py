"""Mail after mail: two commits each, the next claimed with the outcome of one, and never more than one in doubt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event, update
from sqlalchemy.exc import OperationalError

from services.domain.jobs import NewJob
from services.domain.users import Actor
from services.pipeline import drain, operate
from services.runtime import Runtime
from services.storage import deliveries, jobs
from services.storage.sql import table_of
from services.storage.tables import Attempt, Delivery, Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, plan_edition, store
from tests.fakes import Clock, Crash, ScriptedChannel
from tests.servers import PostgresServer

BOSS = Actor(name="boss", role="admin", origin="command")
READERS = ("ada", "bram", "cleo", "dan")


@pytest.fixture
def channel() -> ScriptedChannel:
    return ScriptedChannel()


@pytest.fixture
def make(make_runtime: MakeRuntime, channel: ScriptedChannel) -> Callable[..., Runtime]:
    """A runtime with an edition for each of `READERS` on its way, the first one's first."""

    def runtime(**settings: object) -> Runtime:
        settings = {"smtp_url": "smtp://mail.example", "alert_to": "ops@shore.example", **settings}
        rt = make_runtime(**settings)
        rt.channels = {**rt.channels, "email": channel}
        store(rt, [entry(1)], feed=add_feed(rt, "daily-papers", paused=True))
        for place, reader in enumerate(READERS):
            plan_edition(rt, f"{reader}@shore.example", priority=place)
        return rt

    return runtime


@pytest.fixture
def rt(make: Callable[..., Runtime]) -> Runtime:
    return make()


@pytest.fixture
def either(make: Callable[..., Runtime], database_url: str) -> Runtime:
    """The same on each of the two databases."""
    return make(database_url=database_url)


def run(rt: Runtime) -> dict[str, int]:
    return drain.run_until_idle(rt, ticking=False)


def states(rt: Runtime) -> list[str]:
    return [row.state for row in all_rows(rt, Delivery)]


def readers(channel: ScriptedChannel) -> list[str]:
    return [to.partition("@")[0] for _, to, _ in channel.sent]


def when(rt: Runtime, point: str, act: Callable[[], object], *, passing: int) -> None:
    """Do something when a step is passed for the `passing`-th time."""
    left = passing

    def checkpoint(name: str) -> None:
        nonlocal left
        left -= name == f"send_deliveries.{point}"
        if left == 0:
            left = -1
            act()

    rt.checkpoint = checkpoint


def end(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def take_over(rt: Runtime, job_id: int) -> Callable[[], None]:
    """Another worker has the job: its token is another."""

    def act() -> None:
        with rt.writing() as session:
            rows = table_of(Job)
            session.connection().execute(update(rows).where(rows.c.id == job_id).values(token="another"))

    return act


def test_mail_after_mail_takes_two_commits_each(either: Runtime, channel: ScriptedChannel) -> None:
    rt = either
    seen: list[list[str]] = []

    def committed(connection: Connection) -> None:
        if not connection.get_execution_options().get("broadsheet_reads"):
            seen.append(states(rt))

    event.listen(rt.engine, "commit", committed)
    assert run(rt) == {"done": 4}
    # As they were when each commit began: claim, an intent and an outcome for each, a look that finds no job.
    assert [row.count("sending") for row in seen] == [0, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert [row.count("accepted") for row in seen] == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert readers(channel) == list(READERS)
    assert [job.state for job in all_rows(rt, Job)] == ["done"] * 4
    assert [attempt.outcome for attempt in all_rows(rt, Attempt)] == ["done"] * 4


@pytest.mark.parametrize(
    ("point", "passing", "left", "copies"),
    [
        ("rendered", 2, ["accepted", "planned", "planned", "planned"], 1),
        ("connected", 2, ["accepted", "planned", "planned", "planned"], 1),
        ("sending_written", 2, ["accepted", "planned", "planned", "planned"], 1),
        ("intended", 2, ["accepted", "sending", "planned", "planned"], 1),
        ("answered", 2, ["accepted", "sending", "planned", "planned"], 2),
        ("accepted_written", 2, ["accepted", "sending", "planned", "planned"], 2),
        ("accepted_committed", 2, ["accepted", "accepted", "planned", "planned"], 2),
        ("accepted_committed", 4, ["accepted"] * 4, 4),
    ],
)
def test_only_a_worker_that_dies_while_a_mail_leaves_leaves_it_in_doubt(
    rt: Runtime, channel: ScriptedChannel, clock: Clock, point: str, passing: int, left: list[str], copies: int
) -> None:
    when(rt, point, end(Crash()), passing=passing)
    with pytest.raises(Crash):
        run(rt)
    assert states(rt) == left
    assert len(channel.sent) == copies
    clock.advance(seconds=rt.settings.lease_s + 1)
    assert set(run(rt)) <= {"done"}
    assert states(rt) == ["unknown" if state == "sending" else "accepted" for state in left]
    assert len(set(readers(channel))) == len(channel.sent), "nobody got it twice"


def test_a_job_lost_while_its_mail_leaves_writes_nothing_and_holds_up_nobody(
    either: Runtime, channel: ScriptedChannel
) -> None:
    rt = either
    first = all_rows(rt, Job)[0].id
    when(rt, "answered", take_over(rt, first), passing=1)
    assert run(rt) == {"lost": 1, "done": 3}
    assert states(rt) == ["sending", "accepted", "accepted", "accepted"]
    assert readers(channel) == list(READERS)


def test_a_job_lost_before_its_intent_sends_nothing_and_the_mail_before_is_accepted(
    either: Runtime, channel: ScriptedChannel
) -> None:
    rt = either
    second = all_rows(rt, Job)[1].id
    when(rt, "connected", take_over(rt, second), passing=2)
    assert run(rt) == {"done": 3, "lost": 1}
    assert states(rt) == ["accepted", "planned", "accepted", "accepted"]
    assert readers(channel) == ["ada", "cleo", "dan"]


def test_all_deliveries_of_an_edition_are_sent_and_the_last_one_ends_its_job(
    either: Runtime, channel: ScriptedChannel
) -> None:
    rt = either
    first, *_ = all_rows(rt, Delivery)
    with rt.writing() as session:
        for more in ("two", "three"):
            row = {**first.model_dump(exclude={"id"}), "channel": more, "message_id": f"<{more}@shore.example>"}
            assert deliveries.add(session, row) is not None
    channel.next("accept", "refuse", "accept")
    assert run(rt) == {"done": 4}
    assert readers(channel)[:2] == ["ada", "ada"]
    assert states(rt) == ["accepted"] * 4 + ["failed", "accepted"]
    assert [attempt.outcome for attempt in all_rows(rt, Attempt)] == ["done"] * 4


def test_too_little_lease_is_left_for_the_next(rt: Runtime, channel: ScriptedChannel, clock: Clock) -> None:
    when(rt, "connected", lambda: clock.advance(seconds=rt.settings.lease_s - 5), passing=2)
    assert run(rt)["lost"] == 1
    assert states(rt)[:2] == ["accepted", "planned"]
    assert readers(channel)[0] == "ada"


@pytest.mark.parametrize("rate", [{}, {"smtp_per_second": 1000.0}, {"smtp_per_hour": 100}])
def test_every_outcome_is_written_before_the_next_mail_begins(
    make: Callable[..., Runtime], channel: ScriptedChannel, rate: dict[str, float]
) -> None:
    rt = make(**rate)
    before: list[list[str]] = []
    rt.checkpoint = lambda name: before.append(states(rt)) if name == "send_deliveries.rendered" else None
    assert run(rt) == {"done": 4}
    assert [row.count("accepted") for row in before] == [0, 1, 2, 3]


@pytest.mark.parametrize(("rate", "claims"), [({}, 4), ({"smtp_per_second": 1000.0}, 1), ({"smtp_per_hour": 100}, 1)])
def test_at_a_rate_no_job_is_claimed_ahead_of_its_turn(
    make: Callable[..., Runtime], channel: ScriptedChannel, rate: dict[str, float], claims: int
) -> None:
    rt = make(**rate)
    (claim,) = filter(None, [drain.claim_next(rt)])
    assert len(drain.run_jobs(rt, claim)) == claims


def test_what_is_more_urgent_than_mails_does_not_wait_for_them(
    rt: Runtime, channel: ScriptedChannel, clock: Clock
) -> None:
    """It comes up while the first mail is on its way: no other leaves before it."""
    urgent = NewJob(
        kind="send_notice", key="urgent", priority=-10,
        payload={"to": "ops@shore.example", "subject": "s", "text": "t", "kind": "failing"},
    )  # fmt: skip
    when(rt, "intended", lambda: rt.add_jobs([urgent]), passing=1)
    started: list[str] = []
    drain.run_until_idle(rt, ticking=False, on_job=lambda claim, _: started.append(claim.kind))
    assert started[:2] == ["send_deliveries", "send_notice"]
    assert started.count("send_deliveries") == 4


def test_a_round_ends_after_a_second(rt: Runtime, clock: Clock) -> None:
    rounds: list[int] = []

    def checkpoint(name: str) -> None:
        if name == "claim.committed":
            rounds.append(states(rt).count("accepted"))
        elif name == "send_deliveries.answered":
            clock.advance(seconds=0.6)

    rt.checkpoint = checkpoint
    assert run(rt) == {"done": 4}
    assert rounds == [0, 2, 4]


def test_a_pause_ends_it(rt: Runtime, channel: ScriptedChannel) -> None:
    when(rt, "intended", lambda: operate.pause_stage(rt, BOSS, "notify"), passing=1)
    run(rt)
    assert states(rt) == ["accepted", "planned", "planned", "planned"]
    assert [job.state for job in all_rows(rt, Job, kind="send_deliveries")] == ["done", "ready", "ready", "ready"]


@pytest.mark.parametrize(("act", "state", "counted"), [("refuse", "failed", {"done": 4}), ("defer", "deferred", {})])
def test_a_mail_that_is_not_taken_leaves_the_one_before_accepted(
    rt: Runtime, channel: ScriptedChannel, act: str, state: str, counted: dict[str, int]
) -> None:
    channel.next("accept", act)
    assert run(rt) == (counted or {"done": 3, "retry": 1})
    assert states(rt) == ["accepted", state, "accepted", "accepted"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_who_is_told_to_stop_writes_down_what_has_left(
    rt: Runtime, channel: ScriptedChannel, error: BaseException
) -> None:
    when(rt, "connected", end(error), passing=2)
    with pytest.raises(type(error)):
        run(rt)
    assert states(rt) == ["accepted", "planned", "planned", "planned"]


def test_a_database_that_fails_the_commit_of_two_keeps_the_first(
    rt: Runtime, channel: ScriptedChannel, clock: Clock
) -> None:
    when(rt, "sending_written", end(OperationalError("COMMIT", {}, Exception("disk full"))), passing=2)
    assert run(rt) == {"done": 3, "retry": 1}
    assert states(rt) == ["accepted", "planned", "accepted", "accepted"]
    clock.advance(to=clock.now() + timedelta(hours=1))
    run(rt)
    assert states(rt) == ["accepted"] * 4
    assert sorted(readers(channel)) == list(READERS)


def test_four_workers_at_once_send_each_mail_once(either: Runtime, channel: ScriptedChannel) -> None:
    rt = either
    for number in range(12):
        plan_edition(rt, f"reader{number}@shore.example")
    assert drain.run_until_idle(rt, ticking=False, threads=4) == {"done": 16}
    assert len(channel.sent) == len(set(readers(channel))) == 16
    assert states(rt) == ["accepted"] * 16
    assert {job.attempts for job in all_rows(rt, Job)} == {1}


def test_a_hinted_job_is_not_passed_over_while_a_mail_looks_for_the_next(
    make_runtime: MakeRuntime, postgres: PostgresServer
) -> None:
    with postgres.database() as url:
        rt = make_runtime(database_url=url)
        urgent, mail = NewJob(kind="send_notice", key="urgent", priority=-2), NewJob(kind="send_deliveries", key="next")
        first = NewJob(kind="send_deliveries", key="first")
        rt.add_jobs([first])
        claim = drain.claim_next(rt)
        assert claim is not None
        (hint, _) = rt.add_jobs([urgent, mail])
        with rt.writing() as session:
            assert jobs.claim_behind(session, claim, now=rt.now(), lease=rt.lease()) is None
            hinted = drain.claim_next(rt, job_id=hint.job_id)
        assert hinted is not None
        assert hinted.kind == "send_notice"
