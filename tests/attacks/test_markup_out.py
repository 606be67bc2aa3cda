"""Hostile strings in every field of a paper, a feed, a repository: what is made of them for readers and programs.

Each output is parsed as what it claims to be; nothing is looked for by its spelling.
"""

from __future__ import annotations

import csv
import email
import email.policy
import io
import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from services.channels.mime import build_mime
from services.digests.export import COLUMNS, write
from services.digests.render import render
from services.domain.identifiers import Identifier
from services.domain.links import LinkData
from services.domain.messages import Message
from services.domain.papers import AuthorData, PaperFacts, RepoFacts
from tests.attacks.strings import EVALUATED, STRINGS, URLS, check_json, check_page, elements, poisoned
from tests.unit.digests.sample_view import VIEW, code, item

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
CALM = "calm"
ITEM = item(
    "2611.90001",
    CALM,
    authors=(CALM, CALM),
    organization=CALM,
    sentence=CALM,
    abstract=CALM,
    categories=(CALM,),
    why=(CALM,),
    code=(code("a/b", 3, license=CALM, language=CALM, release=CALM, archived=True),),
    project_urls=("https://x.example/",),
    artifacts=(code("a/c", 3, kind="model"),),
    feeds=(CALM,),
    upvotes=3,
    comments_count=2,
    withdrawn=True,
    late=True,
)
EDITION = poisoned(VIEW, CALM)
PAPER = PaperFacts(
    id=1,
    key="arxiv:2611.90001",
    title=CALM,
    abstract=CALM,
    authors=(AuthorData(name=CALM, affiliation=CALM),),
    organization=CALM,
    published_at=NOW,
    first_seen_at=NOW,
    categories=(CALM,),
    comment=CALM,
    journal_ref=CALM,
    license=CALM,
    ai_summary=CALM,
    ai_keywords=(CALM,),
    identifiers=(Identifier("arxiv", "2611.90001"),),
    feeds=(CALM,),
    links=(LinkData(url="https://x.example/", kind="project", slug=CALM, evidence="abstract"),),
    repos=(RepoFacts(slug="a/b", url="https://github.com/a/b", state="found", stars=3, description=CALM),),
)
HOSTILE = [pytest.param(text, URLS[n % len(URLS)], id=name) for n, (name, text) in enumerate(STRINGS.items())]


@cache
def message_of(text: str, url: str) -> Message:
    edition = poisoned(EDITION, text, url)
    items = tuple(poisoned(one, text, url) for one in (ITEM, *VIEW.items[:3]))
    return render(
        type(VIEW)(
            **{
                **{name: getattr(edition, name) for name in VIEW.__dataclass_fields__},
                "items": items,
                "feedback": ((("save", "https://papers.example.org/save/x"),), *((),) * 3),
                "since_you_read": (text, text),
            }
        ),
        message_id="<e1@papers.example>",
        list_id=f"{text} <daily.papers.example>",
    )


@pytest.fixture(scope="module")
def mail_elements() -> set[tuple[str, str]]:
    """What a mail is made of when every text is harmless."""
    return elements(message_of(CALM, "https://x.example/").html or "")


@pytest.mark.parametrize(("text", "url"), HOSTILE)
def test_mail(text: str, url: str, mail_elements: set[tuple[str, str]]) -> None:
    message = message_of(text, url)
    check_page(message.html or "", mail_elements, mail=True)
    assert EVALUATED not in message.text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", message.text)
    assert "javascript:" not in " ".join(
        word for line in message.text.split("\n") for word in line.split() if "://" in word
    )


@pytest.mark.parametrize(("text", "url"), HOSTILE)
def test_slack_and_webhook(text: str, url: str) -> None:
    message = message_of(text, url)
    check_json(json.loads(json.dumps(message.data)))
    payload = json.loads(json.dumps(message.slack))
    assert payload["unfurl_links"] is payload["unfurl_media"] is False
    assert not re.search(r"[<>]", payload["text"])
    for block in payload["blocks"]:
        for part in filter(None, (block.get("text"), *block.get("elements", ()))):
            if part["type"] == "plain_text":
                assert part["emoji"] is False
                continue
            assert part["verbatim"] is True
            rest = re.sub(r"<https?://[^<>|\s]+\|[^<>|]*>", "", part["text"])
            assert "<" not in rest and ">" not in rest, rest  # noqa: PT018
            assert not re.search(r"(?<!\u200b)@", rest)


