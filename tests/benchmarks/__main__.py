"""`python -m tests.benchmarks [NAME…] [--quick] [--json FILE] [--plots FOLDER]`: run them, print the table.

`python -m tests.benchmarks fit` measures anew what `broadsheet plan` reckons with, and writes it down.
Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from tests.benchmarks import (
    bench_backfill,
    bench_digests,
    bench_match,
    bench_pages,
    bench_parse,
    bench_peers,
    bench_pipeline,
    bench_plan,
    bench_process,
    bench_repositories,
    bench_store,
    bench_workers,
)
from tests.benchmarks.harness import Options, Result
from tests.benchmarks.svg import curve
from tests.servers import SESSION
from workers.embedded import keep_what_is_loaded

BENCHMARKS: dict[str, Callable[[Options], Iterator[Result]]] = {
    "parse": bench_parse.bare,
    "feedparser": bench_parse.beside_feedparser,
    "store": bench_store.pages_of_2000,
    "end-to-end": bench_pipeline.end_to_end,
    "poll": bench_pipeline.idle_poll,
    "queue": bench_pipeline.queue_cost,
    "match": bench_match.shared,
    "process": bench_process.embedded,
    "growth": bench_store.growth,
    "repositories": bench_repositories.kept_fresh,
    "pages": bench_pages.on_sqlite,
    "pages-postgresql": bench_pages.on_postgresql,
    "digests": bench_digests.queued,
    "send": bench_digests.sent,
    "backfill": bench_backfill.grown,
    "workers": bench_workers.scaled,
    "peers": bench_peers.beside,
    "plan": bench_plan.check,
}
"""Every benchmark by the name `--only` takes."""
FIT = "fit"


def run(names: Sequence[str], options: Options, say: Callable[[str], None]) -> list[Result]:
    """Run the named benchmarks one after another."""
    results: list[Result] = []
    for name in names:
        for result in BENCHMARKS[name](options):
            say(f"{result.name}: {result.ratio:.2f} ({result.note})")
            results.append(result)
    return results


def table(results: Sequence[Result]) -> Table:
    """The results for a terminal."""
    shown = Table("benchmark", "ratio", "target", "spread", "reference", "seen", title="more is better")
    for one in results:
        colour = ("green" if one.ok else "red") if one.target else "default"
        wanted = f"{one.target:g}" if one.target else "-"
        shown.add_row(one.name, f"[{colour}]{one.ratio:.2f}[/]", wanted, f"{one.spread:.0%}", one.reference, one.note)
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when every target is reached, 1 when one is missed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], FIT, *sorted(BENCHMARKS)], metavar="NAME", help="these alone")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: does it work at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as a JSON array")
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS), metavar="NAME", help="this one alone")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw how cost grows there, as SVG")
    parser.add_argument(
        "--papers", type=int, default=0, metavar="N", help="how many `backfill` takes in, and `pages` holds"
    )
    given = parser.parse_args(arguments)
    options = Options(quick=given.quick, papers=given.papers)
    keep_what_is_loaded()  # as every worker does
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    try:
        if given.names == [FIT]:
            bench_plan.fit(options)
            return 0
        named = [*given.names, *(given.only or [])] or list(BENCHMARKS)
        results = run(named, options, lambda line: print(line, file=sys.stderr, flush=True))
    finally:
        structlog.configure(**before)
    if given.plots:
        given.plots.mkdir(parents=True, exist_ok=True)
        for title, points in options.curves.items():
            (given.plots / f"{title.replace(' ', '-')}.svg").write_text(
                curve(title, points, options.units.get(title, "papers/s"))
            )
    if given.json:
        given.json.write_text(json.dumps([one.as_json() for one in results], indent=2) + "\n")
    Console().print(table(results))
    return 0 if all(one.ok for one in results) else 1


if __name__ == "__main__":
    with SESSION:
        sys.exit(main())
