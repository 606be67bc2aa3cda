"""The benchmarks of digests, mail, peers, backfills and the plan, each at its smallest. Nothing is said of how fast."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from services.domain.measured import FIGURES
from services.domain.messages import Message
from tests import servers
from tests.benchmarks import (
    bench_backfill,
    bench_digests,
    bench_plan,
    bench_workers,
    pages,
    peers,
    places,
    reference_mail,
    scale_run,
)
from tests.benchmarks.bench_pipeline import by_start, pages_of
from tests.benchmarks.harness import Options
from tests.benchmarks.mail_sink import sink
from tests.benchmarks.scale_run import Part, Seen

MESSAGE = Message(
    message_id="<1@shore.example>",
    subject="Tides",
    text="The tide.",
    html="<p>The tide.</p>",
    date=places.NOW,
    list_id="",
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    yield
    structlog.configure(**before)


def test_the_bare_loop_puts_together_about_as_much_as_we_do() -> None:
    with places.runtime() as rt:
        every = bench_digests.readers(rt, 2, papers=14)
        view = bench_digests._view(rt, every[0])
        ours = bench_digests.render(rt, bench_digests.compose(rt, every, "2026-11-25")) / 2
    bare = sum(map(len, reference_mail.mails(view, 2))) / 2
    assert ours == pytest.approx(bare, rel=0.15)


def test_mails_are_handed_over_and_each_step_is_in_the_ledger() -> None:
    with sink() as port:
        result = bench_digests._through_the_ledger(port, MESSAGE, Options(quick=True))
    assert result.ratio > 0


def test_peers_take_in_the_same_papers(tmp_path: Path) -> None:
    records = pages.records(4)
    readers = ["reader", "reader-search"] if importlib.util.find_spec("reader") else []
    with places.Pages(by_start(pages_of(records, peers.PAGE))) as upstream:
        for name in ("broadsheet", "plain", "plain-full", *readers):
            folder = tmp_path / name
            folder.mkdir()
            spent = peers.PEERS[name](upstream.url, len(records), folder)
            assert spent.seconds > 0, name
            assert spent.rss_mb > 10, name


def test_a_backfill_says_how_it_went_as_it_grew() -> None:
    options = Options(quick=True, papers=4)
    through, memory = bench_backfill.grown(options)
    assert "4 papers" in through.name
    assert "4 papers" in memory.name
    assert len(options.curves["memory as the archive grows"]) == 4
    assert options.units["memory as the archive grows"] == "MB"


def seen(factor: float = 1.0) -> Seen:
    """What a run of the smallest check would come to if everything cost what the figures say, times `factor`."""
    papers, readers, polls = 100, 33, 5
    each = FIGURES.edition_s * factor
    return Seen(
        papers=Part(papers, FIGURES.paper_s * papers * factor, grown=int(FIGURES.paper_bytes * papers)),
        polls=Part(polls, FIGURES.poll_s * polls * factor), editions=Part(readers, each * readers),
        narrow=Part(20, each * 20), wide=Part(20, each * 20), wide_papers=2_500,
        whole=Part(4, each * 4), whole_papers=8_500,
        mails=Part(readers, FIGURES.mail_s * readers * factor),
        document_bytes=0, mail_bytes=int(FIGURES.mail_wire_bytes), message_bytes=FIGURES.message_bytes,
        job_bytes=FIGURES.job_bytes, reader_bytes=900.0, backup_share=0.2, rss_mb=FIGURES.worker_mb,
    )  # fmt: skip


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (3.0, False)])
def test_the_plan_is_held_against_what_a_run_used(monkeypatch: pytest.MonkeyPatch, factor: float, right: bool) -> None:
    monkeypatch.setattr(scale_run, "run", lambda **_: seen(factor))
    monkeypatch.setattr(bench_plan, "_query_s", lambda _: FIGURES.query_s)
    results = {one.name.partition(": ")[2]: one for one in bench_plan.check(Options(quick=True))}
    assert results["processor of render and send"].ok is right
    assert ("(-67%)" in results["processor of render and send"].note) is not right
    assert results["mail"].ok


def test_what_was_measured_is_written_as_a_module(tmp_path: Path) -> None:
    module = tmp_path / "measured.py"
    module.write_text(bench_plan.MODULE.read_text())
    bench_plan._write(module, replace(FIGURES, mail_s=0.125))
    values: dict[str, object] = {"__name__": "services.domain.measured"}
    exec(compile(module.read_text(), str(module), "exec"), values)
    assert values["FIGURES"].mail_s == 0.125  # type: ignore[attr-defined]
    assert str(values["MACHINE"]).endswith("PostgreSQL beside it")


def test_two_workers_are_held_against_one(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def redis() -> Iterator[servers.RedisServer]:
        server = servers.RedisServer("redis://127.0.0.1:1/0")
        monkeypatch.setattr(server, "flush", lambda: None)
        yield server

    monkeypatch.setattr(servers, "redis_server", redis)
    monkeypatch.setattr(places, "postgresql", places.sqlite)
    monkeypatch.setattr(bench_workers, "_run", lambda *_, workers, **__: 4.0 / workers)
    monkeypatch.setattr(bench_workers, "_job_s", lambda *_: 0.05)
    two, queue = bench_workers.scaled(Options(quick=True))
    assert (two.ratio, two.ok) == (2.0, True)
    assert queue.ratio == pytest.approx(0.5)
