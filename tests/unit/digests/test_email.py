from __future__ import annotations

from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import HealthCheck, given, settings

from services.digests.email import MAX_HTML_BYTES, Plan, render_html
from services.digests.entries import make_page
from services.domain.digests import EditionView

from .hostile import PAYLOADS, URLS, views
from .sample_view import ITEMS, VIEW, code, item

ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "div", "table", "tbody", "tr", "td",
    "h1", "h2", "a", "b", "span", "br",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "class", "style", "role", "width", "cellpadding", "cellspacing",
    "border", "align", "href", "dir",
}  # fmt: skip


class Seen(HTMLParser):
    """What a mail program would find in the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.hrefs: list[str] = []
        self.text = ""
        self._hidden = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.hrefs += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self._hidden += tag in ("style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


def html_of(view: EditionView, *, limit: int = MAX_HTML_BYTES) -> str:
    return render_html(make_page(view), "Subject", limit=limit)[0]


def many(n: int) -> EditionView:
    papers = tuple(
        replace(
            ITEMS[0],
            key=f"arxiv:2611.{i:05}",
            title=f"Paper number {i} on a subject of some length",
            code=(code("a/b", i),) * 2,
        )
        for i in range(n)
    )
    return replace(VIEW, items=papers, matched=n + 9, considered=n + 100)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(views())
def test_any_input_gives_only_the_templates_elements_and_safe_links(view: EditionView) -> None:
    seen = Seen(html_of(view))
    assert set(seen.elements) <= ELEMENTS
    assert seen.attributes <= ATTRIBUTES
    assert seen.elements["style"] == 1
    assert seen.elements["title"] == 1
    assert seen.elements["h2"] == len(view.items)
    assert all(href.startswith(("http://", "https://", "mailto:")) for href in seen.hrefs)


def test_each_known_payload_is_text_and_each_bad_url_no_link() -> None:
    clean = Seen(html_of(replace(VIEW, items=(item("2611.00001", "Title", sentence="A sentence."),))))
    for payload in PAYLOADS:
        seen = Seen(html_of(replace(VIEW, items=(item("2611.00001", payload, sentence=payload or "x"),))))
        assert seen.elements == clean.elements, payload
    for url in URLS:
        seen = Seen(html_of(replace(VIEW, items=(item("2611.00001", "T", url=url, web_url=url, pdf_url=url),))))
        assert not [href for href in seen.hrefs if "javascript" in href.lower() or "evil" in href], url


def test_template_syntax_prints_itself() -> None:
    text = Seen(html_of(replace(VIEW, items=(item("2611.00001", "On {{7*7}}", why=("{{7*7}}",)),)))).text
    assert "On 7*7" in text, "braces are TeX in a title"
    assert "{{7*7}}" in text
    assert "49" not in text


def test_the_page_loads_nothing_and_tells_nobody() -> None:
    html = html_of(VIEW)
    seen = Seen(html)
    assert not set(seen.elements) & {"img", "link", "script", "iframe", "form", "input"}
    assert "url(" not in html
    assert "@import" not in html
    assert "@font-face" not in html


def test_dark_mode_and_phone_rules_stay_in_the_head_and_the_rest_is_inlined() -> None:
    html = html_of(VIEW)
    assert "prefers-color-scheme:dark" in html.replace(" ", "")
    assert "max-width:600px" in html.replace(" ", "")
    assert '<meta name="color-scheme" content="light dark">' in html
    head = html[: html.index("<body")]
    assert ".sheet{width:100%" not in head.replace(" ", "")
    assert "background-color:#fffefa" in html[html.index("<body") :].replace(" ", "")


def test_the_entry_is_read_in_order() -> None:
    text = Seen(html_of(VIEW)).text
    order = [
        "efficient LLM inference",
        "Tuesday, 24 November 2026",
        "21 of 126 new papers match your search; the first 12 are here",
        "Hugging Face: late, will follow",
        "code facts 40 min old",
        "Speculative Decoding Without a Draft Model",
        "Ada Rossi, Bo Chen, … Kenji Ito (6) · ETH Zürich",
        "WHY",
        'matches "speculative decoding"',
        "Removes the draft model",
        "[abstract]",
        "arXiv 2611.01234v1",
        "CODE",
        "ethz/nodraft",
        "★ 412 (+180/24 h)",
        "PDF",
        "Provably Small Memory",
        "[HF AI]",
        "archived",
        "withdrawn",
        "+ 9 more on the web",
        "all new papers",
        "You get this daily at 08:00, Europe/Berlin.",
        "Change",
        "Pause",
        "Unsubscribe",
    ]
    at = text.index("efficient LLM inference")
    for words in order:
        at = text.index(words, at)


def test_a_small_edition_is_printed_whole() -> None:
    assert render_html(make_page(VIEW), "S")[1] == Plan(12, 12)


def test_above_the_limit_the_last_papers_become_one_liners() -> None:
    html, plan = render_html(make_page(many(60)), "S")
    assert len(html.encode()) <= MAX_HTML_BYTES
    assert 0 < plan.full < 60
    assert plan.shown == 60
    assert "Paper number 59 on" in html
    assert "Unsubscribe" in html
    one_more = render_html(make_page(many(60)), "S", limit=MAX_HTML_BYTES + 3_500)[1]
    assert one_more.full > plan.full


def test_far_above_the_limit_papers_go_to_the_web_and_the_footer_stays() -> None:
    html, plan = render_html(make_page(many(400)), "S")
    assert len(html.encode()) <= MAX_HTML_BYTES
    assert plan.full == 0
    assert 50 < plan.shown < 400
    text = Seen(html).text
    assert f"+ {409 - plan.shown} more on the web" in text
    assert f"the first {plan.shown} are here" in text
    assert "Unsubscribe" in text


def test_a_limit_nothing_fits_in_leaves_the_frame() -> None:
    html, plan = render_html(make_page(many(5)), "S", limit=10)
    assert plan == Plan(0, 0)
    assert "+ 14 more on the web" in Seen(html).text


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(views(max_items=8))
def test_any_input_stays_below_the_limit(view: EditionView) -> None:
    repeated = replace(view, items=view.items * 30)
    html, plan = render_html(make_page(repeated), "S")
    assert len(html.encode()) <= MAX_HTML_BYTES
    assert plan.shown <= len(repeated.items)
