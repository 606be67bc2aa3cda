"""An edition as JSON data for programs: the facts, not the wording.

`{"type": "edition", "version": 1, "edition": {…}, "sources": […], "papers": […]}`; times are ISO 8601 in UTC,
dates ISO, an unknown fact is `null`. Fields may be added within a version, never renamed or removed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.digests.entries import legible, plain
from services.domain.digests import CodeFacts, EditionItem, EditionView, SourceStatus
from services.domain.text import clean, safe_url

VERSION = 1


def webhook_data(view: EditionView) -> dict[str, Any]:
    """The edition as a JSON-able dict; texts are cleaned, unsafe URLs are `null`."""
    return {
        "type": "edition",
        "version": VERSION,
        "edition": {
            "name": plain(view.name, 200),
            "query": plain(view.query, 2_000) or None,
            "date": view.edition_date.isoformat(),
            "timezone": plain(view.timezone, 80),
            "composed_at": _time(view.composed_at),
            "matched": view.matched,
            "considered": view.considered,
            "facts_checked_at": _time(view.facts_checked_at),
            "cadence": plain(view.cadence, 80),
            "web_url": _url(view.web_url),
            "all_url": _url(view.all_url),
            "feed_url": _url(view.feed_url),
        },
        "sources": [_source(source) for source in view.sources],
        "since_you_read": [plain(said, 500) for said in view.since_you_read],
        "papers": [_paper(rank, item) for rank, item in enumerate(view.items, start=1)],
    }


def _source(source: SourceStatus) -> dict[str, Any]:
    return {
        "feed": plain(source.feed, 200),
        "title": plain(source.title, 200),
        "state": plain(source.state, 40),
        "announced": source.announced,
        "stored": source.stored,
        "as_of": _time(source.as_of),
        "note": plain(source.note, 500) or None,
    }


def _paper(rank: int, item: EditionItem) -> dict[str, Any]:
    return {
        "rank": rank,
        "key": plain(item.key, 2_100),
        "title": legible(item.title, 1_000),
        "url": _url(item.url),
        "web_url": _url(item.web_url),
        "pdf_url": _url(item.pdf_url),
        "authors": [plain(name, 200) for name in item.authors],
        "authors_count": max(item.authors_count, len(item.authors)),
        "organization": plain(item.organization, 200) or None,
        "why": [plain(reason, 500) for reason in item.why],
        "sentence": legible(item.sentence, 1_000) or None,
        "sentence_source": plain(item.sentence_source, 40) or None,
        "abstract": clean(item.abstract[:40_000]) if item.abstract else None,
        "published_at": _time(item.published_at),
        "announced_on": item.announced_on.isoformat() if item.announced_on else None,
        "version": item.version,
        "categories": [plain(category, 100) for category in item.categories],
        "upvotes": item.upvotes,
        "comments_count": item.comments_count,
        "withdrawn": item.withdrawn,
        "late": item.late,
        "code": [_code(facts) for facts in item.code],
        "artifacts": [_artifact(facts) for facts in item.artifacts],
        "project_urls": [url for url in map(_url, item.project_urls) if url],
        "models": item.models,
        "datasets": item.datasets,
        "spaces": item.spaces,
        "feeds": [plain(feed, 200) for feed in item.feeds],
    }


def _code(facts: CodeFacts) -> dict[str, Any]:
    return {
        "slug": plain(facts.slug, 200),
        "url": _url(facts.url),
        "stars": facts.stars,
        "stars_gained_24h": facts.stars_gained_24h,
        "stars_gained_7d": facts.stars_gained_7d,
        "stale": facts.stale,
        "license": plain(facts.license, 100) or None,
        "language": plain(facts.language, 100) or None,
        "pushed_at": _time(facts.pushed_at),
        "release": plain(facts.release, 200) or None,
        "released_at": _time(facts.released_at),
        "archived": facts.archived,
        "evidence": plain(facts.evidence, 40) or None,
        "checked_at": _time(facts.checked_at),
    }


def _artifact(facts: CodeFacts) -> dict[str, Any]:
    return {
        "kind": facts.kind,
        "slug": plain(facts.slug, 200),
        "url": _url(facts.url),
        "likes": facts.stars,
        "downloads": facts.downloads,
        "gated": facts.gated,
        "license": plain(facts.license, 100) or None,
        "updated_at": _time(facts.pushed_at),
        "evidence": plain(facts.evidence, 40) or None,
        "checked_at": _time(facts.checked_at),
    }


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at is not None else None


def _url(url: str | None) -> str | None:
    return safe_url(url) if url else None
