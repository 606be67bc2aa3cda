"""States of deliveries, and whether to send."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.deliveries import (
    AMBIGUITIES,
    LIFETIMES,
    MOVES,
    SETTLED,
    STATES,
    expires_at,
    may_move,
    message_id,
    should_send,
)
from services.domain.errors import InvalidInput

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

states = st.sampled_from(STATES)
subscriber_states = st.sampled_from(["pending", "active", "unsubscribed", "suppressed"])
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_every_state_has_its_moves_and_leads_to_known_states() -> None:
    assert set(MOVES) == set(STATES)
    assert set().union(*MOVES.values()) <= set(STATES)


def test_an_accepted_delivery_never_changes() -> None:
    assert not any(may_move("accepted", to) for to in STATES)


@given(states)
def test_a_settled_delivery_is_sent_again_only_through_planned(state: str) -> None:
    if state in SETTLED:
        assert MOVES[state] <= {"planned"}


@given(states)
def test_acceptance_follows_a_committed_intent(state: str) -> None:
    assert may_move(state, "accepted") is (state in {"sending", "unknown"})


def test_unknown_states_move_nowhere() -> None:
    assert not may_move("teleported", "accepted")
    assert not may_move("planned", "teleported")


@pytest.mark.parametrize(
    ("state", "subscriber", "expires", "ambiguity", "verdict"),
    [
        ("planned", "active", LATER, "resend", "send"),
        ("planned", "active", LATER, "hold", "send"),
        ("deferred", "active", LATER, "hold", "send"),
        ("sending", "active", LATER, "resend", "send"),
        ("sending", "active", LATER, "hold", "hold"),
        ("unknown", "active", LATER, "resend", "send"),
        ("unknown", "active", NOW, "hold", "hold"),
        ("planned", "active", NOW, "resend", "expire"),
        ("deferred", "active", NOW, "resend", "expire"),
        ("sending", "active", NOW, "resend", "hold"),
        ("unknown", "active", NOW, "resend", "hold"),
        ("sending", "unsubscribed", NOW, "resend", "suppress"),
        ("planned", "unsubscribed", LATER, "resend", "suppress"),
        ("planned", "suppressed", NOW, "resend", "suppress"),
        ("planned", "pending", LATER, "resend", "suppress"),
        ("sending", "unsubscribed", LATER, "resend", "suppress"),
        ("accepted", "active", LATER, "resend", "done"),
        ("failed", "active", LATER, "resend", "done"),
        ("expired", "active", LATER, "resend", "done"),
        ("suppressed", "active", LATER, "resend", "done"),
    ],
)
def test_what_to_do_with_a_delivery(
    state: str, subscriber: str, expires: datetime, ambiguity: str, verdict: str
) -> None:
    assert should_send(state, subscriber, NOW, expires, ambiguity) == verdict


@given(states, subscriber_states, moments, moments, st.sampled_from(AMBIGUITIES))
def test_sending_needs_an_open_delivery_an_active_subscriber_and_time(
    state: str, subscriber: str, now: datetime, expires: datetime, ambiguity: str
) -> None:
    verdict = should_send(state, subscriber, now, expires, ambiguity)
    assert verdict in {"send", "suppress", "expire", "done", "hold"}
    assert (verdict == "done") is (state in SETTLED)
    if verdict == "send":
        assert subscriber == "active"
        assert now < expires
        assert not (ambiguity == "hold" and state in {"sending", "unknown"})


TARGET = {"send": "sending", "suppress": "suppressed", "expire": "expired"}


@given(states, subscriber_states, moments, moments, st.sampled_from(AMBIGUITIES))
def test_every_verdict_can_be_carried_out_by_a_legal_move(
    state: str, subscriber: str, now: datetime, expires: datetime, ambiguity: str
) -> None:
    verdict = should_send(state, subscriber, now, expires, ambiguity)
    if verdict in TARGET:
        assert may_move(state, TARGET[verdict])
    if verdict == "hold":
        assert state == "unknown" or may_move(state, "unknown")


@pytest.mark.parametrize(("state", "ambiguity"), [("lost", "resend"), ("planned", "maybe")])
def test_unknown_words_are_refused(state: str, ambiguity: str) -> None:
    with pytest.raises(InvalidInput, match=r"lost|maybe"):
        should_send(state, "active", NOW, LATER, ambiguity)


@given(st.text(min_size=1))
def test_a_message_id_is_stable_and_well_formed(delivery: str) -> None:
    made = message_id(delivery, "s3cret", "news.example.org")
    assert made == message_id(delivery, "s3cret", "news.example.org")
    assert re.fullmatch(r"<[0-9a-f]{32}@news\.example\.org>", made)


def test_message_ids_differ_by_delivery_and_by_secret() -> None:
    names = [f"{number} 7 email" for number in range(1, 1_001)]
    made = {message_id(name, secret, "example.org") for name in names for secret in ("a", "b")}
    assert len(made) == 2_000


@pytest.mark.parametrize("domain", ["", "exa mple.org", "example.org>\r\nBcc: x@y.z", "a@b.c", "-x.org", "x" * 300])
def test_a_message_id_takes_no_domain_that_could_break_the_header(domain: str) -> None:
    with pytest.raises(InvalidInput, match="no domain"):
        message_id("1 7 email", "s3cret", domain)


def test_a_message_id_needs_a_secret_and_knows_international_domains() -> None:
    with pytest.raises(InvalidInput, match="secret"):
        message_id("1 7 email", "", "example.org")
    assert message_id("1 7 email", "s", "BÜCHER.example").endswith("@xn--bcher-kva.example>")


@given(moments, st.sampled_from(sorted(LIFETIMES)))
def test_an_edition_can_be_sent_at_its_due_time_and_not_for_ever(due_at: datetime, cadence: str) -> None:
    end = expires_at(due_at, cadence)
    assert timedelta(hours=12) <= end - due_at <= timedelta(days=7)
    assert should_send("planned", "active", due_at, end, "resend") == "send"
    assert should_send("planned", "active", end, end, "resend") == "expire"


def test_an_unknown_cadence_has_no_expiry() -> None:
    with pytest.raises(InvalidInput, match="hourly"):
        expires_at(NOW, "hourly")
