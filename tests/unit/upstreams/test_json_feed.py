"""JSON Feed: items, their names and dates, and what is none."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from services.domain.errors import MalformedDocument
from services.domain.feeds import DocumentInfo
from services.upstreams import json_feed

SAMPLES = Path(__file__).parents[2] / "upstreams"
ABOUT = DocumentInfo(feed="notes", kind="rss", fetched_at=datetime(2026, 11, 24, tzinfo=UTC))


def feed(*items: object, **more: Any) -> bytes:
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": list(items), **more}).encode()


def test_items_become_papers() -> None:
    parsed = json_feed.parse((SAMPLES / "blog.json").read_bytes(), ABOUT)
    first, second = parsed.papers
    assert parsed.title == "Jar Notes"
    assert [str(one) for one in first.identifiers] == ["url:https://notes.example.org/7"]
    assert (first.title, first.abstract, first.categories) == ("Seven jars", "Seven jars.", ("jars",))
    assert [one.name for one in first.authors] == ["Ana Lima"]
    assert first.published_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert first.announced_on == date(2026, 11, 20)
    assert [str(one) for one in second.identifiers] == ["doi:10.1234/j.8"]
    assert second.title == "A paper on jars that we liked."


def test_unusable_items_are_rejected_by_position() -> None:
    parsed = json_feed.parse((SAMPLES / "blog.json").read_bytes(), ABOUT)
    assert [(one.reason, one.position) for one in parsed.rejected] == [
        ("duplicate of entry 2", 3),
        ("the item is text, not an object", 4),
        ("no title", 5),
    ]


def test_version_one_has_a_single_author_and_may_lie_about_types() -> None:
    parsed = json_feed.parse(
        feed({"id": "1", "title": "T", "author": {"name": "A B and C D"}, "tags": "x", "date_published": 5, "url": []}),
        ABOUT,
    )
    (paper,) = parsed.papers
    assert [one.name for one in paper.authors] == ["A B", "C D"]
    assert (paper.published_at, paper.categories, paper.identifiers) == (None, (), ())


def test_html_becomes_text() -> None:
    parsed = json_feed.parse(
        feed({"id": "1", "title": "a < b", "content_html": "<script>x</script><p>One</p><p>Two</p>"}), ABOUT
    )
    assert (parsed.papers[0].title, parsed.papers[0].abstract) == ("a < b", "One Two")


def test_no_items_is_quiet_and_too_many_are_cut() -> None:
    assert json_feed.parse(feed(), ABOUT).quiet
    parsed = json_feed.parse(feed(*[{"id": str(number), "title": "T"} for number in range(2_001)]), ABOUT)
    assert len(parsed.papers) == 2_000
    assert "2001 items" in parsed.notes[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 1, "items": []}',
        b'{"version": "https://jsonfeed.org/version/1"}',
        b"<rss/>",
        b'{"a":' * 50_000,
    ],
)
def test_another_document_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedDocument, match="expected a JSON Feed"):
        json_feed.parse(body, ABOUT)
