"""`python -m tests.faults --faults N --seed S [--json FILE] [--plan kill|mixed|smtp|simulation|sabotage|all]`

Breaks the service in every way the plans know, lets it settle, and compares what the world announced and took with
what the archive holds. Prints a table; the last line is the verdict; exit code 1 on any violation.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import structlog

from tests.faults import backing, kill, mixed, sabotage, simulation, smtp
from tests.faults.kill import KILL_POINTS, Report
from tests.faults.world import world

PLANS = ("kill", "mixed", "smtp", "simulation", "sabotage")
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
    for mode, share, limit_s in (("distributed", 0.9, 0.7), ("embedded", 0.1, 0.3)):
        report = mixed.run(
            outside, faults=max(int(options.faults * share), 8), seed=options.seed, mode=mode,
            limit_s=options.limit_s * limit_s, timing=options.faults >= 100,
        )  # fmt: skip
        kinds = "  ".join(f"{kind} {n}" for kind, n in report.by_point.most_common())
        yield kinds, report


def _smtp(outside: Any, options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    for ambiguity, share in (("hold", 0.75), ("resend", 0.25)):
        report = smtp.run(outside, faults=max(int(options.faults * share), 32), seed=options.seed, ambiguity=ambiguity)
        yield f"{len(report.by_point)}/32 kinds of incident", report


def _simulation(_: Any, options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    report = simulation.run(seeds=max(options.faults, 1), seed=options.seed, limit_s=options.limit_s / 4)
    yield (
        f"{report.extra['seeds']} seeds, {report.extra['steps']} steps, {report.extra['seeds_per_s']} seeds/s",
        report,
    )


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
}  # fmt: skip


def _show(words: str, report: Report) -> None:
    found = report.findings
    _say(f"{report.name:24} {report.faults:5} faults {report.seconds:7.1f} s   {words}")
    if found.listings:
        _say(
            f"{'':24} listings {found.listings - found.lost_listings}/{found.listings}   papers {found.papers}, "
            f"doubled {found.doubled_papers}   deliveries {found.deliveries}, missing {found.missing}, "
            f"twice {found.doubled}, unknown {found.unknown} (window {report.window})"
        )
    for kind, seconds in report.extra.get("recovery_s", {}).items():
        _say(f"{'':24} well again {seconds:6.2f} s after {kind}")
    for words in report.violations[:10]:
        _say(f"{'':24} VIOLATION {words}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plans; 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="how many faults each plan makes (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same plan")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--plan", choices=(*PLANS, "all"), default="all")
    parser.add_argument("--limit-s", type=float, default=360, help="longest the mixed plan may take, in seconds")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that what was started is stopped
    structlog.configure(logger_factory=_quiet, processors=[lambda *_: ""])
    began = time.monotonic()
    reports: list[Report] = []
    missing: list[str] = []
    with world() as outside:
        for plan in PLANS if options.plan == "all" else (options.plan,):
            try:
                for words, report in RUN[plan](outside, options):
                    _show(words, report)
                    reports.append(report)
            except backing.Missing as reason:
                missing.append(f"{plan}: {reason}")
                _say(f"{plan:24} not run: {reason}")
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
