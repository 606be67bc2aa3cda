"""A restore sends nothing again: what may have left since the backup waits for a person, and is known as told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.pipeline import drain, schedule, send, transfer
from services.pipeline.restored import Held, hold_what_may_have_left
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds
from services.storage.tables import Delivery, Edition, Feed, Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, store
from tests.fakes import Clock, ScriptedChannel
from tests.integration.test_cli_database import postgres_programs

EIGHT = "08:00"


@pytest.fixture
def channel() -> ScriptedChannel:
    return ScriptedChannel()


@pytest.fixture(params=["hold", "resend"])
def rt(
    make_runtime: MakeRuntime, database_url: str, channel: ScriptedChannel, request: pytest.FixtureRequest
) -> Runtime:
    """A service on each database, under each rule for lost answers, with one reader at eight each morning."""
    rt = make_runtime(
        smtp_url="smtp://127.0.0.1:9", database_url=database_url, smtp_ambiguity=request.param, digest_wait_minutes=0
    )
    rt.channels = {**rt.channels, "email": channel}
    with rt.writing() as session:
        subscribe(rt, session, to="ada@example.org", at=EIGHT, timezone="UTC", confirmed=True)
    return rt


def a_feed(rt: Runtime) -> Feed:
    feed = add_feed(rt, "hf")
    with rt.writing() as session:
        feeds.update_feed(session, feed.id or 0, next_check_at=rt.now() + timedelta(days=400))
    return feed


def live(rt: Runtime) -> None:
    drain.run_until_idle(rt, stages=["notify"])


def told(channel: ScriptedChannel) -> list[str]:
    return [message.text for message, _, _ in channel.sent]


def restored(rt: Runtime, file: Path) -> Held:
    transfer.restore(rt, file)
    return hold_what_may_have_left(rt)


def test_what_left_after_the_backup_does_not_leave_again(
    rt: Runtime, channel: ScriptedChannel, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_programs(monkeypatch, rt.engine.dialect.name)
    feed = a_feed(rt)
    store(rt, [entry(1)], feed=feed)
    channel.next("defer")
    clock.advance(to=datetime(2026, 11, 26, 8, 0, 1, tzinfo=UTC))
    live(rt)  # composed, and put off by the mail server
    store(rt, [entry(2)], feed=feed)
    transfer.backup(rt, tmp_path / "copy")
    clock.advance(minutes=30)
    live(rt)  # the first leaves
    clock.advance(to=datetime(2026, 11, 27, 8, 0, 1, tzinfo=UTC))
    live(rt)  # and so does the next day's
    assert len(channel.sent) == 2
    clock.advance(hours=1)

    assert restored(rt, tmp_path / "copy") == Held(deliveries=0, expired=1, editions=1)
    live(rt)
    clock.advance(hours=20)
    live(rt)
    assert len(channel.sent) == 2
    assert sorted(d.state for d in all_rows(rt, Delivery)) == ["expired", "unknown"]

    # What is new is told next morning, and nothing else.
    store(rt, [entry(3)], feed=feed)
    clock.advance(to=datetime(2026, 11, 28, 8, 0, 1, tzinfo=UTC))
    live(rt)
    assert len(channel.sent) == 3
    assert "part 3" in told(channel)[2]
    assert "part 1" not in told(channel)[2]
    assert "part 2" not in told(channel)[2]


def test_a_person_who_knows_that_it_did_not_arrive_sends_it(
    rt: Runtime, channel: ScriptedChannel, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_programs(monkeypatch, rt.engine.dialect.name)
    store(rt, [entry(1)], feed=a_feed(rt))
    channel.next("defer")
    clock.advance(to=datetime(2026, 11, 26, 8, 0, 1, tzinfo=UTC))
    live(rt)
    transfer.backup(rt, tmp_path / "copy")
    clock.advance(minutes=30)
    assert restored(rt, tmp_path / "copy") == Held(deliveries=1, expired=0, editions=0)
    clock.advance(hours=1)
    live(rt)
    assert channel.sent == []
    assert [d.state for d in all_rows(rt, Delivery)] == ["unknown"]
    assert all(job.state == "done" for job in all_rows(rt, Job, kind="send_deliveries"))
    (edition,) = all_rows(rt, Edition)
    assert send.resend(rt, edition.id) == 1
    live(rt)
    assert len(channel.sent) == 1
    assert [d.state for d in all_rows(rt, Delivery)] == ["accepted"]


def test_an_edition_that_was_being_composed_is_not_sent_either(
    rt: Runtime, channel: ScriptedChannel, clock: Clock
) -> None:
    store(rt, [entry(1)], feed=a_feed(rt))
    clock.advance(to=datetime(2026, 11, 26, 8, 0, 1, tzinfo=UTC))
    schedule.tick(rt)  # a backup made now has the job, not done yet
    assert hold_what_may_have_left(rt) == Held(deliveries=0, expired=0, editions=0)
    live(rt)
    assert channel.sent == []
    assert [d.state for d in all_rows(rt, Delivery)] == ["unknown"]
