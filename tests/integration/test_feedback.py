"""Feedback: what a reader says of papers changes what they get, and the reasons say so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.domain.errors import InvalidInput, NotFound
from services.domain.feedback import mute_target
from services.domain.papers import AuthorData, PaperData
from services.pipeline import feedback, lineage
from services.pipeline.choose import choose
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feedback as feedback_rows
from services.storage import folding
from services.storage import subscribers as subscriber_rows
from services.storage.tables import Subscription
from tests.factories import add_feed, arxiv, entry, store

TIDES = "Lanterns along a tidal shore measure the harbour tide by brass gauges and copper buoys"
BEES = "Honey bees dance in hives; waggle dances of foraging bees are tracked by cameras"


def _papers() -> list[PaperData]:
    return [
        entry(1, title="Tidal lanterns", abstract=TIDES),
        entry(2, title="Waggle dances", abstract=BEES, authors=(AuthorData(name="Cleo Marsh"),)),
        entry(3, title="Harbour lanterns and tides", abstract=f"{TIDES} again", authors=(AuthorData(name="Dov Lind"),)),
        entry(4, title="Foraging bees", abstract=f"{BEES} again", authors=(AuthorData(name="Cleo Marsh"),)),
        entry(
            5,
            title="Parquet tilings",
            abstract="Floors by carpenters",
            authors=(AuthorData(name="E. Fir"),),
            upvotes=90,
        ),
    ]


@pytest.fixture
def subscription(rt: Runtime) -> Subscription:
    store(rt, _papers(), feed=add_feed(rt, "daily-papers"))
    with rt.writing() as session:
        made, _ = subscribe(rt, session, to="ada@shore.example", confirmed=True)
        subscriber_rows.update_subscription(session, made.id or 0, since_at=rt.now() - timedelta(days=2))
        session.refresh(made)
        session.expunge(made)
    return made


def _titles(rt: Runtime, subscription: Subscription) -> list[str]:
    with rt.reading() as session:
        picks = choose(rt, session, subscription).picks
    return [pick.paper.title for pick in picks]


def _give(rt: Runtime, subscription: Subscription, number: int, act: str, target: str = "") -> feedback.Said:
    return feedback.give(rt, subscription.id or 0, str(arxiv(number)), act, target=target)


def test_without_feedback_the_order_is_what_trends(rt: Runtime, subscription: Subscription) -> None:
    assert _titles(rt, subscription)[0] == "Parquet tilings"


def test_saved_papers_bring_their_like_to_the_top_with_the_reason(rt: Runtime, subscription: Subscription) -> None:
    _give(rt, subscription, 1, "save")
    with rt.reading() as session:
        picks = choose(rt, session, subscription).picks
        assert [p.title for p in feedback.saved(session, subscription.id or 0, now=rt.now())] == ["Tidal lanterns"]
    by_title = {pick.paper.title: pick for pick in picks}
    assert [pick.paper.title for pick in picks].index("Harbour lanterns and tides") < 2
    assert any("like “Tidal lanterns”, which you saved" in why for why in by_title["Harbour lanterns and tides"].why)


def test_less_of_a_paper_pushes_its_like_down(rt: Runtime, subscription: Subscription) -> None:
    _give(rt, subscription, 1, "more")
    _give(rt, subscription, 2, "less")
    assert set(_titles(rt, subscription)[-2:]) == {"Waggle dances", "Foraging bees"}


def test_a_later_word_takes_the_opposite_back_and_the_same_twice_is_once(
    rt: Runtime, subscription: Subscription
) -> None:
    assert not _give(rt, subscription, 1, "more").known
    assert _give(rt, subscription, 1, "more").known
    _give(rt, subscription, 1, "less")
    with rt.reading() as session:
        assert [row.act for row in feedback_rows.list_all(session, subscription.id or 0)] == ["less"]
    assert feedback.take_back(rt, subscription.id or 0, str(arxiv(1)), "less")
    assert not feedback.take_back(rt, subscription.id or 0, str(arxiv(1)), "less")


@pytest.mark.parametrize(
    ("kind", "value", "gone"),
    [
        ("author", "Cleo Marsh", {"Waggle dances", "Foraging bees"}),
        ("topic", "tidal shore", {"Tidal lanterns", "Harbour lanterns and tides"}),
        ("category", "cs.CL", {paper.title for paper in _papers()}),
    ],
)
def test_what_is_muted_is_left_out_and_explained(
    rt: Runtime, subscription: Subscription, kind: str, value: str, gone: set[str]
) -> None:
    before = set(_titles(rt, subscription))
    _give(rt, subscription, 2, "mute", mute_target(kind, value))
    assert before - set(_titles(rt, subscription)) == gone
    muted = 1 if kind == "topic" else 2
    with rt.reading() as session:
        (verdict,) = lineage.explain(session, str(arxiv(muted)), now=rt.now(), to="ada@shore.example").verdicts
    assert verdict.state == "excluded"
    assert "muted by the reader" in verdict.answer


def test_what_is_no_feedback_is_refused(rt: Runtime, subscription: Subscription) -> None:
    for act, target in (("love", ""), ("mute", ""), ("save", "cat:cs.CL"), ("mute", "nosuchfield:x")):
        with pytest.raises(InvalidInput):
            _give(rt, subscription, 1, act, target)
    with pytest.raises(NotFound):
        _give(rt, subscription, 77, "save")
    with pytest.raises(NotFound):
        feedback.give(rt, 99, str(arxiv(1)), "save")
    for kind, value in (("author", ' "" '), ("colour", "red"), ("topic", "…")):
        with pytest.raises(InvalidInput):
            mute_target(kind, value)


def test_feedback_follows_a_paper_that_is_merged(rt: Runtime, subscription: Subscription) -> None:
    _give(rt, subscription, 2, "save")
    with rt.writing() as session:
        folding.merge(session, str(arxiv(1)), str(arxiv(2)), now=rt.now())
        assert len(feedback.saved(session, subscription.id or 0, now=rt.now())) == 1
