from __future__ import annotations

import gc
import time
import unicodedata
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.text import (
    ascii_host,
    clean,
    clean_html,
    excerpt,
    latex_to_text,
    safe_url,
    strip_invisible,
)

INVISIBLE = "\x00\x07\x1b\x7f\x9f\u00ad\u061c\u200b\u200f\u202e\u2066\u2069\ufeff\ufffe\ud800\U000e0041"


# --- clean -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("char", list(INVISIBLE), ids=lambda c: f"U+{ord(c):04X}")
def test_an_invisible_character_is_dropped_without_a_trace(char: str) -> None:
    assert clean(f"pay{char}load") == "payload"


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("  a \n\t b  ", "a b"),
        ("a\u00a0b\u2028c\u3000d", "a b c d"),
        ("e\u0301tude", "\u00e9tude"),
        ("e\u200b\u0301", "\u00e9"),
        ("深度 学习", "深度 学习"),
        ("", ""),
        ("\u200b \u200b", ""),
    ],
)
def test_text_is_composed_and_its_whitespace_collapsed(given_text: str, expected: str) -> None:
    assert clean(given_text) == expected


def test_text_is_cut_at_the_limit_and_not_left_with_a_blank() -> None:
    assert clean("abc def", limit=4) == "abc"
    assert clean("abc", limit=0) == ""
    assert len(clean("x" * 50_000)) == 20_000


@given(st.text())
def test_cleaning_twice_changes_nothing_and_leaves_nothing_unprintable(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in once)
    once.encode("utf-8")


@pytest.mark.parametrize("odd", ["", "\n", "  ", "\t", "\x7f", "\u200b", "e\u0301", " \u00e9", "\x00"])
def test_a_long_text_is_cleaned_as_its_parts_are(odd: str) -> None:
    part = f"jar {odd}of tea"
    assert clean(" ".join([part] * 40)) == " ".join([clean(part)] * 40)


def test_invisible_characters_go_and_line_breaks_stay_when_only_they_are_stripped() -> None:
    assert strip_invisible("a\u200b\nb\x00\tc") == "a\nb\tc"


# --- clean_html --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_html", "expected"),
    [
        ("<p>one</p><p>two</p>", "one two"),
        ("one<br/>two", "one two"),
        ("plain", "plain"),
        ("H<sub>2</sub>O", "H2O"),
        ("<b>bold</b>ly", "boldly"),
        ("R&amp;D &eacute;tude", "R&D étude"),
        ("&lt;b&gt; is a tag", "<b> is a tag"),
        ("&amp;lt;", "&lt;"),
        ("p < 0.05 and n > 3", "p < 0.05 and n > 3"),
        ("<p>p < 0.05</p>", "p < 0.05"),
        ("2<3", "2<3"),
        ("<script>alert(1)</script>after", "after"),
        ("<style>p{}</style>after", "after"),
        ("<img src=x onerror=alert(1)>title", "title"),
        ("<svg><a xlink:href='javascript:x'></a></svg>t", "t"),
        ("a<!-- hidden -->b", "ab"),
        ("<unclosed text", "<unclosed text"),
        ("lone \ud800 surrogate <i>x</i>", "lone surrogate x"),
    ],
)
def test_markup_becomes_plain_text(given_html: str, expected: str) -> None:
    assert clean_html(given_html) == expected


@given(st.text())
def test_any_input_becomes_clean_text_without_an_error(text: str) -> None:
    result = clean_html(text)
    assert result == clean(result)


# --- excerpt -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 10, "short"),
        ("one two three", 9, "one two…"),
        ("one two three", 8, "one two…"),
        ("one, two three", 5, "one…"),
        ("深度学习模型的研究", 5, "深度学习…"),
        ("abc", 0, ""),
        ("abc", 1, "…"),
    ],
)
def test_an_excerpt_ends_with_a_whole_word_and_an_ellipsis(text: str, limit: int, expected: str) -> None:
    assert excerpt(text, limit) == expected


@given(st.text(), st.integers(min_value=0, max_value=60))
def test_an_excerpt_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(excerpt(text, limit)) <= limit


