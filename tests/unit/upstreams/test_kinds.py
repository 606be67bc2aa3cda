"""The registry, and what every kind's parser promises for whatever bytes it is given."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.domain.papers import ParsedFeed
from services.upstreams.kinds import KINDS, for_kind

SAMPLES = Path(__file__).parents[2] / "upstreams"
FILES = sorted(path for path in SAMPLES.iterdir() if path.is_file())
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def parse(kind: str, body: bytes) -> ParsedFeed | None:
    """The parsed document, or `None` when it is refused; any other end is a failure."""
    try:
        return for_kind(kind).parse(body, DocumentInfo(feed="f", kind=kind, fetched_at=NOW))
    except MalformedDocument:
        return None


def check(parsed: ParsedFeed) -> None:
    positions = [one.position for one in parsed.rejected]
    assert positions == sorted(set(positions))
    assert all(1 <= position <= parsed.seen for position in positions)
    assert all(one.reason and one.entry and len(one.entry) <= 500 for one in parsed.rejected)
    for paper in parsed.papers:
        assert paper.title.strip()
        for text in (paper.title, paper.abstract or "", paper.comment or "", *(one.name for one in paper.authors)):
            text.encode()  # no lone surrogates
            assert "\x00" not in text
            assert "\n" not in text
            assert "\u202e" not in text
        for link in paper.links:
            assert link.url.startswith(("https://", "http://"))
        for moment in (paper.published_at, paper.updated_at):
            assert moment is None or moment.utcoffset() is not None


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="'gopher'; known are hf_papers, arxiv_api"):
        for_kind("gopher")


def test_the_kinds_that_keep_their_past_are_asked_by_day() -> None:
    assert {name for name, kind in KINDS.items() if kind.by_day} == {
        "hf_papers", "arxiv_api", "arxiv_oai", "biorxiv",
    }  # fmt: skip
    feed = FeedInfo(name="f", kind="", url="https://x.org/feed", params={"query": "all:jar"})
    for kind in KINDS.values():
        if kind.by_day:
            first, second = (kind.request(feed, UpstreamUrls(), batch=day).url for day in ("2026-11-23", "2026-11-24"))
            assert first != second


def test_the_kind_rss_reads_json_feeds_too() -> None:
    parsed = for_kind("rss").parse(
        (SAMPLES / "blog.json").read_bytes(), DocumentInfo(feed="f", kind="rss", fetched_at=NOW)
    )
    assert parsed.title == "Jar Notes"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_kind_reads_or_refuses_every_sample(kind: str, path: Path) -> None:
    parsed = parse(kind, path.read_bytes())
    if parsed is not None:
        check(parsed)


@pytest.mark.parametrize("kind", KINDS)
@given(body=st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_read_or_refused(kind: str, body: bytes) -> None:
    parsed = parse(kind, body)
    if parsed is not None:
        check(parsed)


PIECES = [
    b"<",
    b">",
    b"&",
    b"\x00",
    b"\xff",
    b"]]>",
    b"<![CDATA[",
    b"&#xD800;",
    b"&#99999999;",
    b"<!--",
    b"null",
    b"[",
    b"{",
    b'"',
    b"\\ud800",
    b"9" * 30,
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_damaged_samples_are_read_or_refused_in_time(path: Path) -> None:
    chance = random.Random(path.name)
    whole = path.read_bytes()
    for _ in range(60):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            match chance.randrange(4):
                case 0:
                    body[at : at + chance.randint(1, 40)] = b""
                case 1:
                    body[at] = chance.randrange(256)
                case 2:
                    body[at:at] = chance.choice(PIECES)
                case _:
                    start = chance.randrange(len(body))
                    body[at:at] = body[start : start + chance.randint(1, 200)]
        for kind in KINDS:
            started = time.process_time()
            parsed = parse(kind, bytes(body))
            assert time.process_time() - started < 5
            if parsed is not None:
                check(parsed)
