"""What is fuzzed: one target for each parser, with the errors it may raise and what its results must be like.

A target takes bytes and returns nothing. Whatever it raises beside the errors of `services.domain.errors` is a find,
and so
is a result that could not be stored or shown: a lone surrogate, a NUL or a control character in a text, an address
that is
not http or https.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import msgspec

from services.domain import identifiers, links, mentions
from services.domain.addresses import parse_address
from services.domain.bounces import WEBHOOKS, parse_report
from services.domain.errors import BroadsheetError
from services.domain.feeds import DocumentInfo, UpstreamUrls
from services.domain.papers import PaperData, ParsedFeed
from services.domain.text import clean, clean_html, latex_to_text, safe_url
from services.domain.tokens import PAPER_PURPOSES, PURPOSES, make_token, read_paper_token, read_token
from services.pipeline.opml import read_opml
from services.upstreams import discover, hf_papers
from services.upstreams.detect import detect_kind
from services.upstreams.kinds import for_kind
from tests.factories import parse_query
from tests.fuzz import seeds

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SAMPLES = Path(__file__).parents[1] / "upstreams"
FOUND = SAMPLES / "fuzzed"
"""Inputs that once broke a target, as `TARGET-digest`: read again by every run of the tests."""
SECRET = "a key for tests only"

Run = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A parser: `run` it on bytes, begin with `seeds`, and with recorded answers (their folders' names) where there
    are any."""

    name: str
    run: Run
    seeds: tuple[bytes, ...]
    recorded: tuple[str, ...] = ()
    longest: int = 6_000
    """Bytes of an input: more than twice the largest seed, and few enough that many are tried."""
    share: int = 1
    """Of the time: slow parsers get more, so that they are gone into as deeply."""

    def try_it(self, data: bytes) -> None:
        """Run it; the errors we promise are fine, anything else comes out."""
        try:
            self.run(data)
        except BroadsheetError as error:
            if not str(error).strip():
                raise AssertionError("an error that says nothing") from error


