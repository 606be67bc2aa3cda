"""Kinds, stages and legal moves of jobs."""

from __future__ import annotations

import pytest

from services.domain.jobs import MOVES, STAGE_OF, STAGES, STATES, NewJob, may_move
from services.pipeline.drain import HANDLERS


def test_every_kind_belongs_to_a_stage_and_can_be_run() -> None:
    assert set(STAGE_OF.values()) <= set(STAGES)
    assert set(HANDLERS) == set(STAGE_OF)


@pytest.mark.parametrize("kind", STAGE_OF)
def test_a_job_knows_its_stage(kind: str) -> None:
    assert NewJob(kind=kind, key="k").stage == STAGE_OF[kind]


def test_an_unknown_kind_has_no_stage() -> None:
    with pytest.raises(KeyError):
        _ = NewJob(kind="nothing", key="k").stage


def test_moves_lead_from_state_to_state() -> None:
    assert set(MOVES) == set(STATES)
    assert {to for targets in MOVES.values() for to in targets} <= set(STATES)


@pytest.mark.parametrize(
    ("state", "to", "legal"),
    [
        ("ready", "running", True),
        ("running", "done", True),
        ("running", "ready", True),
        ("running", "dead", True),
        ("running", "running", True),  # taken over
        ("dead", "ready", True),  # a person asks
        ("done", "ready", True),
        ("done", "running", False),
        ("dead", "running", False),
        ("dead", "done", False),
        ("ready", "dead", False),
        ("nothing", "ready", False),
    ],
)
def test_a_move_is_legal_or_not(state: str, to: str, legal: bool) -> None:
    assert may_move(state, to) is legal


def test_every_state_can_be_left_so_that_nothing_is_stuck() -> None:
    assert all(MOVES.values())
