from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from services.digests.entries import make_page
from services.digests.slack import MAX_BLOCKS, MAX_HEADER, MAX_SECTION, MAX_TOTAL, escape, link, slack_payload
from services.domain.digests import EditionView

from .hostile import PAYLOADS, views
from .sample_view import ITEMS, VIEW, item

LINK = re.compile(r"<https?://[^<>|\s]+\|[^<>|]*>")


def payload_of(view: EditionView) -> dict[str, Any]:
    return slack_payload(make_page(view), "Subject <!channel> & more")


def texts(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [part for block in payload["blocks"] for part in (block.get("text"), *block.get("elements", ())) if part]


def check_limits(payload: dict[str, Any]) -> None:
    assert set(payload) == {"text", "blocks", "unfurl_links", "unfurl_media"}
    assert payload["unfurl_links"] is False
    assert payload["unfurl_media"] is False
    assert 0 < len(payload["text"]) <= 4_000
    assert 1 <= len(payload["blocks"]) <= MAX_BLOCKS
    assert payload["blocks"][0]["type"] == "header"
    assert payload["blocks"][0]["text"]["type"] == "plain_text"
    assert len(payload["blocks"][0]["text"]["text"]) <= MAX_HEADER
    for part in texts(payload):
        assert 0 < len(part["text"].strip()) <= MAX_SECTION
    assert sum(len(part["text"]) for part in texts(payload)) <= MAX_TOTAL
    json.dumps(payload)


def check_inert(payload: dict[str, Any]) -> None:
    for part in texts(payload):
        if part["type"] != "mrkdwn":
            continue
        assert part["verbatim"] is True
        rest = LINK.sub("", part["text"])
        assert "<" not in rest
        assert ">" not in rest
        assert not re.search(r"&(?!(?:amp|lt|gt);)", part["text"])
        # Only our own numbers are bold: every other formatting character stands between zero-width spaces.
        rest = re.sub(r"^\*\d+\.\* ", "", rest)
        assert not re.search(r"(?<!\u200b)[*_~`@]|[*_~`@](?!\u200b)", rest)
        assert not re.search(r":[A-Za-z0-9_+'-]+:", rest)


def test_the_list_has_number_title_why_and_stars() -> None:
    payload = payload_of(VIEW)
    check_limits(payload)
    check_inert(payload)
    said = [part["text"] for part in texts(payload)]
    assert said[0] == "efficient LLM inference · Tue 24 Nov"
    assert said[1] == "21 of 126 new papers match your search; the first 12 are here"
    assert "Hugging Face: late, will follow" in said[2]
    assert said[3] == (
        "*1.* <https://arxiv.org/abs/2611.01234|Speculative Decoding Without a Draft Model>\n"
        'Why: matches "speculative decoding"; near “Medusa”, which you saved · ★ 412'
    )
    assert said[-2] == "<https://papers.example.org/editions/118|+ 9 more on the web>"
    assert "<https://papers.example.org/u/abc123|Unsubscribe>" in said[-1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;\u200b@\u200bU1&gt;"),
        ("a*b", "a\u200b*\u200bb"),
        (":tada: 3:2", ":\u200btada: 3:2"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_untrusted_text_shows_as_itself(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_links_label_and_url_cannot_end_it_early() -> None:
    assert link("p(x|y) > 1", "https://e.example/a|b>c?x=1&y=2") == (
        "<https://e.example/a%7Cb%3Ec?x=1&amp;y=2|p(x∣y) &gt; 1>"
    )
    assert link("no url", None) == "no url"
    assert link("long", "https://e.example/" + "a" * 3_000) == "long"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_known_payloads_are_inert(payload: str) -> None:
    view = replace(VIEW, name=payload, query=payload, items=(item("2611.00001", payload, why=(payload,)),))
    check_limits(payload_of(view))
    check_inert(payload_of(view))


def test_a_long_edition_is_cut_with_a_link_to_the_rest() -> None:
    papers = tuple(replace(ITEMS[0], title=f"{i} " + "&<>*" * 60, why=("&" * 200,) * 4) for i in range(200))
    payload = payload_of(replace(VIEW, items=papers, matched=300, considered=300))
    check_limits(payload)
    shown = sum(block["type"] == "section" for block in payload["blocks"]) - 1
    assert 1 <= shown < 46
    assert f"+ {300 - shown} more on the web" in payload["blocks"][-2]["text"]["text"]
    assert f"the first {shown} are here" in payload["blocks"][1]["elements"][0]["text"]
    short = tuple(replace(ITEMS[0], title=f"Paper {i}", why=("new",)) for i in range(200))
    payload = payload_of(replace(VIEW, items=short, matched=200))
    check_limits(payload)
    assert len(payload["blocks"]) == MAX_BLOCKS


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(views(max_items=8))
def test_any_input_is_within_the_limits_and_inert(view: EditionView) -> None:
    for each in (view, replace(view, items=view.items * 12)):
        payload = payload_of(each)
        check_limits(payload)
        check_inert(payload)
