"""How fresh each feed is, as Prometheus reads it: the age, the objective, whether it is met, how fast it burns."""

from __future__ import annotations

from math import inf

from services.runtime import Runtime
from services.storage import batches
from services.storage.tables import Batch
from tests.conftest import MakeRuntime
from tests.factories import add_feed
from tests.fakes import Clock
from workers.web.metrics import freshness_metrics


def measured(rt: Runtime) -> dict[tuple[str, str], float]:
    with rt.reading() as session:
        return {
            (sample.name, sample.labels["feed"]): sample.value
            for metric in freshness_metrics(session, rt.now())
            for sample in metric.samples
        }


def test_each_polled_feed_has_its_age_and_those_with_an_objective_more(make_runtime: MakeRuntime, clock: Clock) -> None:
    rt = make_runtime()
    add_feed(rt, "never", fresh_minutes=60)
    add_feed(rt, "rests", fresh_minutes=60, paused=True)
    for name, minutes in (("kept", 120), ("missed", 10), ("free", None)):
        feed = add_feed(rt, name, fresh_minutes=minutes)
        with rt.writing() as session:
            session.add(Batch(feed_id=feed.id or 0, batch="2026-11-25", state="complete", seen=3, checked_at=rt.now()))
            assert batches.find(session, feed.id or 0, "2026-11-25") is not None
    clock.advance(minutes=60)
    found = measured(rt)
    assert found["broadsheet_feed_age_seconds", "kept"] == found["broadsheet_feed_age_seconds", "free"] == 3600
    assert found["broadsheet_feed_age_seconds", "never"] == inf
    assert (found["broadsheet_feed_fresh", "kept"], found["broadsheet_feed_burn_ratio", "kept"]) == (1, 0.5)
    assert (found["broadsheet_feed_fresh", "missed"], found["broadsheet_feed_burn_ratio", "missed"]) == (0, 6)
    assert (found["broadsheet_feed_fresh", "never"], found["broadsheet_feed_burn_ratio", "never"]) == (0, inf)
    assert found["broadsheet_feed_objective_seconds", "missed"] == 600
    assert ("broadsheet_feed_fresh", "free") not in found
    assert not [name for name, feed in found if feed == "rests"]
