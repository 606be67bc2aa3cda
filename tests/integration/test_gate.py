"""The gate: however many processes read arXiv by however many interfaces, it sees one call at a time, well apart.

`python -m tests.integration.test_gate 300` runs the same with arXiv's own three seconds for five minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Self

import pytest

from config.settings import Settings
from services import runtime
from services.domain.errors import RateLimited, UpstreamUnavailable
from services.domain.feeds import FeedInfo, FeedRequest
from services.runtime import Runtime
from services.storage import schema, service
from services.storage.engine import make_engine
from services.storage.tables import Gate, Notice
from services.upstreams import kinds
from tests.conftest import MakeRuntime
from tests.factories import all_rows
from tests.fakes import Clock
from tests.servers import PostgresServer
from workers.demo.exchange import Answer, Ask, text_answer
from workers.demo.faults import Trouble
from workers.demo.replay import Replay
from workers.demo.server import LoopbackServer

FEEDS = (
    FeedInfo(name="query", kind="arxiv_api", params={"query": "cat:cs.CL"}),
    FeedInfo(name="announcements", kind="arxiv_rss", params={"category": "cs.CL"}),
    FeedInfo(name="harvest", kind="arxiv_oai", params={"set": "cs"}),
)


@dataclass(slots=True)
class Arxiv:
    """A local arXiv that notes when each call came in and when its answer left; answering takes `takes_s`."""

    takes_s: float = 0.03
    spans: list[tuple[float, float, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: LoopbackServer | None = None

    def __enter__(self) -> Self:
        self._server = LoopbackServer(0, self._handle, lambda _: Trouble(), lambda *_: None)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.stop()

    @property
    def base_url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.port}"

    def _handle(self, ask: Ask) -> Answer:
        began = time.monotonic()
        time.sleep(self.takes_s)
        with self._lock:
            self.spans.append((began, time.monotonic(), ask.path))
        return text_answer("an answer")

    def shortest_gap(self) -> float:
        """The shortest time from one call to the next."""
        begun = sorted(began for began, _, _ in self.spans)
        return min(b - a for a, b in pairwise(begun))

    def overlapping(self) -> int:
        """How many calls came in before the one before them was answered."""
        spans = sorted(self.spans)
        return sum(later[0] < earlier[1] for earlier, later in pairwise(spans))


def call_without_end(home: str, base_url: str, database_url: str, scale: float, seconds: float, ready: Barrier) -> None:
    """One process: a thread for each of the three interfaces, each calling as often as it is let in."""
    settings = Settings(
        _env_file=None, home=Path(home), database_url=database_url, arxiv_api_url=f"{base_url}/api",
        arxiv_rss_url=f"{base_url}/rss", arxiv_oai_url=f"{base_url}/oai", gate_scale=scale,
        allowed_private_hosts="127.0.0.1", secret_key="a key for tests only",
    )  # fmt: skip
    rt = Runtime.from_settings(settings)
    ready.wait(timeout=120)
    until = time.monotonic() + seconds

    def calls(feed: FeedInfo) -> None:
        request = kinds.for_kind(feed.kind).request(feed, rt.urls)
        while time.monotonic() < until:
            try:
                rt.get(request)
            except RateLimited as error:
                time.sleep(min((error.retry_after or timedelta(seconds=1)).total_seconds(), 1.0))

    threads = [threading.Thread(target=calls, args=(feed,)) for feed in FEEDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rt.close()


def under_load(home: Path, database_url: str, *, scale: float, seconds: float, processes: int = 2) -> Arxiv:
    """Let processes call arXiv by all three interfaces; the local arXiv with what it saw."""
    engine = make_engine(database_url or f"sqlite:///{home / 'broadsheet.db'}")
    schema.migrate(engine)
    engine.dispose()
    context = multiprocessing.get_context("fork")
    with Arxiv() as arxiv:
        ready = context.Barrier(processes)
        workers = [
            context.Process(
                target=call_without_end, args=(str(home), arxiv.base_url, database_url, scale, seconds, ready)
            )
            for _ in range(processes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=seconds + 180)
            assert worker.exitcode == 0
    return arxiv


SCALE = 0.03
"""arXiv's three seconds, shortened."""


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_two_processes_and_three_interfaces_make_one_polite_caller(
    tmp_path: Path, backend: str, request: pytest.FixtureRequest
) -> None:
    if backend == "sqlite":
        arxiv = under_load(tmp_path, "", scale=SCALE, seconds=2)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database() as url:
            arxiv = under_load(tmp_path, url, scale=SCALE, seconds=2)
    assert len(arxiv.spans) >= 8, "so few calls would prove nothing"
    assert {path.split("/")[1] for _, _, path in arxiv.spans} == {"api", "rss", "oai"}
    assert arxiv.overlapping() == 0
    assert arxiv.shortest_gap() >= 3 * SCALE


# --- hosts that are silent, or say how much is left ----------------------------------------------------------


