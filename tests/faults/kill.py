"""Plan 1: workers that die, or stop for longer than their lease, at every named step of every stage.

Each round a new day begins: works are announced, fetched, parsed, their repositories read; then editions are due,
composed and sent. Workers are forked one after another, each with the step at which it ends. When a round is over,
what the world announced and took is compared with what the archive holds.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from services.domain.jobs import STAGE_OF, STAGES
from tests.faults.audit import Expected, Findings, audit
from tests.faults.ground import BEGIN, Fault, Ground, ground

GATHERING = (
    "tick.written", "tick.committed", "claim.written", "claim.committed",
    "housekeeping.begun", "housekeeping.written", "housekeeping.committed",
    "failure.written", "failure.committed",
    "fetch_feed.asking", "fetch_feed.answered", "fetch_feed.begun", "fetch_feed.written", "fetch_feed.committed",
    "parse_document.read", "parse_document.parsed", "parse_document.begun", "parse_document.written",
    "parse_document.committed",
    "enrich_repos.asking", "enrich_repos.answered", "enrich_repos.begun", "enrich_repos.written",
    "enrich_repos.committed",
)  # fmt: skip
"""Steps from the schedule to the archive, in order; the house is kept at once, for stages take turns."""

NOTIFYING = (
    "compose_edition.ready", "compose_edition.begun", "compose_edition.written", "compose_edition.committed",
    "send_deliveries.rendered", "send_deliveries.connected", "send_deliveries.sending_written",
    "send_deliveries.intended", "send_deliveries.dotted", "send_deliveries.answered",
    "send_deliveries.accepted_written", "send_deliveries.accepted_committed",
)  # fmt: skip
"""Steps from the edition to its receipt, in order."""

KILL_POINTS = GATHERING + NOTIFYING
READERS = 6
A_ROUND, FEW = 2, 12
"""The part of the steps at which workers end in one round, and how many those are at least."""
MOST_ON_ONE = 3
"""Workers that may die of one job in a row, where there are others of its kind: five are its end."""

WINDOW = frozenset({
    "send_deliveries.intended", "send_deliveries.dotted", "send_deliveries.answered",
    "send_deliveries.accepted_written",
})  # fmt: skip
"""Steps between the commit of the intent and that of the outcome: here nobody can say whether a message left."""

BEFORE_THE_DOT = "send_deliveries.intended"
"""The step of these at which the mail has not left yet."""

JOBS = {
    "fetch_feed": 4, "parse_document": 4, "enrich_repos": 4, "compose_edition": READERS, "send_deliveries": READERS,
}  # fmt: skip
"""At least so many jobs of a kind has a round. Faults fall on any of them, while enough are left for those to come."""


@dataclass(slots=True)
class Report:
    """What a plan did and what came of it."""

    name: str
    faults: int = 0
    by_point: Counter[str] = field(default_factory=Counter)
    window: int = 0
    rounds: int = 0
    seconds: float = 0.0
    findings: Findings = field(default_factory=Findings)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def violations(self) -> list[str]:
        """What was wrong; empty when nothing was."""
        return self.findings.violations


def run(
    world: Any, *, faults: int, seed: int, ambiguity: str, patch: Callable[[], None] | None = None,
    points: Sequence[str] = KILL_POINTS, stop_early: bool = False, pauses: float = 0.3,
) -> Report:  # fmt: skip
    """Let `faults` workers end or stop; with `stop_early` return at the first violation."""
    chance = random.Random(f"{seed} {ambiguity}")
    report = Report(f"kill points, {ambiguity}")
    began = time.monotonic()
    world.begin()
    with ground(world, ambiguity=ambiguity, readers=READERS, patch=patch) as here:
        plan = _Plan(here, report, chance, ambiguity, pauses)
        plan.round([], fork=False)
        while report.faults < faults:
            # Those met least come first, so that what was not reached in this round is in the next. And not all at
            # once: who finds too few jobs left to end at a step does all the others, and leaves none for later steps.
            # The house is kept once in a phase, and tried five times only.
            wanted = min(max(len(points) // A_ROUND, FEW), max(faults - report.faults, 1))
            order = sorted(points, key=lambda point: (report.by_point[point], chance.random()))
            house = [point for point in order if point.startswith("housekeeping")]
            plan.round([point for point in order if point not in house[2:]][:wanted])
            report.findings = plan.audit()
            if report.violations and stop_early:
                break
        report.extra["by_act"] = dict(plan.by_act)
    report.seconds = time.monotonic() - began
    return report


class _Plan:
    def __init__(self, here: Ground, report: Report, chance: random.Random, ambiguity: str, pauses: float) -> None:
        self._here, self._report, self._chance = here, report, chance
        self._ambiguity, self._pauses = ambiguity, pauses
        self._doubled = 0
        self._doubts: set[tuple[int, int]] = set()
        self._odd: list[str] = []
        self._clean = False
        self.by_act: Counter[str] = Counter()

    def round(self, chosen: Sequence[str], *, fork: bool = True) -> list[str]:
        """One day with these faults; returns the steps that were not passed so often."""
        here, day = self._here, BEGIN + timedelta(days=self._report.rounds)
        self._report.rounds += 1
        here.world.announce(day.date())
        here.clock.turn_to(day)
        if not fork:
            here.warm_up()
        missed = self._phase([p for p in KILL_POINTS if p in chosen and p in GATHERING])
        here.clock.turn_to(day.replace(hour=8, minute=0, second=5))
        if not fork:
            here.warm_up()
        return missed + self._phase([p for p in KILL_POINTS if p in chosen and p in NOTIFYING])

    def _phase(self, points: Sequence[str]) -> list[str]:
        missed = []
        left, hit = dict(JOBS), Counter[str]()
        # Who takes over from a worker that was stopped does all there is to do: a pause ends the phase.
        may_stop = [p for p in points if self._may_pause(p)]
        stops = self._chance.choice(may_stop) if may_stop and self._chance.random() < self._pauses else ""
        for place, point in enumerate(points):
            kind = point.partition(".")[0]
            needed = sum(self._uses_up(later) for later in points[place:] if later.startswith(kind))
            spare = max(min(left.get(kind, 0) - max(needed, 1), 2), 0)
            # A job whose workers die again and again is given up, and rightly: the next one takes its turn.
            passing = 1 + self._chance.randint(int(hit[kind] >= MOST_ON_ONE and spare > 0), spare)
            hit[kind] = 0 if passing > 1 or self._uses_up(point) else hit[kind] + 1
            left[kind] = left.get(kind, 0) - (passing - 1) - self._uses_up(point)
            if point.startswith("failure."):
                self._here.world.fail("/hf/api", 503)
            act = "pause" if point == stops else "kill"
            ended = self._here.work(Fault(point, passing, act), recover=self._clean, stages=_up_to(kind))
            if ended == "idle":
                missed.append(point)
                continue
            self._count(point, act)
            self._clean = act == "kill" and self._chance.random() < 0.5
            if not self._clean:
                self._here.clock.advance(self._here.settings.lease_s + 1)
            if ended == "paused":
                self._take_over()
                missed += points[place + 1 :]
                break
        self._settle()
        return missed

    def _uses_up(self, point: str) -> int:
        """Whether a job is over once a worker has ended here."""
        return int(point.endswith("committed") or (point in WINDOW and self._ambiguity == "hold"))

    @staticmethod
    def _may_pause(point: str) -> bool:
        # Inside a transaction on SQLite everybody else would wait for who is paused.
        return not point.endswith(("written", "begun"))

    def _take_over(self) -> None:
        """Another worker does everything; then the one that was stopped goes on, and must change nothing."""
        self._settle()
        self._here.go_on()

    def _settle(self) -> None:
        for _ in range(5):
            if self._here.work(recover=self._clean) == "idle":
                break
        self._clean = False

    def _count(self, point: str, act: str) -> None:
        self._report.faults += 1
        self._report.by_point[point] += 1
        self.by_act[act] += 1
        doubts = self._here.archive.in_doubt() - self._doubts
        self._doubts |= doubts
        if len(doubts) != (point in WINDOW):
            self._odd.append(f"{len(doubts)} deliveries in doubt at {point}, {int(point in WINDOW)} must be")
        self._report.window += len(doubts)
        # A worker that dies before the dot sends nothing; one that goes on after a pause does.
        left = point != BEFORE_THE_DOT or act == "pause"
        self._doubled += len(doubts) * (left and self._ambiguity == "resend")

    def audit(self) -> Findings:
        """Compare the outside with the inside."""
        world = self._here.world
        window = self._report.window if self._ambiguity == "hold" else 0
        found = audit(
            self._here.archive,
            Expected(
                announced=world.announced(), repos=world.repos(), mails=world.mails(), readers=self._here.readers,
                ambiguity=self._ambiguity, unknown=(window, window), doubled=(self._doubled, self._doubled),
            ),
        )  # fmt: skip
        found.violations += self._odd
        return found


def _up_to(kind: str) -> Sequence[str]:
    """The stages of a worker that is to end at a step of such a job: what comes later is left for those after it."""
    if kind == "housekeeping":
        return (STAGE_OF[kind],)
    return STAGES[: STAGES.index(STAGE_OF.get(kind, STAGES[0])) + 1]
