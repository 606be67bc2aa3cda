"""Measuring: interleaved rounds, medians, and ratios of what ran side by side.

Only ratios within one run mean anything, since machines are shared and noisy. Each round runs both sides, the
order changing from round to round; the ratio of a benchmark is the median of its rounds' ratios.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Side = Callable[[], float]
"""One run of one side: does the work and returns the seconds that count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the table. `ratio` is how many times as fast as the reference we are, or how much of an
    allowance is left to us (allowed / used): in both cases more is better and `target` is the least wanted; 0 where
    the line is there for comparison and nothing is wanted of it."""

    name: str
    ratio: float
    target: float
    reference: str
    spread: float
    """Distance of the quartiles of the rounds' ratios, as a part of the median; 0 where a number is counted."""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the target is reached."""
        return self.ratio >= self.target

    def as_json(self) -> dict[str, Any]:
        """As written to a file."""
        return {
            "name": self.name, "ratio": round(self.ratio, 3), "target": self.target, "reference": self.reference,
            "spread": round(self.spread, 3), "ok": self.ok, "note": self.note,
        }  # fmt: skip


@dataclass(slots=True)
class Options:
    """How much to do: `quick` is for looking whether it works at all, with the same code."""

    quick: bool = False
    rounds: int = 7
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Curves to be drawn: (size, items a second)."""
    units: dict[str, str] = field(default_factory=dict)
    """Of curves that show something other than papers/s."""
    papers: int = 0
    """How many papers a backfill, or the archive of `pages`, has; 0 leaves it to the benchmark."""

    def some(self, full: int, quick: int) -> int:
        """A size: `full`, or `quick`."""
        return quick if self.quick else full


def cpu(work: Callable[[], object], *, times: int = 1) -> Side:
    """A side that costs its processor time: for work in this process alone.

    What is soon done is done `times` times in a round, so that a round is long enough to be measured, and in memory as
    this work leaves it, not as the other side did: what counts is the mean.
    """

    def run() -> float:
        start = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - start) / times

    return run


def wall(work: Callable[[], object]) -> Side:
    """A side that costs the time that passes: where others work for us."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def rounds(sides: Sequence[Side], *, count: int, warm: bool = True) -> list[list[float]]:
    """The seconds of each side in each round, as `[side][round]`."""
    if warm:
        for side in sides:
            side()
    times: list[list[float]] = [[] for _ in sides]
    for number in range(count):
        order = list(range(len(sides)))
        if number % 2:
            order.reverse()
        for which in order:
            gc.collect()
            times[which].append(sides[which]())
    return times


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """(median, spread) of how many times as fast `ours` was, round by round."""
    ratios = [their / max(our, 1e-9) for our, their in zip(ours, theirs, strict=True)]
    middle = statistics.median(ratios)
    if len(ratios) < 3:
        return middle, (max(ratios) - min(ratios)) / middle
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, (high - low) / middle


def compare(
    name: str, ours: Side, theirs: Side, *, target: float, reference: str, items: int, unit: str, count: int,
    warm: bool = True,
) -> Result:  # fmt: skip
    """Run both sides `count` times; the note gives the rates that were seen, `items` a run."""
    first, second = rounds([ours, theirs], count=count, warm=warm)
    ratio, spread = ratio_of(first, second)
    note = f"{rate(items, first)} {unit}/s beside {rate(items, second)}"
    return Result(name=name, ratio=ratio, target=target, reference=reference, spread=spread, note=note)


def rate(items: int, seconds: Sequence[float]) -> str:
    """Items a second by the median."""
    return f"{items / max(statistics.median(seconds), 1e-9):,.0f}"


def allowance(name: str, *, used: float, allowed: float, what: str, note: str = "") -> Result:
    """A thing counted rather than timed: at most `allowed` may be used."""
    return Result(
        name=name, ratio=allowed / used if used else float(allowed) or 1.0, target=1.0, reference=what, spread=0.0,
        note=note or f"{used:g} used of {allowed:g}",
    )  # fmt: skip
