from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from services.digests.email import Plan
from services.digests.entries import make_page
from services.digests.plain import WIDTH, columns, render_text, wrap
from services.domain.digests import EditionView

from .hostile import views
from .sample_view import VIEW, item


def text_of(view: EditionView) -> str:
    return render_text(make_page(view), Plan(len(view.items), len(view.items)))


def test_the_text_says_what_the_html_says() -> None:
    text = text_of(VIEW)
    flat = " ".join(text.split())
    for words in (
        "EFFICIENT LLM INFERENCE",
        "21 of 126 new papers match your search; the first 12 are here",
        '"speculative decoding" OR "kv cache" OR quantization OR serving',
        "! Hugging Face: late, will follow",
        "1. Speculative Decoding Without a Draft Model",
        'WHY matches "speculative decoding"',
        "at equal quality. [abstract]",
        "CODE ethz/nodraft ★ 412 (+180/24 h) · Apache-2.0",
        "[ARRIVED LATE]",
        "CODE mila-lab/sinks [ARCHIVED] ★ 18",
        "Lossless Prompt Compression by Arithmetic Coding [WITHDRAWN]",
        "+ 9 more on the web",
        "You get this daily at 08:00, Europe/Berlin.",
    ):
        assert words in flat, words


def test_links_stand_whole_on_lines_of_their_own() -> None:
    lines = text_of(VIEW).splitlines()
    assert "    https://arxiv.org/abs/2611.01234" in lines
    assert "    https://github.com/ethz/nodraft" in lines
    assert "https://papers.example.org/u/abc123" in lines


def test_one_liners_and_the_rest() -> None:
    text = render_text(make_page(VIEW), Plan(1, 3))
    assert "IN SHORT" in text
    assert "FP4 Everywhere" in text
    assert "What Do Attention Sinks" not in text
    assert "+ 18 more on the web\nhttps://papers.example.org/editions/118" in text


def test_markup_is_shown_as_typed_and_never_as_entities() -> None:
    text = text_of(replace(VIEW, items=(item("2611.00001", "A < B & C > D", sentence="x & y < z"),)))
    assert "A < B & C > D" in text
    assert "&amp;" not in text
    assert "&lt;" not in text


def test_wide_characters_count_two_columns() -> None:
    assert columns("稀疏ab") == 6
    lines = wrap("稀疏注意力" * 30)
    assert len(lines) > 3
    assert all(columns(line) <= WIDTH for line in lines)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(views())
def test_no_line_but_a_link_is_wider_than_the_page(view: EditionView) -> None:
    text = text_of(view)
    assert "\r" not in text
    assert "\x1b" not in text
    for line in text.splitlines():
        assert columns(line) <= WIDTH or "://" in line
