"""Recorded answers of the real services go through detection and parsing without loss.

The recordings are not part of the project: `BROADSHEET_CORPORA` names their folder (default: `../shared/corpora`
beside the project), and without it these tests are skipped.
"""

from __future__ import annotations

import itertools
import json
import lzma
import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from lxml import etree

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo
from services.domain.papers import ParsedFeed
from services.upstreams import hf_papers
from services.upstreams.fields import arxiv_categories
from services.upstreams.kinds import detect_kind, for_kind

ROOT = Path(os.environ.get("BROADSHEET_CORPORA") or Path(__file__).parents[2].parent / "shared" / "corpora")
NOW = datetime(2026, 11, 24, tzinfo=UTC)
SLOWEST_S = 5.0

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=f"no recorded payloads at {ROOT} (BROADSHEET_CORPORA)")


def files(folder: str, pattern: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob(pattern) if path.is_file())


def parse(body: bytes, kind: str, *, batch: str = "") -> ParsedFeed:
    started = time.process_time()
    parsed = for_kind(kind).parse(body, DocumentInfo(feed="corpus", kind=kind, fetched_at=NOW, batch=batch))
    assert time.process_time() - started < SLOWEST_S
    return parsed


def some(paths: list[Path]) -> Iterator[Path]:
    """The paths, or a skip where a part of the recordings is not there."""
    if not paths:
        pytest.skip("this part of the recordings is not there")
    yield from paths


# --- Hugging Face ------------------------------------------------------------------------------------------


def test_every_recorded_day_of_daily_papers_is_read_whole() -> None:
    for path in some(files("hf_daily_papers/raw_days", "*.json")):
        body = path.read_bytes()
        items = json.loads(body)
        assert detect_kind(body, path.name) == "hf_papers", path.name
        parsed = parse(body, "hf_papers", batch=path.stem)
        assert (len(parsed.papers), parsed.rejected, parsed.notes) == (len(items), (), ()), path.name
        assert {paper.announced_on for paper in parsed.papers} <= {date.fromisoformat(path.stem)}
        for item, paper in zip(items, parsed.papers, strict=True):
            assert str(paper.identifiers[0]) == f"arxiv:{item['paper']['id']}"
            assert paper.upvotes == item["paper"]["upvotes"]
            assert paper.comments_count == item["numComments"]
            assert len(paper.authors) == len(item["paper"]["authors"])
            stated = item["paper"].get("githubRepo", "").strip()
            assert bool(stated) <= bool(paper.links), (path.name, stated)


def test_every_era_of_the_schema_is_read_whole_and_dated() -> None:
    for path in some(files("hf_daily_papers/schema_eras", "*.json")):
        body = path.read_bytes()
        # With no batch to help: 2025-03-11 to 03-16 is the one window in which a listing does not say its day.
        parsed = parse(body, detect_kind(body))
        assert len(parsed.papers) == len(json.loads(body)), path.name
        days = Counter(paper.announced_on for paper in parsed.papers)
        if "2025-03-11" <= path.stem <= "2025-03-16":
            assert set(days) <= {None}, (path.name, days)
        else:
            assert None not in days
            assert abs((days.most_common(1)[0][0] or date.min) - date.fromisoformat(path.stem)).days <= 1, (
                path.name,
                days,
            )


def test_malformed_dumps_are_refused_with_what_was_found() -> None:
    for path in some(files("hf_daily_papers/malformed", "*.json")):
        body = path.read_bytes()
        with pytest.raises(InvalidInput, match=r"as Python prints them|wraps its entries in 'data'"):
            detect_kind(body)
        with pytest.raises(MalformedDocument, match=r"as Python prints them|an object with status"):
            parse(body, "hf_papers")


def test_a_single_papers_record_is_read() -> None:
    for path in some(files("hf_paper_detail", "*.json")):
        body = path.read_bytes()
        data = json.loads(body)
        paper = hf_papers.parse_paper(body, DocumentInfo(feed="corpus", kind="hf_papers", fetched_at=NOW))
        assert str(paper.identifiers[0]) == f"arxiv:{data['id']}"
        assert len(paper.authors) == len(data["authors"])
        assert detect_kind(body) == "hf_papers"


# --- arXiv -------------------------------------------------------------------------------------------------


def test_every_arxiv_api_answer_gives_all_its_entries() -> None:
    for path in some(files("arxiv_api", "*.xml")):
        body = path.read_bytes()
        assert detect_kind(body, path.name) == "arxiv_api", path.name
        entries = etree.fromstring(body).findall("{http://www.w3.org/2005/Atom}entry")
        ids = [entry.findtext("{http://www.w3.org/2005/Atom}id") or "" for entry in entries]
        if any("/api/errors" in one for one in ids):
            with pytest.raises(MalformedDocument, match="incorrect id format"):
                parse(body, "arxiv_api")
            continue
        parsed = parse(body, "arxiv_api")
        assert (len(parsed.papers), parsed.rejected) == (len(entries), ()), path.name
        assert all(
            paper.authors and paper.abstract and paper.published_at and paper.categories for paper in parsed.papers
        )
        for entry, paper in zip(entries, parsed.papers, strict=True):
            assert len(paper.authors) == len(entry.findall("{http://www.w3.org/2005/Atom}author"))


