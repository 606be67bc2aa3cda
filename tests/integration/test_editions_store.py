"""Editions and deliveries: each once, moved by the rules alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from services.domain.deliveries import STATES, may_move
from services.domain.errors import LeaseLost, NotFound
from services.runtime import Runtime
from services.storage import deliveries, editions, subscribers
from services.storage.tables import Delivery, Edition, EditionItem, Subscription
from tests.factories import add_feed, all_rows, entry, store


def an_edition(rt: Runtime, period: str = "2026-11-25", subscription: int = 1) -> int | None:
    with rt.writing() as session:
        return editions.add(
            session,
            {"subscription_id": subscription, "period": period, "composed_at": rt.now(), "due_at": rt.now(),
             "matched": 3, "considered": 5, "sources": [{"feed": "hf"}], "skipped": None},
        )  # fmt: skip


def a_delivery(rt: Runtime, edition: int, subscriber: int = 1, **values: Any) -> int | None:
    row = {
        "edition_id": edition, "subscriber_id": subscriber, "channel": "email", "state": "planned", "parts": {},
        "message_id": f"<{edition}.{subscriber}@x.example>", "attempts": 0, "planned_at": rt.now(),
        "expires_at": rt.now() + timedelta(days=1), "updated_at": rt.now(),
    }  # fmt: skip
    with rt.writing() as session:
        return deliveries.add(session, {**row, **values})


def a_subscription(rt: Runtime, to: str = "ada@example.org") -> tuple[int, int]:
    with rt.writing() as session:
        person = subscribers.ensure(session, channel="email", address=to, confirmed=True, now=rt.now())
        row = Subscription(subscriber_id=person.id or 0, name="Daily", created_at=rt.now(), since_at=rt.now())
        session.add(row)
        session.flush()
        return row.id or 0, person.id or 0


def test_a_subscription_has_one_edition_a_period(rt: Runtime) -> None:
    first = an_edition(rt)
    assert first is not None
    assert an_edition(rt) is None
    assert an_edition(rt, "2026-11-26") not in (None, first)
    assert an_edition(rt, subscription=2) is not None
    (row, *_) = all_rows(rt, Edition, id=first)
    assert (row.period, row.matched, row.considered, row.sources) == ("2026-11-25", 3, 5, [{"feed": "hf"}])


def test_a_subscription_gets_a_paper_once_ever(rt: Runtime) -> None:
    first, second = an_edition(rt) or 0, an_edition(rt, "2026-11-26") or 0
    item = {"subscription_id": 1, "paper_id": 9, "rank": 1, "why": ["x"], "late": False}
    with rt.writing() as session:
        editions.add_items(session, [{**item, "edition_id": first}])
    with pytest.raises(IntegrityError), rt.writing() as session:
        editions.add_items(session, [{**item, "edition_id": second}])
    assert [i.edition_id for i in all_rows(rt, EditionItem)] == [first]


def test_an_edition_has_one_delivery_to_a_subscriber_by_a_channel(rt: Runtime) -> None:
    edition = an_edition(rt) or 0
    assert a_delivery(rt, edition) is not None
    assert a_delivery(rt, edition, message_id="<another@x.example>") is None
    assert a_delivery(rt, edition, channel="slack", message_id="<slack@x.example>") is not None


def test_two_deliveries_never_share_a_message_id(rt: Runtime) -> None:
    edition = an_edition(rt) or 0
    a_delivery(rt, edition, message_id="<same@x.example>")
    with pytest.raises(IntegrityError):
        a_delivery(rt, edition, subscriber=2, message_id="<same@x.example>")


@pytest.mark.parametrize("state", STATES)
def test_a_delivery_moves_by_the_rules_alone(rt: Runtime, state: str) -> None:
    edition = an_edition(rt) or 0
    for number, to in enumerate(STATES, 1):
        delivery = a_delivery(rt, edition, subscriber=number, state=state) or 0
        with rt.writing() as session:
            if may_move(state, to):
                deliveries.move(session, delivery, to, now=rt.now(), detail="moved")
            else:
                with pytest.raises(LeaseLost):
                    deliveries.move(session, delivery, to, now=rt.now(), detail="moved")
        (row,) = all_rows(rt, Delivery, id=delivery)
        assert (row.state, row.detail) == ((to, "moved") if may_move(state, to) else (state, None))


def test_deliveries_are_listed_with_their_papers_in_order(rt: Runtime) -> None:
    _, person = a_subscription(rt)
    feed = add_feed(rt, "hf")
    papers = store(rt, [entry(n) for n in (1, 2, 3)], feed=feed).paper_ids
    edition = an_edition(rt) or 0
    with rt.writing() as session:
        editions.add_items(
            session,
            [
                {"edition_id": edition, "subscription_id": 1, "paper_id": paper, "rank": rank, "why": [], "late": False}
                for rank, paper in ((2, papers[0]), (1, papers[2]))
            ],
        )
    delivery = a_delivery(rt, edition, subscriber=person)
    with rt.reading() as session:
        ((found, subscriber, keys),) = deliveries.list_all(session, edition_id=edition)
        assert (found.id, subscriber.address) == (delivery, "ada@example.org")
        assert keys == ["arxiv:2611.90003", "arxiv:2611.90001"]
        assert deliveries.list_all(session, states=["failed"]) == []
        assert deliveries.counts(session, since=rt.now()) == {("email", "planned"): 1}
        assert [i.paper_id for i in editions.items(session, edition)] == [papers[2], papers[0]]


def test_what_is_not_there_is_told_by_number(rt: Runtime) -> None:
    with rt.reading() as session:
        with pytest.raises(NotFound, match="no delivery 7"):
            deliveries.get(session, 7)
        with pytest.raises(NotFound, match="no edition 7"):
            editions.get(session, 7)
        with pytest.raises(NotFound, match="no subscription 7"):
            subscribers.get_subscription(session, 7)
    wanted, person = a_subscription(rt)
    with rt.writing() as session:
        session.delete(subscribers.get(session, person))
    with rt.reading() as session, pytest.raises(NotFound, match=f"no subscription {wanted}"):
        subscribers.get_subscription(session, wanted)


def test_a_mail_address_subscribes_once_whatever_its_case(rt: Runtime) -> None:
    assert a_subscription(rt, "Ada@Example.org")[1] == _person(rt, "ada@example.ORG")
    assert _person(rt, "bram@example.org") != _person(rt, "ada@example.org")


def _person(rt: Runtime, address: str) -> int | None:
    with rt.writing() as session:
        return subscribers.ensure(session, channel="email", address=address, confirmed=False, now=rt.now()).id


def test_confirming_activates_who_was_pending_or_had_left_but_not_who_is_suppressed(rt: Runtime) -> None:
    with rt.writing() as session:
        person = subscribers.ensure(session, channel="email", address="a@x.example", confirmed=False, now=rt.now())
        assert person.state == "pending"
        number = person.id or 0
    for before, after in (("pending", "active"), ("unsubscribed", "active"), ("suppressed", "suppressed")):
        with rt.writing() as session:
            subscribers.set_state(session, number, before)
        with rt.writing() as session:
            subscribers.ensure(session, channel="email", address="a@x.example", confirmed=True, now=rt.now())
        with rt.reading() as session:
            assert subscribers.get(session, number).state == after


def test_only_active_subscriptions_of_active_subscribers_are_due(rt: Runtime) -> None:
    subscription, person = a_subscription(rt)

    def due() -> int:
        with rt.reading() as session:
            return len(subscribers.list_due(session, now=rt.now()))

    assert due() == 0  # no time set
    with rt.writing() as session:
        subscribers.update_subscription(session, subscription, next_edition_at=rt.now())
    assert due() == 1
    with rt.writing() as session:
        subscribers.set_state(session, person, "unsubscribed")
    assert due() == 0
    with rt.writing() as session:
        subscribers.set_state(session, person, "active")
        subscribers.update_subscription(session, subscription, state="paused")
    assert due() == 0