@pytest.mark.parametrize(("text", "url"), HOSTILE)
def test_mail_headers(text: str, url: str) -> None:
    raw = build_mime(message_of(text, url), "Broadsheet <b@papers.example>", "ada@example.org")
    calm = build_mime(message_of(CALM, "https://x.example/"), "Broadsheet <b@papers.example>", "ada@example.org")
    parsed, expected = (email.message_from_bytes(one, policy=email.policy.default) for one in (raw, calm))
    assert set(parsed.keys()) <= set(expected.keys())
    assert len(parsed.keys()) <= len(expected.keys())
    assert [str(parsed["To"]), str(parsed["From"])] == ["ada@example.org", "Broadsheet <b@papers.example>"]
    assert [part.get_content_type() for part in parsed.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b"")  # noqa: PT018


def facts(text: str, url: str) -> list[PaperFacts]:
    hostile = poisoned(PAPER, text.encode("utf-8", "ignore").decode(), url)
    return [hostile, PAPER]


@pytest.mark.parametrize(("text", "url"), HOSTILE)
def test_csv_has_no_formula_and_as_many_rows_as_papers(text: str, url: str) -> None:
    rows = list(csv.reader(io.StringIO("".join(write(facts(text, url), "csv")), newline="")))
    assert [len(row) for row in rows] == [len(COLUMNS)] * 3
    for row in rows[1:]:
        for field in row:
            assert not field.lstrip(" \t\r\n\x0b\x0c\u00a0\ufeff\u200b").startswith(("=", "+", "-", "@")), field


def entries_of_bibtex(text: str) -> list[tuple[str, dict[str, str]]]:
    """Entries as BibTeX reads them: by balanced braces, whatever stands before them; escaped braces count too."""
    found = []
    at = 0
    while (start := text.find("@", at)) >= 0:
        head = re.compile(r"@(\w+)\{([^,{}]*),").match(text, start)
        assert head, text[start : start + 80]
        depth, end = 1, head.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        fields = {}
        inner, place = text[head.end() : end - 1], 0
        while field := re.compile(r"\s*(\w+)\s*=\s*").match(inner, place):
            place = field.end()
            if inner[place] == "{":
                depth, stop = 1, place + 1
                while depth:
                    depth += {"{": 1, "}": -1}.get(inner[stop], 0)
                    stop += 1
            else:
                stop = re.compile(r"\w*").match(inner, place).end()  # type: ignore[union-attr]
            fields[field[1]] = inner[place:stop]
            place = stop + 1 if inner[stop : stop + 1] == "," else stop
        assert not inner[place:].strip(), inner[place:]
        found.append((head[2], fields))
        at = end
    return found


@pytest.mark.parametrize(("text", "url"), HOSTILE)
def test_bibtex_is_one_entry_for_each_paper_with_our_fields(text: str, url: str) -> None:
    found = entries_of_bibtex("".join(write(facts(text, url), "bibtex")))
    assert len(found) == 2
    ours = {"title", "author", "year", "month", "journal", "eprint", "archivePrefix", "primaryClass", "doi", "url"}
    for key, fields in found:
        assert re.fullmatch(r"[a-z0-9]+", key)
        assert set(fields) <= ours
        for name, value in fields.items():
            # `\input` and the like are gone: what is left of TeX are the escapes we write.
            commands = set(re.findall(r"\\[A-Za-z]+", value))
            assert name == "url" or commands <= {r"\textbackslash", r"\textasciitilde", r"\textasciicircum"}, value


@pytest.mark.parametrize(("text", "url"), HOSTILE)
def test_ris_is_one_record_for_each_paper(text: str, url: str) -> None:
    written = "".join(write(facts(text, url), "ris"))
    lines = [line for line in re.split(r"\r\n|\r|\n|\x85|\u2028|\u2029|\x0b|\x0c", written) if line]
    assert all(re.match(r"[A-Z][A-Z0-9]  - ", line) for line in lines), lines
    tags = [line[:2] for line in lines]
    assert (tags.count("TY"), tags.count("ER"), tags.count("TI")) == (2, 2, 2)
    assert tags.count("AU") == 2


@pytest.mark.parametrize(("text", "url"), HOSTILE)
def test_json_exports_are_one_object_for_each_paper(text: str, url: str) -> None:
    lines: list[Any] = [json.loads(line) for line in "".join(write(facts(text, url), "jsonl")).split("\n") if line]
    assert len(lines) == 2
    assert len(json.loads("".join(write(facts(text, url), "csl")))) == 2
