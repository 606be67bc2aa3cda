"""Recorded answers of Semantic Scholar and Crossref are read without loss.

Where the recordings lie is told in `test_corpora_parse`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from services.domain.lookups import AskedPaper
from services.domain.papers import PaperData
from services.upstreams import crossref, semantic_scholar
from tests.integration.test_corpora_parse import files, pytestmark, some

__all__ = ["pytestmark"]

ASKED = AskedPaper(identifiers=(), title="whichever")


def answers(folder: str) -> Iterator[tuple[str, Any]]:
    """The bodies recorded below a folder that are JSON, with the address each was asked for at."""
    yaml = pytest.importorskip("yaml", reason="the recordings are YAML")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in some(files(folder, "*.yaml")):
        for exchange in yaml.load(path.read_bytes(), Loader=loader)["interactions"]:
            body = exchange["response"].get("body", {}).get("string", "")
            try:
                yield exchange["request"]["uri"], json.loads(body)
            except ValueError:
                continue  # error pages, texts and answers in other formats


def figures(papers: list[PaperData]) -> Counter[str]:
    """How many of the papers have each thing."""
    counted: Counter[str] = Counter(papers=len(papers))
    for paper in papers:
        counted.update(name.scheme for name in paper.identifiers)
        counted["venue"] += bool(paper.journal_ref)
        counted["citations"] += paper.citations is not None
        counted["authors"] += len(paper.authors)
        counted["orcid"] += sum(bool(author.orcid) for author in paper.authors)
        counted["affiliations"] += sum(bool(author.affiliation) for author in paper.authors)
        counted["abstract"] += bool(paper.abstract)
    return counted


def test_semantic_scholars_recorded_papers_are_all_read(capsys: pytest.CaptureFixture[str]) -> None:
    records: list[dict[str, Any]] = []
    for address, answer in answers("semanticscholar"):
        if "/paper/batch" in address and isinstance(answer, list):
            whole = [one for one in answer if one is None or one.get("title")]
            read = semantic_scholar.parse(json.dumps(whole).encode(), [ASKED] * len(whole))
            assert [one is None for one in read] == [one is None for one in whole], "holes stay where they are"
            records += [one for one in whole if one]
        elif isinstance(answer, dict):
            data = answer.get("data")
            listed = data if isinstance(data, list) else [answer]
            records += [one for one in listed if isinstance(one, dict) and one.get("title") and "paperId" in one]
    papers = [one for one in semantic_scholar.parse(json.dumps(records).encode(), [ASKED] * len(records)) if one]
    assert len(papers) == len(records) > 20
    for record, paper in zip(records, papers, strict=True):
        names = record.get("externalIds") or {}
        assert ("doi" in {n.scheme for n in paper.identifiers}) <= bool(names.get("DOI"))
        assert paper.citations == record.get("citationCount")
        assert not paper.journal_ref or "arxiv" not in paper.journal_ref.lower()
    with capsys.disabled():
        print(f"\nSemantic Scholar, recorded: {dict(figures(papers))}")


def test_crossrefs_recorded_works_are_all_read(capsys: pytest.CaptureFixture[str]) -> None:
    works: list[dict[str, Any]] = []
    for _, answer in answers("crossref"):
        match answer:
            case {"message-type": "work", "message": dict(work)}:
                works.append(work)
            case {"message-type": "work-list", "message": {"items": list(items)}}:
                works += items
    usable = [one for one in works if one.get("DOI") and any(one.get("title") or ())]
    papers = [one for one in map(crossref.read_work, usable) if one]
    assert len(papers) == len(usable) > 0
    for work, paper in zip(usable, papers, strict=True):
        assert str(paper.identifiers[0]) == f"doi:{work['DOI'].lower()}"
        assert paper.citations == work.get("is-referenced-by-count")
    with capsys.disabled():
        print(f"\nCrossref, recorded: {len(works)} works, {dict(figures(papers))}")