def strings(value: object) -> Iterator[str]:
    """Every text in data of ours, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, msgspec.Struct):
        yield from strings(msgspec.structs.asdict(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from strings(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from strings(item)


def check_text(value: object) -> None:
    """All text can be stored in PostgreSQL and shown on a line."""
    for text in strings(value):
        text.encode("utf-8")
        assert not any((ord(char) < 32 and char not in "\n\t") or ord(char) == 127 for char in text), repr(text[:200])


def check_paper(paper: PaperData) -> None:
    """A paper that storage can take."""
    check_text(paper)
    assert paper.title.strip()
    assert all(one.value for one in paper.identifiers)
    for link in paper.links:
        assert link.url.startswith(("http://", "https://")), link.url
    for moment in (paper.published_at, paper.updated_at):
        assert moment is None or (moment.tzinfo is not None and 1000 < moment.year < 9000)


def check_feed(parsed: ParsedFeed) -> None:
    """What a document came to."""
    for paper in parsed.papers:
        check_paper(paper)
    for rejected in parsed.rejected:
        check_text(rejected)
        assert rejected.reason.strip()
    check_text(parsed.notes)


def _of_kind(kind: str) -> Run:
    upstream = for_kind(kind)

    def run(data: bytes) -> None:
        about = DocumentInfo(
            feed="fuzz", kind=kind, url="https://feeds.example/one", fetched_at=NOW, batch="2026-11-24"
        )
        check_feed(upstream.parse(data, about))

    return run


def _hf_detail(data: bytes) -> None:
    check_paper(hf_papers.parse_paper(data, DocumentInfo(feed="fuzz", kind="hf_papers", fetched_at=NOW)))


def _detect(data: bytes) -> None:
    _of_kind(detect_kind(data))(data)


def _opml(data: bytes) -> None:
    check_text(read_opml(data, UpstreamUrls()))


def _discover(data: bytes) -> None:
    check_text(discover.feeds_of_page(data, "https://blog.example/"))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass" if b"\xed" in data and _passes(data) else "replace")


def _passes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _links(data: bytes) -> None:
    text = _text(data)
    found = links.find_links(text, evidence="abstract")
    one = links.link_from_url(text, evidence="hf")
    for link in (*found, *((one,) if one else ())):
        assert safe_url(link.url), link.url
        check_text(link)


def _identifiers(data: bytes) -> None:
    text = _text(data)
    for one in (*identifiers.identifiers_from_url(text), *mentions.find_mentions(text)):
        check_text(one)
        assert identifiers.parse_key(str(one)) == one
        address = identifiers.paper_url(str(one))
        assert not address or safe_url(address), address
    identifiers.parse_arxiv(text)
    identifiers.parse_doi(text)


def _query(data: bytes) -> None:
    text = _text(data)
    parse_query(text)


def _latex(data: bytes) -> None:
    check_text(clean(latex_to_text(_text(data))))


def _html(data: bytes) -> None:
    text = clean_html(_text(data))
    check_text(text)


def _url(data: bytes) -> None:
    safe = safe_url(_text(data))
    if safe is not None:
        assert safe.isascii() or safe.isprintable()
        assert safe.startswith(("http://", "https://"))
        assert safe_url(safe) == safe


def _address(data: bytes) -> None:
    check_text(parse_address(_text(data)))


def _report(data: bytes) -> None:
    for bounce in parse_report(data):
        check_text(bounce)


def _webhook(data: bytes) -> None:
    for name in sorted(WEBHOOKS):
        try:
            check_text(WEBHOOKS[name](data))
        except BroadsheetError:
            continue


def _token(data: bytes) -> None:
    text = _text(data)
    for purpose in (*PURPOSES, *PAPER_PURPOSES):
        reader = read_token if purpose in PURPOSES else read_paper_token
        try:
            found = reader(SECRET, purpose, text)
        except BroadsheetError:
            continue
        assert (purpose, found) == ("unsubscribe", (7, 1)), f"{text!r} was taken for {purpose}"


def _samples(*names: str) -> tuple[bytes, ...]:
    return tuple((SAMPLES / name).read_bytes() for name in names)


_LISTING = tuple(path.read_bytes() for path in sorted((SAMPLES / "listing").iterdir()))
_OAI = _samples("oai_arxiv.xml", "oai_dc.xml", "oai_raw.xml")
_FEEDS = _samples("blog.atom", "blog.json", "preprints.rdf")
_ALL = (
    *_samples("arxiv_announcement.rss", "arxiv_api_page.xml", "hf_daily.json", "records.jsonl"),
    *_OAI,
    *_FEEDS,
    *_LISTING,
)

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        one.name: one
        for one in (
            Target("arxiv_api", _of_kind("arxiv_api"), _samples("arxiv_api_page.xml", "arxiv_api_legacy.xml")),
            Target("arxiv_rss", _of_kind("arxiv_rss"), _samples("arxiv_announcement.rss", "arxiv_announcement.atom")),
            Target("arxiv_oai", _of_kind("arxiv_oai"), _OAI),
            Target("hf_daily", _of_kind("hf_papers"), _samples("hf_daily.json")),
            Target("hf_detail", _hf_detail, seeds.HF_DETAIL),
            Target("biorxiv", _of_kind("biorxiv"), seeds.BIORXIV),
            Target("json_feed", _of_kind("rss"), _samples("blog.json")),
            Target("feeds", _of_kind("rss"), _FEEDS, recorded=("feeds",), longest=3_000, share=4),
            Target("listing", _of_kind("listing"), _LISTING, share=2),
            Target("records", _of_kind("records"), _samples("records.jsonl")),
            Target("detect", _detect, _ALL, recorded=("feeds",), longest=3_000, share=2),
            Target("opml", _opml, seeds.OPML),
            Target("discover", _discover, seeds.PAGES),
            Target("links", _links, seeds.LINKS, longest=2_000),
            Target("identifiers", _identifiers, seeds.LINKS, longest=2_000),
            Target("query", _query, seeds.QUERIES, longest=400),
            Target("latex", _latex, seeds.LATEX, longest=600, share=3),
            Target("clean_html", _html, (*seeds.HTML, *seeds.PAGES)),
            Target("safe_url", _url, seeds.LINKS, longest=2_500),
            Target("address", _address, seeds.ADDRESSES, longest=1_200),
            Target("bounce_report", _report, seeds.REPORTS, longest=2_000, share=3),
            Target("bounce_webhook", _webhook, seeds.WEBHOOKS),
            Target("tokens", _token, (make_token(SECRET, "unsubscribe", 7, 1).encode(), b"eyJhbGciOiJub25lIn0.W10.")),
        )
    }
)
"""Every target, by name."""
