"""`python -m tests.faults --faults N --seed S [--json FILE] [--plan kill|mixed|smtp|simulation|sabotage|all]`

Breaks the service in every way the plans know, lets it settle, and compares what the world announced and took with
what the archive holds. Prints a table; the last line is the verdict; exit code 1 on any violation.

`--plan simulation --seeds N` runs the simulation alone, `--plan recovery` takes the time that each kind of fault costs,
`--soak 15m` runs the embedded service at low load and watches what it uses.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import structlog

from tests.faults import backing, kill, mixed, recovery, sabotage, simulation, smtp, soak
from tests.faults.kill import KILL_POINTS, Report
from tests.faults.world import world

ONE_BY_ONE = ("kill", "smtp", "simulation", "sabotage")
"""With `all` these follow one another, and the mixed plan runs beside them."""
MODES = ("distributed", "embedded")
"""Of the recovery plan, one beside the other."""
MOST_INCIDENTS = 128
"""Of the mail server beside other plans: each of the 32 kinds four times."""
_quiet = structlog.ReturnLoggerFactory()


def _say(words: str = "") -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def _kill(outside: Any, options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    for ambiguity, part in (("hold", options.faults - options.faults // 2), ("resend", options.faults // 2)):
        if part:
            report = kill.run(outside, faults=part, seed=options.seed, ambiguity=ambiguity)
            met = [report.by_point[point] for point in KILL_POINTS]
            acts = ", ".join(f"{n} {act}" for act, n in sorted(report.extra["by_act"].items()))
            hit = f"{sum(map(bool, met))}/{len(met)} points, least {min(met)} ({acts})"
            yield hit, report


def _mixed(outside: Any, options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    embedded = max(options.faults * 6 // 100, 8)
    for mode, faults, limit_s in (("distributed", options.faults - embedded, 0.72), ("embedded", embedded, 0.28)):
        report = mixed.run(
            outside, faults=max(faults, 8), seed=options.seed, mode=mode, limit_s=options.limit_s * limit_s
        )
        kinds = "  ".join(f"{kind} {n}" for kind, n in report.by_point.most_common())
        yield kinds, report


def _smtp(outside: Any, options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    wanted = options.faults if options.plan == "smtp" else min(options.faults, MOST_INCIDENTS)
    for ambiguity, share in (("hold", 0.75), ("resend", 0.25)):
        faults = max(int(wanted * share), 32)
        report = smtp.run(outside, faults=faults, seed=options.seed, ambiguity=ambiguity)
        yield f"{len(report.by_point)}/32 kinds of incident", report


def _simulation(_: Any, options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    report = simulation.run(
        seeds=options.seeds or max(options.faults, 1), seed=options.seed, processes=os.cpu_count() or 1,
        limit_s=options.limit_s if options.plan == "simulation" else options.limit_s / 4,
    )  # fmt: skip
    did = report.extra
    yield (
        f"{did['seeds']} seeds in {did['worlds']} worlds, {did['steps']} steps, {did['seeds_per_s']} seeds/s "
        f"({did['seeds_per_cpu_s']} per second of one core)",
        report,
    )


def _recovery(outside: Any, options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    yield "", recovery.run(outside, mode=options.mode, times=options.times, seed=options.seed, kinds=options.kind)


def _sabotage(outside: Any, options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    reports = sabotage.run(outside, faults=8, seed=options.seed)
    caught = Report("sabotage")
    caught.faults = sum(report.faults for report in reports.values())
    caught.seconds = sum(report.seconds for report in reports.values())
    for name, report in reports.items():
        if not report.violations:
            caught.violations.append(f"not noticed: {name}")
        caught.extra[name] = report.violations[:1]
    noticed = sum(bool(report.violations) for report in reports.values())
    yield f"{noticed}/{len(reports)} broken rules noticed", caught


RUN: dict[str, Callable[[Any, argparse.Namespace], Iterator[tuple[str, Report]]]] = {
    "kill": _kill, "mixed": _mixed, "smtp": _smtp, "simulation": _simulation, "sabotage": _sabotage,
    "recovery": _recovery,
}  # fmt: skip


def _show(words: str, report: Report, say: Callable[[str], None]) -> None:
    found = report.findings
    say(f"{report.name:24} {report.faults:5} faults {report.seconds:7.1f} s   {words}")
    if found.listings:
        say(
            f"{'':24} listings {found.listings - found.lost_listings}/{found.listings}   papers {found.papers}, "
            f"doubled {found.doubled_papers}   deliveries {found.deliveries}, missing {found.missing}, "
            f"twice {found.doubled}, unknown {found.unknown} (window {report.window})"
        )
    if "recovery_s" in report.extra:
        for line in recovery.as_table(report.extra["recovery_s"]):
            say(line)
    for words in report.violations[:10]:
        say(f"{'':24} VIOLATION {words}")


def seconds_in(text: str) -> float:
    """`90`, `90s`, `15m` or `2h`."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        return float(number) * UNITS[unit]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; say 90s, 15m or 2h") from None


