"""Store: a parsed page becomes rows; the same page again changes nothing."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Engine

from services.domain.feeds import DocumentInfo
from services.domain.papers import PaperData
from services.storage import feeds, papers
from services.storage.engine import writing
from services.storage.tables import Feed
from services.upstreams import kinds
from tests.benchmarks import pages, places, reference_store
from tests.benchmarks.harness import Options, Result, rate, ratio_of
from tests.benchmarks.places import NOW, NewEngine
from tests.factories import FeedSpec

SIZE = 2_000


def parsed(records: Sequence[pages.Record]) -> tuple[PaperData, ...]:
    """The papers of an API page of these records."""
    about = DocumentInfo(feed="bench", kind="arxiv_api", fetched_at=NOW)
    return kinds.for_kind("arxiv_api").parse(pages.atom_page(records), about).papers


def add_feed(engine: Engine) -> Feed:
    """The feed the page belongs to."""
    with writing(engine) as session:
        return feeds.add(session, FeedSpec(name="bench", kind="arxiv_api"), now=NOW)


def store(engine: Engine, entries: Sequence[PaperData], feed: Feed) -> papers.Stored:
    """One page in a transaction of its own, as the parse step has it."""
    with writing(engine) as session:
        return papers.store_page(session, entries, feed=feed, source="arxiv_api", day=pages.DAY, now=NOW)


def write_by_hand(engine: Engine, entries: Sequence[PaperData], feed: Feed) -> None:
    """The same page by the script beside us."""
    reference_store.write_by_hand(
        engine, entries, source="arxiv_api", feed_id=feed.id or 0, day=pages.DAY, now=NOW
    )  # fmt: skip


def pages_of_2000(options: Options) -> Iterator[Result]:
    """A page of new papers beside the rows put back raw; the page again beside itself."""
    size = options.some(SIZE, 400)
    inputs = [("", pages.records(size))]
    if saved := pages.saved_records():
        inputs.append((", saved records", list(saved[:size])))
    with places.sqlite() as make:
        for source, records in inputs:
            yield from _on(f"SQLite{source}", make, parsed(records), options)
    with places.postgresql() as make_remote:
        if make_remote is not None:
            yield from _on("PostgreSQL", make_remote, parsed(inputs[0][1]), options)


def _on(where: str, make: NewEngine, entries: Sequence[PaperData], options: Options) -> Iterator[Result]:
    engine = make()
    store(engine, entries, add_feed(engine))
    captured = reference_store.capture(engine)
    new: list[float] = []
    again: list[float] = []
    raw: list[float] = []
    by_hand: list[float] = []
    # SQLite works in this very process, so its processor time is what it costs; PostgreSQL works elsewhere.
    clock = time.process_time if engine.dialect.name == "sqlite" else time.perf_counter
    lite = engine.dialect.name == "sqlite"
    sides = ("ours", "raw", "by hand") if lite else ("ours", "raw")
    for number in range(options.some(5, 2)):
        for side in sides if number % 2 else reversed(sides):
            engine = make()
            if side == "raw":
                raw.append(_timed(lambda engine=engine: reference_store.put_back(engine, captured), clock))  # type: ignore[misc]
                continue
            feed = add_feed(engine)
            if side == "by hand":
                by_hand.append(_timed(lambda e=engine, f=feed: write_by_hand(e, entries, f), clock))  # type: ignore[misc]
                continue
            new.append(_timed(lambda e=engine, f=feed: store(e, entries, f), clock))  # type: ignore[misc]
            again.append(_timed(lambda e=engine, f=feed: store(e, entries, f), clock))  # type: ignore[misc]
    count = len(entries)
    ratio, spread = ratio_of(new, raw)
    yield Result(
        name=f"store new, {where}", ratio=ratio, target=0.4, spread=spread,
        reference="the same rows, ready beforehand, by executemany",
        note=f"{rate(count, new)} papers/s beside {rate(count, raw)}",
    )  # fmt: skip
    if by_hand:
        ratio, spread = ratio_of(new, by_hand)
        yield Result(
            name=f"store new beside a script, {where}", ratio=ratio, target=0.4, spread=spread,
            reference="the same rows made and written by hand", note=f"{rate(count, new)} papers/s beside "
            f"{rate(count, by_hand)}",
        )  # fmt: skip
    ratio, spread = ratio_of(again, new)
    yield Result(
        name=f"store unchanged, {where}", ratio=ratio, target=5.0, spread=spread, reference="the same page new",
        note=f"{rate(count, again)} papers/s beside {rate(count, new)}",
    )  # fmt: skip


def growth(options: Options) -> Iterator[Result]:
    """The last page of a large archive beside an early one; and the memory it takes."""
    from tests.benchmarks.bench_pipeline import resident_mb

    total, size = options.some(100_000, 4_000), options.some(SIZE, 500)
    seconds: list[float] = []
    memory: list[float] = []
    with places.sqlite() as make:
        engine = make()
        feed = add_feed(engine)
        for start in range(0, total, size):
            entries = parsed(pages.records(size, start=start))
            seconds.append(_timed(lambda e=entries: store(engine, e, feed)))  # type: ignore[misc]
            memory.append(resident_mb())
    options.curves["store one page as the archive grows"] = [
        ((number + 1) * size, size / spent) for number, spent in enumerate(seconds)
    ]
    tenth = max(len(seconds) // 10, 2)
    early, late = seconds[1 : tenth + 1], seconds[-tenth:]
    yield Result(
        name=f"throughput at {total:,} papers", ratio=statistics.median(early) / statistics.median(late), target=0.8,
        reference=f"that at {tenth * size:,}", spread=0.0,
        note=f"{rate(size, late)} papers/s beside {rate(size, early)}",
    )  # fmt: skip
    grown = memory[-1] - memory[tenth]
    yield Result(
        name=f"memory flat over {total:,} papers", ratio=10.0 / max(grown, 1.0), target=1.0, spread=0.0,
        reference="growth of at most 10 MB after the first tenth",
        note=f"{memory[tenth]:.0f} MB, then {memory[-1]:.0f}",
    )  # fmt: skip


def _timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    gc.collect()
    start = clock()
    work()
    return clock() - start
