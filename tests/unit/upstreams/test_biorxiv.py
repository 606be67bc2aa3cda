"""bioRxiv's API: rows are versions, numbers may be text, pages are of any size."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.upstreams import biorxiv

ROW: dict[str, Any] = {
    "doi": "10.1101/2026.11.20.700001", "title": "Moss that remembers <i>rain</i>", "authors": "Quill, A.; Osei, B. K.",
    "author_corresponding": "Ada Quill", "date": "2026-11-23", "version": "1", "type": "new results",
    "license": "cc_by_nc", "category": "Plant Biology", "abstract": "We water moss &amp; wait.", "published": "NA",
    "server": "bioRxiv",
}  # fmt: skip


def about(cursor: str | None = None) -> DocumentInfo:
    return DocumentInfo(
        feed="moss", kind="biorxiv", fetched_at=datetime(2026, 11, 24, tzinfo=UTC), batch="2026-11-23", cursor=cursor
    )


def page(*rows: Any, total: Any = None, status: str = "ok") -> bytes:
    message = {"status": status, "count": len(rows), "cursor": 0, "total": total if total is not None else len(rows)}
    return json.dumps({"messages": [message], "collection": list(rows)}).encode()


def url(params: dict[str, str], **more: str) -> str:
    return biorxiv.request(FeedInfo(name="moss", kind="biorxiv", params=params), UpstreamUrls(), **more).url


def test_a_day_is_asked_for_page_by_page() -> None:
    assert url({}, batch="2026-11-23") == ("https://api.biorxiv.org/details/biorxiv/2026-11-23/2026-11-23/0/json")
    assert url({"server": "medrxiv", "category": "Infectious Diseases"}, batch="2026-11-23", cursor="30") == (
        "https://api.biorxiv.org/details/medrxiv/2026-11-23/2026-11-23/30/json?category=infectious_diseases"
    )


@pytest.mark.parametrize("params", [{"server": "chemrxiv"}, {"category": "a/../b"}])
def test_what_they_do_not_have_is_refused(params: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        url(params, batch="2026-11-23")


@pytest.mark.parametrize("more", [{"batch": "2026-W47"}, {"cursor": "-1"}])
def test_what_is_no_day_or_count_is_refused(more: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        url({}, **more)


def test_a_row_becomes_a_paper() -> None:
    (paper,) = biorxiv.parse(page(ROW), about()).papers
    assert [str(one) for one in paper.identifiers] == ["doi:10.1101/2026.11.20.700001"]
    assert (paper.title, paper.abstract) == ("Moss that remembers rain", "We water moss & wait.")
    assert [author.name for author in paper.authors] == ["A. Quill", "B. K. Osei"]
    assert (paper.announced_on, paper.version, paper.categories) == (date(2026, 11, 23), 1, ("plant biology",))
    assert paper.license == "https://creativecommons.org/licenses/by-nc/4.0/"
    assert paper.withdrawn is None


def test_the_journals_doi_and_a_withdrawal_are_kept() -> None:
    row = {**ROW, "version": 3, "published": "10.1000/xyz1", "type": "WITHDRAWN"}
    (paper,) = biorxiv.parse(page(row), about()).papers
    assert [one.value for one in paper.identifiers] == ["10.1101/2026.11.20.700001", "10.1000/xyz1"]
    assert (paper.version, paper.published_at, paper.withdrawn) == (3, None, True)


@pytest.mark.parametrize(("rows", "total", "cursor", "expected"), [
    (30, "87", None, "30"), (30, 87, "30", "60"), (27, "87", "60", None), (100, 250, None, "100"), (2, 2, None, None),
])  # fmt: skip
def test_the_next_page_starts_after_what_was_received(
    rows: int, total: Any, cursor: str | None, expected: str | None
) -> None:
    parsed = biorxiv.parse(page(*[ROW] * rows, total=total), about(cursor))
    assert (parsed.next_cursor, parsed.announced, parsed.seen) == (expected, int(total), rows)


def test_a_bad_row_is_refused_with_its_reason_and_the_page_goes_on() -> None:
    parsed = biorxiv.parse(page({**ROW, "doi": ""}, "row", {**ROW, "title": ""}, ROW), about())
    assert [one.reason for one in parsed.rejected] == ["no DOI", "the row is text, not an object", "no title"]
    assert len(parsed.papers) == 1


def test_a_day_without_posts_is_quiet() -> None:
    parsed = biorxiv.parse(b'{"messages":[{"status":"no posts found"}],"collection":[]}', about())
    assert (parsed.quiet, parsed.seen) == (True, 0)


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b'{"messages":[{"status":"Error: interval"}],"collection":[]}', b"<html>", b'{"collection":1}'],
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedDocument):
        biorxiv.parse(body, about())
