"""Editions full of what a reader's mail program should never see, for properties that hold for any input."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import strategies as st

from services.domain.digests import CodeFacts, EditionItem, EditionView, SourceStatus

from .sample_view import NOW, WEB

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><style>*{display:none}",
    "</td></tr></table><iframe src=https://evil.example>",
    "<!channel> <@U024BE7LH> <!subteam^S1|all> <https://evil.example|click>",
    "Title\r\nBcc: eve@evil.example\r\n\r\nbody",
    "a\x00b\x0bc\x1b[31m",
    "\u202egnp.exe \u2066x\u2069 \u200b\ufeff",
    "{{7*7}} {% include '/etc/passwd' %} {{ self.__init__ }}",
    r"\href{javascript:alert(1)}{x} \input{/etc/passwd} $\frac{1}{0}$ ${",
    "*bold* _it_ ~no~ `code` :tada: @channel <!here>",
    "&lt;b&gt; &amp;amp; &#60;script&#62; &nbsp",
    "👩‍🔬🧪" * 20,
    "ع" * 200 + " مرحبا",
    "x" * 5_000,
    "]]> --> <!-- <![CDATA[ <![endif]-->",
    "\ud800 lone",
    "-" * 200,
)
URLS = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "//evil.example/x",
    "https://user:pass@evil.example/",
    "https://example.org/a|b>c<d\"e'f",
    "https://example.org/a|b?x=1&y=2",
    "https://example.org/" + "a" * 3_000,
    "https://example.org/\r\nX-Injected: 1",
    "",
    "https://example.org/ok",
    "file:///etc/passwd",
)

texts = st.one_of(st.sampled_from(PAYLOADS), st.text(max_size=200), st.just(""))
urls = st.one_of(st.sampled_from(URLS), st.text(max_size=60).map("https://example.org/".__add__))
counts = st.one_of(st.none(), st.integers(min_value=-5, max_value=10**9))
times = st.one_of(st.none(), st.integers(min_value=-(10**8), max_value=10**8).map(lambda s: NOW + timedelta(seconds=s)))

code_facts = st.builds(
    CodeFacts,
    slug=texts,
    url=urls,
    stars=counts,
    stars_gained_24h=counts,
    license=st.none() | texts,
    language=st.none() | texts,
    pushed_at=times,
    archived=st.booleans(),
    evidence=st.none() | texts,
    checked_at=times,
)
items = st.builds(
    EditionItem,
    key=st.sampled_from(["arxiv:2611.01234", "doi:10.1/x", "title:abc", "url:https://x.example"]) | texts,
    title=texts,
    url=urls,
    web_url=urls,
    pdf_url=st.none() | urls,
    authors=st.lists(texts, max_size=5).map(tuple),
    authors_count=st.integers(min_value=0, max_value=3_000),
    organization=st.none() | texts,
    why=st.lists(texts, min_size=1, max_size=6).map(tuple),
    sentence=st.none() | texts,
    sentence_source=st.sampled_from([None, "abstract", "HF AI"]) | texts,
    abstract=st.none() | texts,
    published_at=times,
    announced_on=st.none() | st.dates(min_value=date(1990, 1, 1)),
    version=st.none() | st.integers(min_value=1, max_value=30),
    categories=st.lists(texts, max_size=4).map(tuple),
    upvotes=counts,
    comments_count=counts,
    withdrawn=st.booleans(),
    late=st.booleans(),
    code=st.lists(code_facts, max_size=3).map(tuple),
    project_urls=st.lists(urls, max_size=2).map(tuple),
    models=st.integers(min_value=0, max_value=9),
)
sources = st.builds(
    SourceStatus,
    feed=texts,
    title=texts,
    state=st.sampled_from(["complete", "partial", "late", "stale", "quiet", "failed"]) | texts,
    announced=st.none() | st.integers(min_value=0, max_value=10**6),
    stored=st.integers(min_value=0, max_value=10**6),
    as_of=times,
    note=st.none() | texts,
)


def views(max_items: int = 6) -> st.SearchStrategy[EditionView]:
    """Any edition whose own addresses are ours, and whose everything else is not."""
    return st.builds(
        EditionView,
        name=texts,
        query=st.none() | texts,
        edition_date=st.dates(min_value=date(1990, 1, 1)),
        timezone=st.sampled_from(["Europe/Berlin", "Nowhere/Else", "", "../../etc/passwd", "UTC"]) | texts,
        composed_at=st.just(NOW),
        items=st.lists(items, max_size=max_items).map(tuple),
        matched=st.integers(min_value=0, max_value=10**5),
        considered=st.integers(min_value=0, max_value=10**5),
        sources=st.lists(sources, max_size=4).map(tuple),
        facts_checked_at=times,
        cadence=texts,
        web_url=st.just(f"{WEB}/editions/1"),
        all_url=st.just(f"{WEB}/"),
        feed_url=st.none() | st.just(f"{WEB}/feeds/x.atom"),
        preferences_url=st.none() | urls,
        pause_url=st.none() | urls,
        unsubscribe_url=st.none() | urls,
        one_click_url=st.none() | urls,
    )