UNITS = {"s": 1, "m": 60, "h": 3600}


Share = tuple[str, argparse.Namespace]
"""A plan and what it is to be run with."""
Done = tuple[list[Report], str]
"""What a plan reported; why it was not run, or nothing."""


def _one(plan: str, options: argparse.Namespace, *, say: Callable[[str], None] = _say) -> Done:
    """Run a plan in a world of its own."""
    reports: list[Report] = []
    try:
        with world() as outside:
            for words, report in RUN[plan](outside, options):
                _show(words, report, say)
                reports.append(report)
    except backing.Missing as reason:
        say(f"{plan:24} not run: {reason}")
        return reports, f"{plan}: {reason}"
    return reports, ""


@contextmanager
def _beside(plan: str, options: argparse.Namespace) -> Iterator[Callable[[], Done]]:
    """Run a plan in another process: what is real waits a lot, and the others count. The function waits for its end."""
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def run() -> None:
        said: list[str] = []
        theirs.send((*_one(plan, options, say=said.append), said))

    process = context.Process(target=run)
    process.start()
    theirs.close()

    def wait() -> Done:
        reports, missing, said = ours.recv()
        for words in said:
            _say(words)
        return reports, missing

    try:
        yield wait
    finally:
        process.terminate()
        process.join()


def _shares(options: argparse.Namespace) -> tuple[list[Share], list[Share]]:
    """What is run here, one after another, and what beside it."""
    if options.plan == "all":
        return [(plan, options) for plan in ONE_BY_ONE], [("mixed", options)]
    if options.plan == "recovery":
        first, second = ((options.plan, argparse.Namespace(**vars(options), mode=mode)) for mode in MODES)
        return [first], [second]
    return [(options.plan, options)], []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plans; 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="how many faults each plan makes (default 200)")
    parser.add_argument("--seeds", type=int, help="how many seeds the simulation runs (default: as many as faults)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same plan")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--plan", choices=(*RUN, "all"), default="all", help="all: every plan but recovery")
    parser.add_argument("--limit-s", type=float, default=480, help="longest the mixed plan may take, in seconds")
    parser.add_argument("--times", type=int, default=3, help="how often the recovery plan makes each kind of fault")
    kinds = (*mixed.DISTRIBUTED, *mixed.EMBEDDED)
    parser.add_argument(
        "--kind", action="append", choices=dict.fromkeys(kinds), default=[], metavar="KIND",
        help=f"of the recovery plan, only this (again for more): {', '.join(dict.fromkeys(kinds))}",
    )  # fmt: skip
    parser.add_argument("--soak", type=seconds_in, metavar="TIME", help="run the service at low load for so long: 15m")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that what was started is stopped
    structlog.configure(logger_factory=_quiet, processors=[lambda *_: ""])
    if options.soak:
        return soak.main(options.soak, say=_say, json_to=options.json)
    began = time.monotonic()
    here, beside = _shares(options)
    with ExitStack() as stack:
        waits = [stack.enter_context(_beside(*share)) for share in beside]
        done = [_one(*share) for share in here] + [wait() for wait in waits]
    reports = [report for found, _ in done for report in found]
    missing = [reason for _, reason in done if reason]
    violations = [words for report in reports for words in report.violations]
    if options.json:
        options.json.write_text(json.dumps([_figures(report) for report in reports], indent=2) + "\n")
    faults = sum(report.faults for report in reports)
    unknown = sum(report.findings.unknown for report in reports)
    verdict = "FAIL" if violations or missing else "PASS"
    _say(
        f"verdict: {verdict}   {faults} faults, {len(violations)} violations, {unknown} deliveries unknown, "
        f"{time.monotonic() - began:.0f} s   "
        f"replay: --faults {options.faults} --seed {options.seed} --plan {options.plan}"
    )
    return 1 if verdict == "FAIL" else 0


def _figures(report: Report) -> dict[str, Any]:
    found = report.findings
    return {
        "plan": report.name, "faults": report.faults, "by_point": dict(report.by_point), "rounds": report.rounds,
        "seconds": round(report.seconds, 1), "window": report.window, "listings": found.listings,
        "listings_lost": found.lost_listings, "papers": found.papers, "papers_doubled": found.doubled_papers,
        "deliveries": found.deliveries, "deliveries_missing": found.missing, "mails_twice": found.doubled,
        "unknown": found.unknown, "violations": report.violations, **report.extra,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
