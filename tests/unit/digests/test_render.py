from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from services.digests import render
from services.digests.render import MAX_SUBJECT
from services.domain.digests import EditionView
from services.domain.messages import Message

from .hostile import views
from .sample_view import ITEMS, NOW, QUIET, VIEW, item


def rendered(view: EditionView) -> Message:
    return render(view, message_id="<d1@papers.example.org>", list_id="Papers <papers.example.org>")


def subject(title: str, count: int) -> str:
    others = tuple(item(f"2611.1{n:04}", "Other") for n in range(count - 1))
    return rendered(replace(VIEW, items=(item("2611.00001", title), *others), matched=count)).subject


@pytest.mark.parametrize(
    ("title", "count", "said"),
    [
        ("Speculative Decoding Without a Draft Model", 12,
         "Speculative Decoding Without a Draft Model + 11 · Tue 24 Nov"),
        ("Tiny", 1, "Tiny · Tue 24 Nov"),
        ("A Long Title That Leaves No Room for the Date at All", 3,
         "A Long Title That Leaves No Room for the Date at All + 2"),
        ("A Title So Long That It Has to Be Cut at the End of a Word", 100,
         "A Title So Long That It Has to Be Cut at the End of a… + 99"),
        (r"$\alpha$-Na\"ive \textbf{Bayes}", 1, "α-Naïve Bayes · Tue 24 Nov"),
        ("Line\r\nBcc: eve@evil.example", 1, "Line Bcc: eve@evil.example · Tue 24 Nov"),
        ("", 2, "Untitled + 1 · Tue 24 Nov"),
    ],
)  # fmt: skip
def test_the_subject_names_the_best_paper_and_the_count(title: str, count: int, said: str) -> None:
    assert subject(title, count) == said


def test_a_quiet_edition_says_so_in_its_subject() -> None:
    assert rendered(QUIET).subject == "Daily Papers · Tue 24 Nov: nothing new"
    late = replace(QUIET, sources=VIEW.sources, name="A name far too long to stand in the subject of any mail")
    assert rendered(late).subject.endswith("… · Tue 24 Nov: nothing new so far")
    assert len(rendered(late).subject) <= MAX_SUBJECT


def test_the_same_view_gives_the_same_message() -> None:
    assert rendered(VIEW) == rendered(VIEW)
    assert rendered(VIEW).date == NOW


def test_the_headers_of_a_list_that_can_be_left_in_one_click() -> None:
    assert rendered(VIEW).headers == {
        "Auto-Submitted": "auto-generated",
        "Precedence": "bulk",
        "X-Auto-Response-Suppress": "All",
        "X-Broadsheet-Edition": "2026-11-24 efficient LLM inference",
        "List-Unsubscribe": "<https://papers.example.org/u/abc123/one-click>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_without_a_one_click_address_none_is_claimed() -> None:
    headers = rendered(replace(VIEW, one_click_url=None)).headers
    assert headers["List-Unsubscribe"] == "<https://papers.example.org/u/abc123>"
    assert "List-Unsubscribe-Post" not in headers
    headers = rendered(replace(VIEW, unsubscribe_url="mailto:leave@example.org")).headers
    assert headers["List-Unsubscribe"] == (
        "<https://papers.example.org/u/abc123/one-click>, <mailto:leave@example.org>"
    )
    assert "List-Unsubscribe" not in rendered(replace(VIEW, one_click_url=None, unsubscribe_url=None)).headers


def test_every_form_of_a_quiet_edition_is_whole() -> None:
    message = rendered(QUIET)
    said = "Nothing new: no new papers were announced."
    assert message.html is not None
    assert said in message.html
    assert said in message.text
    assert said in json.dumps(message.slack)
    assert message.data is not None
    assert message.data["papers"] == []
    assert "https://papers.example.org/u/abc123" in message.html


def test_a_title_of_a_megabyte_costs_little() -> None:
    message = rendered(replace(VIEW, items=(replace(ITEMS[0], title="<b>x" * 300_000),)))
    assert len(message.subject) <= MAX_SUBJECT
    assert len(message.html or "") < 20_000
    assert len(message.text) < 5_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(views())
def test_any_view_gives_a_subject_and_headers_on_one_line(view: EditionView) -> None:
    message = rendered(view)
    assert 0 < len(message.subject) <= MAX_SUBJECT
    for value in (message.subject, *message.headers.values()):
        assert not {unicodedata.category(c) for c in value} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for name, value in message.headers.items():
        assert value.isascii()
        assert len(f"{name}: {value}") < 990
    json.dumps(message.data)