# --- safe_url ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ours.test/a?b=c#d", "https://ours.test/a?b=c#d"),
        ("  http://ours.test/ \n", "http://ours.test/"),
        ("HTTPS://Ours.Test/A", "https://ours.test/A"),
        ("http://ours.test:8080/x", "http://ours.test:8080/x"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/ü"),
    ],
)
def test_a_web_address_is_kept(url: str, expected: str) -> None:
    assert safe_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://ours.test/",
        "mailto:a@ours.test",
        "//ours.test/x",
        "/x",
        "ours.test/x",
        "http:",
        "http://",
        "http:///x",
        "http://?x",
        "https://user@ours.test/",
        "https://user:secret@ours.test/",
        "https://ours.test\\@evil.test/",
        "https://ours.test/a b",
        "https://ours.test/a\tb",
        "https://ours.test/\u202egnp",
        "https://ours.test/\x00",
        'https://ours.test/"onclick="x',
        "https://ours.test/<script>",
        "http://ours.test:99999/",
        "http://ours.test:port/",
        "http://[::1/",
        "http://[nonsense]/",
        "http://a..b/",
        "http://-a-.test/x y",
        "https://ours.test/" + "a" * 2_000,
    ],
)
def test_anything_but_a_web_address_is_refused(url: str) -> None:
    assert safe_url(url) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Ours.Test.", "ours.test"),
        ("", None),
        ("a b", None),
        ("a" * 64 + ".test", None),
        ("::1", "[::1]"),
        ("münchen.test", "xn--mnchen-3ya.test"),
    ],
)
def test_a_host_is_given_in_lower_case_ascii(host: str, expected: str | None) -> None:
    assert ascii_host(host) == expected


# --- latex_to_text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        ("plain text", "plain text"),
        (r"Erd\H{o}s, Poincar\'e and G\"odel", "Erdős, Poincaré and Gödel"),
        (r"\emph{very} \textbf{bold} \texttt{mono}", "very bold mono"),
        ("$x^2$ and H$_2$O", "x² and H₂O"),
        (r"$10^{-3}$", "10⁻³"),
        (r"$O(n \log n)$", "O(n log n)"),
        (r"$\alpha$-stable", "α-stable"),
        (r"$\sim$90\% at 45$^\circ$", "∼90% at 45°"),
        (r"$\mathbb{R}^d$", "ℝ^d"),
        (r"$\pi_0$: a model", "π₀: a model"),
        ("Smith~et~al.", "Smith et al."),
        ("1990--2000", "1990–2000"),
        ("``quoted''", "“quoted”"),
        ("95% of R&D #1", "95% of R&D #1"),
        (r"95\% of R\&D", "95% of R&D"),
        ("from $5 to $10", "from $5 to $10"),
        (r"costs \$5", "costs $5"),
        (r"see \url{https://ours.test/a\_b%20c}", "see https://ours.test/a_b%20c"),
        (r"\href{https://ours.test/x}{our page}", "our page (https://ours.test/x)"),
        (r"\href{https://ours.test/x}{https://ours.test/x}", "https://ours.test/x"),
        (r"\href{javascript:alert(1)}{click}", "click"),
        ("https://ours.test/~me/a_b", "https://ours.test/~me/a_b"),
        (r"\ourmodel{} wins", "ourmodel wins"),
        (r"\textsc{Name}\xspace is", "Name is"),
        (r"\emph{see $x$ at https://ours.test/a_b}", "see x at https://ours.test/a_b"),
        (r"as shown \cite{a,b}.", "as shown ."),
        (r"\input{/etc/passwd}x", "x"),
        ("my_variable", "my_variable"),
        ("$unclosed", "$unclosed"),
        (r"{\bf bold} {Case}", "bold Case"),
        (r"360{\deg} and \r{ho} = 0.3", "360° and ρ = 0.3"),
        (r"by $>$3\%", "by >3%"),
        (r"an accent on \^$x$ and \c{$y$}", "an accent on x and y"),
        (r"$\mathtt{[M]}$ and \underline{\textbf{Fed}}erated", "[𝙼] and Federated"),
    ],
)
def test_tex_becomes_readable_text(tex: str, expected: str) -> None:
    assert latex_to_text(tex) == expected


@given(st.text(alphabet=st.sampled_from("ab $\\{}^_%&#~-`'\n[]()1é\ue000\ue001")))
def test_no_tex_however_broken_raises_or_leaves_dirt(text: str) -> None:
    result = latex_to_text(text)
    assert result == clean(result)
    assert "\ue000" not in result


@pytest.mark.parametrize(
    "hostile", ["{" * 20_000, "$" * 20_000, "\\emph{" * 3_000, "$x_{" * 5_000, "\\" * 20_000, "\\href{" * 3_000]
)
def test_hostile_tex_is_answered_in_time(hostile: str) -> None:
    begun = time.thread_time()
    latex_to_text(hostile)
    assert time.thread_time() - begun < 5


@pytest.mark.parametrize(
    "source", [r"Schr\"odinger \emph{cats}", r"\emph{cats", r"\begin{cats} $x^2$", r"\frac{1}", "plain"]
)
def test_reading_tex_keeps_nothing_of_its_caller(source: str) -> None:
    class Page:
        """What a caller holds."""

    def caller() -> weakref.ref[Page]:
        page = Page()
        latex_to_text(source)
        return weakref.ref(page)

    gc.disable()
    try:
        assert caller()() is None
    finally:
        gc.enable()
