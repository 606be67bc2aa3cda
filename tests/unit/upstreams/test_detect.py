"""Saved files are known by their content, in any encoding, and refused with what was found."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest

from services.domain.errors import InvalidInput
from services.upstreams.detect import detect_kind

SAMPLES = Path(__file__).parents[2] / "upstreams"
XML = '<?xml version="1.0" encoding="{}"?>\n'


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hf_daily.json", "hf_papers"),
        ("arxiv_api_page.xml", "arxiv_api"),
        ("arxiv_api_legacy.xml", "arxiv_api"),
        ("arxiv_announcement.rss", "arxiv_rss"),
        ("arxiv_announcement.atom", "arxiv_rss"),
        ("oai_arxiv.xml", "arxiv_oai"),
        ("oai_dc.xml", "arxiv_oai"),
        ("preprints.rdf", "rss"),
        ("blog.atom", "rss"),
        ("blog.json", "rss"),
        ("records.jsonl", "records"),
    ],
)
@pytest.mark.parametrize("before", [b"", codecs.BOM_UTF8, b"\n \t"])
def test_each_sample_is_known_by_its_content(name: str, kind: str, before: bytes) -> None:
    assert detect_kind(before + (SAMPLES / name).read_bytes()) == kind


def paper(**more: object) -> dict[str, object]:
    return {"id": "2611.00001", "title": "T", **more}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[]", "hf_papers"),
        (json.dumps([{"paper": paper()}]).encode(), "hf_papers"),
        (json.dumps({"paper": paper()}).encode(), "hf_papers"),
        (json.dumps(paper(upvotes=1, publishedAt="2026-11-20T00:00:00.000Z")).encode(), "hf_papers"),
        (json.dumps([paper(upvotes=1, thumbnailUrl="https://x.org/t")]).encode(), "hf_papers"),
        (json.dumps(paper(summary="s", abs="https://arxiv.org/abs/2611.00001")).encode(), "records"),
        (json.dumps([{"key": "doi:10.1/x", "title": "T", "upvotes": 3}], indent=2).encode(), "records"),
        (b'{"id": "2611.00001", "title": "T"}\n{"id": "2611.00002", "title": "U"}\n', "records"),
        (b'{"broken\n{"id": "2611.00002", "title": "U"}\n', "records"),
        (b'{"id": "2611.00001", "title": "' + b"T" * 60_000 + b'"}\n{"id": "2611.00002", "title": "U"}\n', "records"),
        (b'{"version": "https://jsonfeed.org/version/1", "items": []}', "rss"),
        (b'<rss version="0.91"><channel/></rss>', "rss"),
        (b"<?xml version='1.0'?><!-- <html> --><!DOCTYPE rss SYSTEM 'x'><rss/>", "rss"),
        (b"<rdf:RDF xmlns:rdf='x'/>", "rss"),
        (b"<channel href='http://example.org/'/>", "rss"),
        (b"junk before <rss version='2.0'><channel><item>", "rss"),
        (b"<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>http://arxiv.org/api/x</id></entry></feed>", "rss"),
    ],
)  # fmt: skip
def test_shapes_are_told_apart(body: bytes, kind: str) -> None:
    assert detect_kind(body) == kind


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso-8859-1"])
def test_encodings_do_not_hide_a_feed(encoding: str) -> None:
    text = XML.format(encoding) + "<rss version='2.0'><channel><title>Grön</title></channel></rss>"
    assert detect_kind(text.encode(encoding)) == "rss"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty document"),
        (b" \n", "an empty document"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x1f\x8b\x08", "gzip data"),
        (b"PK\x03\x04xx", "a zip archive"),
        (bytes(range(256)) * 10, "binary data"),
        (b"<opml version='2.0'/>", "import-opml"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "root element <svg>"),
        (b"<!doctype html><html><body><p>Hello</p></body></html>", "an HTML page without Daily Papers"),
        (b"Dear reader, nothing here.", "text that begins 'Dear reader"),
        (b'{"url": "https://x", "status_code": 200, "body": "<feed/>"}', "a recording of an HTTP exchange"),
        (b'{"status": "success", "data": [{}]}', "wraps its entries in 'data'"),
        (b'{"error": "Invalid date"}', "an error answer: 'Invalid date'"),
        (b"[\"{'paper': 1}\"]", "as Python prints them"),
        (b"[1, 2]", "entries are a number"),
        (b'{"name": "broadsheet", "version": "1.0"}', "JSON objects with name, version"),
        (b"[{", "JSON that cannot be read"),
        (b"[" * 100_000, "JSON that cannot be read"),
    ],
)
def test_what_is_no_listing_is_refused_with_what_was_found_and_what_would_work(body: bytes, words: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        detect_kind(body)
    assert words in str(refusal.value)
