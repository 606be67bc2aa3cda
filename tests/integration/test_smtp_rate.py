"""The mail server's pace: so many a second, so many in any hour, over all workers; what waits is not lost."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from services.domain.errors import RateLimited
from services.pipeline import send
from services.pipeline.drain import run_until_idle
from services.runtime import Runtime
from services.storage.tables import Delivery
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, plan_edition, store
from tests.fakes import Clock, ScriptedChannel


def _runtime(make_runtime: MakeRuntime, database_url: str, **settings: Any) -> tuple[Runtime, ScriptedChannel]:
    rt = make_runtime(database_url=database_url, smtp_url="smtp://mail.example", gate_scale=1, **settings)
    channel = ScriptedChannel()
    rt.channels = {**rt.channels, "email": channel}
    store(rt, [entry(1)], feed=add_feed(rt, "daily-papers", paused=True))
    for number in range(5):
        plan_edition(rt, f"reader{number}@shore.example", priority=number)
    return rt, channel


def test_no_more_than_the_limit_leave_in_any_hour(make_runtime: MakeRuntime, database_url: str, clock: Clock) -> None:
    rt, channel = _runtime(make_runtime, database_url, smtp_per_hour=2)
    run_until_idle(rt, ticking=False)
    assert len(channel.sent) == 2
    clock.advance(minutes=67)
    run_until_idle(rt, ticking=False)
    assert len(channel.sent) == 4
    clock.advance(minutes=67)
    run_until_idle(rt, ticking=False)
    assert sorted(to for _, to, _ in channel.sent) == [f"reader{n}@shore.example" for n in range(5)]
    times = sorted(row.sent_at for row in all_rows(rt, Delivery))
    assert all(times[n + 2] - times[n] >= timedelta(hours=1) for n in range(3))


def test_mails_keep_their_distance(make_runtime: MakeRuntime, database_url: str, clock: Clock) -> None:
    rt, channel = _runtime(make_runtime, database_url, smtp_per_second=0.5)
    run_until_idle(rt, ticking=False, patience=timedelta(minutes=5))
    assert len(channel.sent) == 5
    times = sorted(row.sent_at for row in all_rows(rt, Delivery))
    assert all(later - earlier >= timedelta(seconds=2) for earlier, later in pairwise(times))


def test_waiting_says_how_long(make_runtime: MakeRuntime) -> None:
    rt, _ = _runtime(make_runtime, "", smtp_per_hour=1)
    run_until_idle(rt, ticking=False)
    with pytest.raises(RateLimited) as caught:
        send._keep_to_rate(rt)
    assert caught.value.retry_after is not None
    assert timedelta(minutes=59) < caught.value.retry_after <= timedelta(hours=1)
