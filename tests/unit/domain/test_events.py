from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.domain.events import (
    KINDS,
    RepoState,
    accepted_at,
    changed_share,
    describe,
    paper_events,
    repo_events,
    stars_jumped,
)
from services.domain.links import EVIDENCE, is_verified, standing

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "title": "Sparse lanterns", "abstract": "We light a shore.", "version": 1, "comment": None, "journal_ref": None,
    "withdrawn": False,
}  # fmt: skip


def happened(**changes: Any) -> list[tuple[str, str, dict[str, Any]]]:
    return [(e.kind, e.key, dict(e.detail)) for e in paper_events(FACTS, {**FACTS, **changes})]


def test_nothing_happens_when_nothing_changes() -> None:
    assert happened() == []
    assert happened(comment="12 pages", upvotes=7) == []


def test_a_new_version_says_what_is_new_in_it() -> None:
    assert happened(version=2) == [("new_version", "v2", {"from": 1, "to": 2})]
    (event,) = happened(version=3, title="Denser lanterns", abstract="We light a long shore.")
    assert event == ("new_version", "v3", {"from": 1, "to": 3, "title": "Sparse lanterns", "abstract": 0.11})


def test_an_older_version_read_later_is_none() -> None:
    assert paper_events({**FACTS, "version": 3}, {**FACTS, "version": 2}) == ()
    assert paper_events({**FACTS, "version": None}, {**FACTS, "version": 1}) == ()


def test_withdrawn_is_told_once() -> None:
    assert happened(withdrawn=True) == [("withdrawn", "", {})]
    assert paper_events({**FACTS, "withdrawn": True}, {**FACTS, "withdrawn": True}) == ()


@pytest.mark.parametrize(
    ("comment", "journal", "venue"),
    [
        ("Accepted at CONF 2026", None, "CONF 2026"),
        ("12 pages, 3 figures. Accepted by CONF 2026. Code: https://x.test", None, "CONF 2026"),
        ("Accepted to the Conference on Tides (CONF)", None, "the Conference on Tides"),
        ("accepted for publication in Journal of Tides, 9 pages", None, "Journal of Tides"),
        ("To appear in CONF 2026; code to follow", None, "CONF 2026"),
        ("CONF 2026 camera-ready version for the main track", None, "the main track"),
        (None, "Journal of Tides 3 (2026) 1-9", "Journal of Tides 3 (2026) 1-9"),
        ("Submitted to CONF 2026", None, None),
        ("Under review at CONF", None, None),
        ("Submitted, not accepted yet", None, None),
        ("12 pages", None, None),
        (None, None, None),
        ("", "  ", None),
    ],
)
def test_acceptance_is_read_from_the_authors_words(comment: str | None, journal: str | None, venue: str | None) -> None:
    assert accepted_at(comment, journal) == venue


def test_accepted_is_an_event_when_the_venue_is_new() -> None:
    assert happened(comment="Accepted at CONF 2026") == [("accepted", "", {"venue": "CONF 2026"})]
    before = {**FACTS, "comment": "Accepted at CONF 2026"}
    assert paper_events(before, {**before, "journal_ref": "Proc. CONF 2026"}) == ()


def test_the_share_of_a_text_that_is_new() -> None:
    assert changed_share("a b c", "a  b c") == 0
    assert changed_share("a b c", "x y z") == 1
    assert 0 < changed_share("a b c d", "a b c e") < 1


def repo(**changes: Any) -> RepoState:
    return RepoState(**{"slug": "Quill/Shore", "state": "found", "stars": 10, "license": "MIT", **changes})


def test_a_licence_that_changes_and_a_repository_put_away() -> None:
    assert repo_events(repo(), repo()) == ()
    (licence,) = repo_events(repo(), repo(license="GPL-3.0"))
    assert (licence.kind, licence.key, licence.detail["from"]) == ("license_changed", "quill/shore GPL-3.0", "MIT")
    (put_away,) = repo_events(repo(), repo(archived=True))
    assert put_away.kind == "repo_archived"
    assert repo_events(repo(archived=True), repo(archived=True)) == ()


def test_the_first_look_at_a_repository_is_no_news() -> None:
    assert repo_events(repo(state="new", license=None), repo(archived=True)) == ()


def stars(*counts: int, step: timedelta = timedelta(days=1)) -> list[tuple[datetime, int]]:
    return [(NOW - step * (len(counts) - 1 - n), count) for n, count in enumerate(counts)]


@pytest.mark.parametrize(
    ("counts", "key"),
    [
        ((100, 110), None),
        ((4, 8), None),
        ((100, 240), "q/s x2"),
        ((100, 200, 700), "q/s x5"),
        ((1_000, 1_120), "q/s 2026-W48"),
        ((100, 9_000, 102), None),
        ((500, 3, 40), None),
        ((100,), None),
        ((), None),
    ],
)
def test_a_jump_of_stars(counts: tuple[int, ...], key: str | None) -> None:
    event = stars_jumped("Q/S", stars(*counts), NOW)
    assert (event.key if event else None) == key


def test_a_slow_climb_by_a_hundred_is_no_jump() -> None:
    assert stars_jumped("q/s", stars(*range(1_000, 1_200, 20)), NOW) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_words(kind: str) -> None:
    detail = {
        "slug": "q/s", "tag": "v1", "to": 2, "abstract": 0.2, "venue": "CONF", "stars": 900, "factor": 5, "from": None,
    }  # fmt: skip
    said = describe(kind, detail, "Sparse lanterns")
    assert said
    assert "None" not in said


def test_a_version_says_what_changed() -> None:
    assert describe("new_version", {"to": 2, "abstract": 0.1}, "T") == "v2 of “T” (abstract changed)"


def test_only_what_speaks_for_the_paper_is_verified() -> None:
    assert {e: standing(e) for e in EVIDENCE} == {
        "abstract": "official", "comment": "official", "hf": "official", "project_page": "official",
        "readme": "official", "feed": "claimed", "hf_auto": "claimed",
        "in_passing": "unrelated",
    }  # fmt: skip
    assert standing("somewhere") == "unrelated"
    assert [e for e in EVIDENCE if is_verified(e)] == ["abstract", "comment", "hf", "project_page", "readme"]
