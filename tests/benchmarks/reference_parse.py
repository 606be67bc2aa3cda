"""The bare loops parsing is measured against: trust every byte, fill the same fields, check nothing.

They stop at the first thing out of the ordinary and would let through whatever a page brings.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import feedparser
from lxml import etree

Row = dict[str, Any]

_ATOM = "{http://www.w3.org/2005/Atom}"
_ARXIV = "{http://arxiv.org/schemas/atom}"
_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_OAI_ARXIV = "{http://arxiv.org/OAI/arXiv/}"
_DC = "{http://purl.org/dc/elements/1.1/}"


def _root(body: bytes) -> Any:
    return etree.fromstring(body)


def _line(text: str | None) -> str:
    return " ".join(text.split()) if text else ""


def atom(body: bytes) -> list[Row]:
    """A page of the arXiv API by lxml and a chain of comparisons."""
    rows: list[Row] = []
    for rank, entry in enumerate(_root(body).iterchildren(f"{_ATOM}entry"), 1):
        row: Row = {"rank": rank, "comment": None, "doi": None, "journal_ref": None}
        authors: list[str] = []
        categories: list[str] = []
        for child in entry:
            tag = child.tag
            if tag == f"{_ATOM}author":
                authors.append(_line(child[0].text))
            elif tag == f"{_ATOM}category":
                categories.append(child.get("term"))
            elif tag == f"{_ATOM}id":
                row["id"], _, version = child.text.rpartition("/")[2].partition("v")
                row["version"] = int(version)
            elif tag == f"{_ATOM}title":
                row["title"] = _line(child.text)
            elif tag == f"{_ATOM}summary":
                row["abstract"] = _line(child.text)
            elif tag == f"{_ATOM}published":
                row["published_at"] = datetime.fromisoformat(child.text)
            elif tag == f"{_ATOM}updated":
                row["updated_at"] = datetime.fromisoformat(child.text)
            elif tag == f"{_ARXIV}comment":
                row["comment"] = _line(child.text)
            elif tag == f"{_ARXIV}doi":
                row["doi"] = child.text.lower()
            elif tag == f"{_ARXIV}journal_ref":
                row["journal_ref"] = _line(child.text)
        row["authors"], row["categories"] = authors, categories
        row["withdrawn"] = "withdrawn" in row["abstract"] or "withdrawn" in (row["comment"] or "")
        rows.append(row)
    return rows


def rss(body: bytes) -> list[Row]:
    """An announcement by lxml, authors cut at every comma."""
    rows: list[Row] = []
    for rank, item in enumerate(_root(body)[0].iterchildren("item"), 1):
        row: Row = {"rank": rank}
        categories: list[str] = []
        for child in item:
            tag = child.tag
            if tag == "category":
                categories.append(child.text)
            elif tag == "title":
                row["title"] = _line(child.text)
            elif tag == "description":
                row["abstract"] = _line(child.text.partition("Abstract: ")[2])
            elif tag == "guid":
                row["id"], _, version = child.text.rpartition(":")[2].partition("v")
                row["version"] = int(version)
            elif tag == "pubDate":
                row["announced_on"] = parsedate_to_datetime(child.text).date()
            elif tag == f"{_DC}creator":
                row["authors"] = [name.strip() for name in child.text.split(",")]
            elif tag == f"{_DC}rights":
                row["license"] = child.text
            elif tag == f"{_ARXIV}announce_type":
                row["announce_type"] = child.text
        row["categories"] = categories
        row["withdrawn"] = "withdrawn" in row["abstract"]
        rows.append(row)
    return rows


def oai(body: bytes) -> list[Row]:
    """A ListRecords page by lxml."""
    rows: list[Row] = []
    for rank, record in enumerate(_root(body).iter(f"{_OAI_ARXIV}arXiv"), 1):
        row: Row = {"rank": rank, "comment": None}
        for child in record:
            tag = child.tag[len(_OAI_ARXIV) :]
            if tag == "authors":
                row["authors"] = [f"{_line(one[1].text)} {_line(one[0].text)}" for one in child]
            elif tag in ("created", "updated"):
                row[tag] = datetime.combine(date.fromisoformat(child.text), datetime.min.time(), UTC)
            elif tag == "categories":
                row["categories"] = child.text.split()
            elif tag == "doi":
                row["doi"] = child.text.lower()
            else:
                row[tag] = _line(child.text)
        row["withdrawn"] = "withdrawn" in row["abstract"] or "withdrawn" in row.get("comments", "")
        rows.append(row)
    return rows


def hugging_face(body: bytes) -> list[Row]:
    """A page of the Daily Papers by the json module."""
    rows: list[Row] = []
    for rank, item in enumerate(json.loads(body), 1):
        paper = item["paper"]
        organization = paper.get("organization")
        rows.append(
            {
                "rank": rank, "id": paper["id"], "title": _line(paper["title"]), "abstract": _line(paper["summary"]),
                "authors": [
                    (_line(one["name"]), one["user"]["user"] if "user" in one else None) for one in paper["authors"]
                ],
                "organization": organization["fullname"] if organization else None,
                "published_at": datetime.fromisoformat(paper["publishedAt"]),
                "announced_on": datetime.fromisoformat(paper["submittedOnDailyAt"]).date(),
                "upvotes": paper["upvotes"], "comments_count": item["numComments"],
                "links": [paper[name] for name in ("githubRepo", "projectPage") if name in paper],
                "ai_summary": _line(paper.get("ai_summary")), "ai_keywords": paper.get("ai_keywords", []),
                "thumbnail_url": item["thumbnail"],
            }
        )  # fmt: skip
    return rows


def _moment(parsed: Any) -> datetime | None:
    year, month, day, hour, minute, second = parsed[:6] if parsed else (0, 0, 0, 0, 0, 0)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC) if parsed else None


def by_feedparser(body: bytes) -> list[Row]:
    """What a first program does: feedparser, and its fields as they come."""
    return [
        {
            "id": entry.get("id"), "title": _line(entry.get("title")), "abstract": _line(entry.get("summary")),
            "authors": [one.get("name") for one in entry.get("authors", ())],
            "categories": [tag.get("term") for tag in entry.get("tags", ())],
            "published_at": _moment(entry.get("published_parsed")),
            "comment": entry.get("arxiv_comment"), "doi": entry.get("arxiv_doi"),
        }
        for entry in feedparser.parse(body).entries
    ]  # fmt: skip