def test_recordings_of_http_exchanges_are_no_documents() -> None:
    for path in some(files("arxiv_api", "*.json")):
        with pytest.raises(InvalidInput, match="a recording of an HTTP exchange"):
            detect_kind(path.read_bytes(), path.name)


def test_every_announcement_gives_all_its_items() -> None:
    for path in some(files("arxiv_rss", "*.xml")):
        body = path.read_bytes()
        assert detect_kind(body, path.name) == "arxiv_rss", path.name
        if "error" in path.name or "_head" in path.name:
            with pytest.raises(MalformedDocument, match=r"arXiv answered with an error|not well-formed"):
                parse(body, "arxiv_rss")
            continue
        parsed = parse(body, "arxiv_rss")
        count = body.count(b"<item>") + body.count(b"<entry>")
        assert (len(parsed.papers), parsed.rejected, parsed.quiet) == (count, (), count == 0), path.name
        for paper in parsed.papers:
            assert paper.version
            assert paper.authors
            assert paper.announce_type in ("new", "cross", "replace", "replace-cross")
            assert paper.announced_on == date(2011, 2, 3)
            assert "Announce Type" not in (paper.abstract or "")


def test_every_harvest_gives_all_its_records() -> None:
    for path in some(files("arxiv_oai", "*.xml")):
        body = path.read_bytes()
        if "oai_generic" in str(path):
            continue
        assert detect_kind(body, path.name) == "arxiv_oai", path.name
        if path.name.startswith("error_") and b"noRecordsMatch" not in body:
            with pytest.raises(MalformedDocument, match=r"the server answered with \w+: "):
                parse(body, "arxiv_oai")
            continue
        if not path.name.startswith(("ListRecords", "GetRecord", "error_")):
            with pytest.raises(MalformedDocument, match="holds no records"):
                parse(body, "arxiv_oai")
            continue
        parsed = parse(body, "arxiv_oai")
        assert (len(parsed.papers), parsed.rejected) == (body.count(b"<record>"), ()), path.name
        assert all(paper.identifiers[0].scheme == "arxiv" and paper.authors for paper in parsed.papers)
        assert all(paper.categories for paper in parsed.papers)
        assert bool(parsed.next_cursor) == (b"</resumptionToken>" in body)


def test_the_formats_of_one_harvest_name_the_same_papers_and_withdrawals() -> None:
    found: dict[str, dict[str, bool | None]] = {}
    for path in some(files("arxiv_oai", "ListRecords_*_p*.xml")):
        for paper in parse(path.read_bytes(), "arxiv_oai").papers:
            found.setdefault(path.stem.split("_p")[0], {})[str(paper.identifiers[0])] = paper.withdrawn
    raw = found["ListRecords_arXivRaw"]
    assert sum(bool(withdrawn) for withdrawn in raw.values()) >= 5
    for name in found:
        shared = raw.keys() & found[name].keys()
        # Pages of one format may be missing; what is in both must agree on identity and be judged alike.
        assert len(shared) >= 100, name
        assert {one for one in shared if found[name][one]} <= {one for one in shared if raw[one]}, name


def test_every_category_of_arxivs_taxonomy_is_known_as_one() -> None:
    for path in some(files("reference", "arxiv_taxonomy.json")):
        taxonomy = json.loads(path.read_bytes())
        invented = "bad-arch.bad-cat"  # arXiv's own, for its tests
        names = [*taxonomy["categories"], *taxonomy["category_aliases"], *taxonomy["archives_subsumed"]]
        names = [name for name in names if name != invented]
        assert arxiv_categories(names) == tuple(dict.fromkeys(names))


# --- general feeds and records -----------------------------------------------------------------------------


def test_every_wild_feed_is_read_or_refused_in_time() -> None:
    outcomes: Counter[str] = Counter()
    for path in some([one for one in files("feeds", "*") if one.suffix in (".xml", ".json", ".rss", ".atom")]):
        body = path.read_bytes()
        try:
            parsed = parse(body, "rss")
        except MalformedDocument as refusal:
            outcomes[f"refused: {str(refusal)[:60]}"] += 1
            continue
        outcomes["read"] += 1
        for paper in parsed.papers:
            assert "<script" not in paper.title.lower()
            assert "\x00" not in paper.title
            assert all(link.url.startswith("http") for link in paper.links)
        assert all(one.reason and one.entry for one in parsed.rejected)
    refused = outcomes.total() - outcomes["read"]
    assert refused <= outcomes.total() * 0.03, outcomes


def test_the_first_two_thousand_bulk_records_are_all_read() -> None:
    for path in some(files("bulk", "*.jsonl.xz")):
        with lzma.open(path) as lines:
            body = b"".join(itertools.islice(lines, 2_000))
        assert detect_kind(body, "records.jsonl") == detect_kind(body) == "records"
        parsed = parse(body, "records")
        assert (len(parsed.papers), parsed.rejected) == (2_000, ())
        for line, paper in zip(body.splitlines(), parsed.papers, strict=True):
            record = json.loads(line)
            assert str(paper.identifiers[0]) == f"arxiv:{record['id']}"
            assert len(paper.authors) == len([name for name in record["authors"] if name.strip()])
            assert paper.categories == tuple(
                dict.fromkeys(one for one in record["categories"] if one in paper.categories)
            )
            assert record["categories"][0] in paper.categories