def _die_inside(settings: Settings, entered: Barrier) -> None:
    rt = Runtime.from_settings(settings)
    with rt.gate("arxiv.org", alone=True):
        entered.wait(20)
        os.kill(os.getpid(), signal.SIGKILL)


def test_who_is_killed_inside_keeps_others_out_for_no_longer_than_it_says(
    make_runtime: MakeRuntime, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "HOLD_GATE", timedelta(seconds=1.5))
    rt = make_runtime(real_time=True, database_url=database_url, fetch_deadline_s=60)
    context = multiprocessing.get_context("fork")
    entered = context.Barrier(2)
    victim = context.Process(target=_die_inside, args=(rt.settings, entered))
    victim.start()
    entered.wait(20)
    victim.join(20)
    began = time.monotonic()
    with rt.gate("arxiv.org", alone=True):
        waited = time.monotonic() - began
    assert waited < 5


def test_who_is_long_inside_stays_alone(
    make_runtime: MakeRuntime, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "HOLD_GATE", timedelta(seconds=0.6))
    monkeypatch.setattr(runtime, "KEEP_GATE_EVERY_S", 0.1)
    rt = make_runtime(real_time=True, database_url=database_url)
    with rt.gate("arxiv.org", alone=True):
        time.sleep(1.2)
        with rt.writing() as session:
            _, again_at = service.try_gate(session, "arxiv.org", interval=timedelta(0), now=rt.now())
        assert again_at is not None
    with rt.gate("arxiv.org", alone=True):
        pass
    assert all(gate.held_until is None for gate in all_rows(rt, Gate))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gate-")]


def silent_call(rt: Runtime, gate: str = "blog.example") -> None:
    with pytest.raises(UpstreamUnavailable), rt.gate(gate):
        raise UpstreamUnavailable("no connection")


def test_a_host_that_is_silent_five_times_is_left_alone_and_told_of_once(rt: Runtime, clock: Clock) -> None:
    for _ in range(service.BREAKER_AFTER):
        silent_call(rt)
    with pytest.raises(RateLimited) as caught, rt.gate("blog.example"):
        pytest.fail("the gate is closed")
    assert caught.value.retry_after is not None
    assert timedelta(seconds=59) <= caught.value.retry_after <= timedelta(seconds=67)
    waits = []
    for _ in range(8):
        (gate,) = all_rows(rt, Gate)
        clock.advance(to=gate.free_at)
        silent_call(rt)
        waits.append(all_rows(rt, Gate)[0].free_at - rt.now())
    minutes = [wait / timedelta(minutes=1) for wait in waits]
    assert all(low <= wait <= low * 1.11 for low, wait in zip((2, 4, 8, 16, 30, 30, 30, 30), minutes, strict=True))
    assert [(n.kind, n.subject) for n in all_rows(rt, Notice)] == [("host_down", "blog.example")]


def test_a_silent_host_is_tried_by_one_caller_and_opens_when_it_answers(rt: Runtime, clock: Clock) -> None:
    for _ in range(service.BREAKER_AFTER):
        silent_call(rt)
    clock.advance(minutes=2)
    with rt.gate("blog.example"):
        clock.advance(seconds=1)
        with rt.writing() as session:
            failures, again_at = service.try_gate(
                session, "blog.example", interval=timedelta(0), now=rt.now(), probe=timedelta(seconds=65)
            )
        assert (failures, again_at is not None) == (service.BREAKER_AFTER, True)
    for _ in range(3):
        with rt.gate("blog.example"):
            pass
    assert all(gate.failures == 0 for gate in all_rows(rt, Gate))
    assert [n.kind for n in all_rows(rt, Notice)] == ["host_down", "host_up"]


def test_an_answer_of_any_kind_is_no_silence(rt: Runtime) -> None:
    for status in (500, 503, 404) * 3:
        with pytest.raises(UpstreamUnavailable), rt.gate("blog.example"):
            raise UpstreamUnavailable("an answer", status=status)
    assert all(gate.failures == 0 for gate in all_rows(rt, Gate))


def test_a_host_that_says_that_next_to_nothing_is_left_is_not_called_until_it_is_filled_up(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = make_runtime(replay=replay)
    spent = {"RateLimit": '"api";r=5;t=120', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
    replay.fail_next("/hf", 200, headers=spent, body=b"[]")
    request = FeedRequest(url=f"{replay.base_url}/hf/api/daily_papers?date=2026-11-24", gate="huggingface.co")
    rt.get(request)
    with pytest.raises(RateLimited) as caught:
        rt.get(request)
    assert caught.value.retry_after == timedelta(seconds=120)
    clock.advance(seconds=120)
    rt.get(request)
    assert replay.count("/hf") == 2


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        seen = under_load(Path(folder), "", scale=1.0, seconds=float(sys.argv[1]))
    print(f"{len(seen.spans)} calls, shortest gap {seen.shortest_gap():.3f} s, {seen.overlapping()} at once")
