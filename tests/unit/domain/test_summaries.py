from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.summaries import sentences, telling_sentence


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two.", ("One.", "Two.")),
        ("It is 2.3 times faster. Good.", ("It is 2.3 times faster.", "Good.")),
        ("Methods, e.g. Medusa, work. They do.", ("Methods, e.g. Medusa, work.", "They do.")),
        ("As Rossi et al. Show, it works. Yes.", ("As Rossi et al. Show, it works.", "Yes.")),
        ("See Fig. 3 for more. Then stop.", ("See Fig. 3 for more.", "Then stop.")),
        ("J. Smith wrote it. He did.", ("J. Smith wrote it.", "He did.")),
        ("Works on CT and MR. It is small.", ("Works on CT and MR.", "It is small.")),
        ("Does it work? It does! Fine", ("Does it work?", "It does!", "Fine")),
        ("推理很慢。我们提出新方法。", ("推理很慢。", "我们提出新方法。")),
        ("", ()),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, parts: tuple[str, ...]) -> None:
    assert sentences(text) == parts


@pytest.mark.parametrize(
    ("abstract", "telling"),
    [
        (
            "Decoding is slow and costly. We propose NoDraft, which removes the draft model. It is fast.",
            "We propose NoDraft, which removes the draft model.",
        ),
        (
            "Decoding is slow and costly. In this paper, we study why caches grow. They do.",
            "We study why caches grow.",
        ),
        ("Decoding is slow today. To this end, we introduce Tiny, a cache.", "We introduce Tiny, a cache."),
        (
            "Attention is costly. The new kernel outperforms all others by 12%.",
            "The new kernel outperforms all others by 12%.",
        ),
        ("Attention sinks hold a lot of mass. They are odd.", "Attention sinks hold a lot of mass."),
        (
            "Code is available at https://example.org/x. Sinks are an odd thing to have.",
            "Sinks are an odd thing to have.",
        ),
        ("The solution is found by descent alone. It is short.", "The solution is found by descent alone."),
        ("Short.", "Short."),
        ("", None),
        ("   \n ", None),
    ],
)
def test_the_sentence_that_says_what_the_paper_does(abstract: str, telling: str | None) -> None:
    assert telling_sentence(abstract) == telling


def test_a_long_sentence_is_cut_at_a_word() -> None:
    cut = telling_sentence("We propose " + "a very long method " * 40 + ".", limit=60)
    assert cut is not None
    assert len(cut) <= 60
    assert cut.endswith("…")


@given(st.text(max_size=2_000))
def test_any_text_gives_a_short_sentence_or_none(text: str) -> None:
    found = telling_sentence(text, limit=120)
    assert found is None or 0 < len(found) <= 120


def test_a_hostile_abstract_is_not_slow() -> None:
    # Would take minutes if any pattern went back over the text again and again.
    assert telling_sentence("we " * 20_000 + ".")
    assert telling_sentence("the code " * 20_000)
    assert telling_sentence("." * 50_000)
