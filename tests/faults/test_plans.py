"""The fault plans, short: every kind of fault is met in each, and nothing is lost or doubled. The long ones are run
by `python -m tests.faults`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import servers
from tests.faults import backing, kill, mixed, sabotage, simulation, smtp
from tests.faults.world import world

SEED = 20261125


@pytest.fixture(scope="module")
def outside() -> Iterator[Any]:
    """The world, shared by the plans of this module."""
    with world() as running:
        yield running


@pytest.mark.parametrize(("ambiguity", "seed"), [("hold", 1), ("resend", SEED)])  # seeds of few rounds
def test_workers_may_die_at_any_named_step(outside: Any, ambiguity: str, seed: int) -> None:
    report = kill.run(outside, faults=len(kill.KILL_POINTS), seed=seed, ambiguity=ambiguity)
    assert report.violations == []
    assert report.faults >= len(kill.KILL_POINTS)
    assert report.findings.listings > 0
    assert report.findings.deliveries > 0


def test_only_a_connection_lost_after_the_dot_leaves_doubt(outside: Any) -> None:
    report = smtp.run(outside, faults=32, seed=SEED)
    assert report.violations == []
    assert report.faults == 32
    assert report.findings.unknown == report.window


def test_days_with_crashes_come_right_whatever_the_clocks_do() -> None:
    report = simulation.run(seeds=25, seed=SEED)
    assert report.violations == []
    assert report.rounds == 25
    assert report.by_point["kill"] > 0
    assert report.by_point["pause"] > 0


def test_the_same_seed_makes_the_same_run() -> None:
    again = [simulation.run(seeds=5, seed=SEED) for _ in range(2)]
    assert len({(run.faults, run.window, run.extra["steps"]) for run in again}) == 1


@pytest.mark.parametrize("mode", ["distributed", "embedded"])
@pytest.mark.timeout(240)
def test_the_service_as_it_is_run_survives_real_faults(outside: Any, mode: str) -> None:
    try:
        report = mixed.run(outside, faults=8, seed=SEED, mode=mode, limit_s=40)
    except backing.Missing as reason:
        servers.missing(str(reason))
    assert report.violations == []
    assert report.findings.listings > 0


@pytest.mark.parametrize("rule", sabotage.VARIANTS)
def test_the_harness_notices_a_broken_rule(outside: Any, rule: str) -> None:
    patch, points = sabotage.VARIANTS[rule]
    report = sabotage.one(outside, rule, patch, points, faults=8, seed=SEED)
    assert report.violations, f"nobody noticed: {rule}"


@pytest.mark.parametrize("rule", ["no claim of expired leases", "outcome before send"])
def test_the_simulation_notices_a_broken_rule(rule: str) -> None:
    report = sabotage.simulated(rule, seeds=2 * simulation.SEEDS_A_WORLD, seed=240)
    assert report.violations, f"nobody noticed: {rule}"
