"""What editions of one query and minute have in common is worked out, read and rendered once."""

from __future__ import annotations

from typing import Any

import pytest

from services.pipeline import choose, feedback, messages
from services.runtime import Runtime
from services.storage import archive, subscribers
from tests.factories import add_feed, entry, store


@pytest.fixture
def news(rt: Runtime) -> None:
    store(rt, [entry(n) for n in range(1, 6)], feed=add_feed(rt, "daily-papers"))


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[object]:
    calls: list[object] = []
    real = getattr(module, name)

    def count(*args: Any, **named: Any) -> Any:
        calls.append(args)
        return real(*args, **named)

    monkeypatch.setattr(module, name, count)
    return calls


def picks(rt: Runtime, subscription_id: int) -> list[str]:
    with rt.reading() as session:
        subscription, _ = subscribers.get_subscription(session, subscription_id)
        return [pick.paper.key for pick in choose.choose(rt, session, subscription).picks]


def subscription(rt: Runtime, to: str) -> int:
    from services.pipeline.subscribe import subscribe

    with rt.writing() as session:
        made, _ = subscribe(rt, session, to=to, confirmed=True)
        return made.id or 0


@pytest.mark.usefixtures("news")
def test_readers_without_a_taste_share_their_order_and_others_have_their_own(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (subscription(rt, f"{name}@shore.example") for name in ("ada", "bram", "chloe"))
    for one in (first, second, third):
        with rt.writing() as session:
            subscribers.update_subscription(session, one, since_at=rt.now().replace(year=2020))
    orders = counted(monkeypatch, feedback, "order")
    assert picks(rt, first) == picks(rt, second) != []
    assert len(orders) == 1
    feedback.give(rt, third, picks(rt, first)[-1], "save")
    picks(rt, third)
    picks(rt, third)
    assert len(orders) == 3


@pytest.mark.usefixtures("news")
def test_the_papers_of_the_same_edition_are_read_once_a_minute(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    with rt.reading() as session:
        loads = counted(monkeypatch, archive, "load")
        found = messages._papers(rt, session, (1, 2), rt.now().replace(second=1))
        assert messages._papers(rt, session, (1, 2), rt.now().replace(second=59)) is found
        assert len(loads) == 1
        messages._papers(rt, session, (2, 1), rt.now())
        assert len(loads) == 2
    assert list(found.facts) == [1, 2]
