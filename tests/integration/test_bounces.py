"""Bounces: what comes back ends the mail to an address, once and for whoever subscribes it."""

from __future__ import annotations

from datetime import timedelta

from services.domain.bounces import Bounce
from services.pipeline.bounces import record_bounce
from services.runtime import Runtime
from services.storage import subscribers, suppressions
from tests.fakes import Clock

KEY = "email:ada@shore.example"


def _subscriber(rt: Runtime) -> str:
    with rt.writing() as session:
        return subscribers.ensure(
            session, channel="email", address="ada@shore.example", confirmed=True, now=rt.now()
        ).state


def _bounce(rt: Runtime, kind: str, report: bytes, address: str = "Ada@Shore.example") -> bool:
    (noted,) = record_bounce(rt, [Bounce(address=address, kind=kind, code="5.1.1", detail="no")], report=report)
    return noted.suppressed


def test_a_hard_bounce_or_a_complaint_suppresses_at_once(rt: Runtime) -> None:
    assert _subscriber(rt) == "active"
    assert _bounce(rt, "hard", b"one")
    assert _subscriber(rt) == "suppressed"
    assert _bounce(rt, "complaint", b"two", "bram@shore.example")
    with rt.reading() as session:
        assert {row.address_key: row.reason for row in suppressions.page(session)} == {
            KEY: "hard", "email:bram@shore.example": "complaint",
        }  # fmt: skip


def test_what_was_said_is_searched_only_by_those_who_see_addresses(rt: Runtime) -> None:
    with rt.writing() as session:
        said = "550 5.1.1 <ada@shore.example> unknown"
        suppressions.suppress(session, KEY, reason="by_hand", detail=said, now=rt.now())
    with rt.reading() as session:
        for text, seen in (("ada@shore", 0), ("unknown", 0), ("by hand", 1)):
            assert len(suppressions.page(session, text=text, in_addresses=False)) == seen
            assert len(suppressions.page(session, text=text)) == 1


def test_soft_bounces_suppress_when_they_are_five_within_a_month(rt: Runtime, clock: Clock) -> None:
    _subscriber(rt)
    _bounce(rt, "soft", b"long ago")
    clock.advance(days=31)
    for number in range(4):
        assert not _bounce(rt, "soft", b"%d" % number)
        assert not _bounce(rt, "soft", b"%d" % number), "the same report counts once"
        clock.advance(days=1)
    assert _bounce(rt, "soft", b"the fifth")
    assert _subscriber(rt) == "suppressed"


def test_a_suppressed_address_stays_so_for_a_new_subscriber(rt: Runtime) -> None:
    _bounce(rt, "hard", b"one")
    assert _subscriber(rt) == "suppressed"


def test_a_person_may_lift_it_and_old_reports_are_forgotten(rt: Runtime, clock: Clock) -> None:
    _subscriber(rt)
    for number in range(5):
        _bounce(rt, "soft", b"%d" % number)
    with rt.writing() as session:
        assert suppressions.lift(session, KEY, now=rt.now())
        assert not suppressions.lift(session, KEY, now=rt.now())
    assert _subscriber(rt) == "active"
    clock.advance(seconds=timedelta(days=1).total_seconds())
    assert not _bounce(rt, "soft", b"again")


def test_who_has_left_is_not_marked_anew(rt: Runtime) -> None:
    with rt.writing() as session:
        row = subscribers.ensure(session, channel="email", address="ada@shore.example", confirmed=True, now=rt.now())
        subscribers.set_state(session, row.id or 0, "unsubscribed")
    _bounce(rt, "hard", b"one")
    with rt.reading() as session:
        assert subscribers.get(session, row.id or 0).state == "unsubscribed"
