from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidInput
from services.domain.identifiers import (
    SCHEMES,
    ArxivId,
    Identifier,
    canonical_key,
    canonical_url,
    identifiers_from_url,
    paper_url,
    parse_arxiv,
    parse_doi,
    parse_key,
    pdf_url,
    title_fingerprint,
)

# --- arXiv -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "base", "version"),
    [
        ("2601.01234", "2601.01234", None),
        ("2601.01234v3", "2601.01234", 3),
        ("0704.0001", "0704.0001", None),
        ("arXiv:2601.01234v3", "2601.01234", 3),
        ("ARXIV: 2601.01234", "2601.01234", None),
        ("arXiv:2601.01234v3 [cs.CL]", "2601.01234", 3),
        ("arXiv preprint arXiv:2601.01234", "2601.01234", None),
        ("arXiv e-prints, arXiv:2601.01234", None, None),
        ("1412.9999", "1412.9999", None),
        ("1501.00001", "1501.00001", None),
        ("hep-th/9108001", "hep-th/9108001", None),
        ("math/0703999", "math/0703999", None),
        (" 2601.01234. ", "2601.01234", None),
        ("oai:arXiv.org:2203.01250v3", "2203.01250", 3),
        ("https://arxiv.org/abs/2601.01234", "2601.01234", None),
        ("http://arxiv.org/abs/2601.01234v1", "2601.01234", 1),
        ("https://www.arxiv.org/pdf/2601.01234v2.pdf", "2601.01234", 2),
        ("https://arxiv.org/pdf/2601.01234", "2601.01234", None),
        ("https://arxiv.org/html/2601.01234v1/", "2601.01234", 1),
        ("https://arxiv.org/abs/2601.01234?context=cs#top", "2601.01234", None),
        ("https://arxiv.org/list/2601.01234", "2601.01234", None),
        ("https://arxiv.org/abs/2601.01234).", "2601.01234", None),
        ("https://export.arxiv.org/abs/hep-th/9901001", "hep-th/9901001", None),
        ("arxiv.org/abs/2601.01234", "2601.01234", None),
        ("https://ar5iv.labs.arxiv.org/html/2601.01234", "2601.01234", None),
        ("https://www.alphaxiv.org/abs/2601.01234v1", "2601.01234", 1),
        ("https://huggingface.co/papers/2601.01234", "2601.01234", None),
        ("10.48550/arXiv.2601.01234", "2601.01234", None),
        ("doi:10.48550/arXiv.2601.01234", "2601.01234", None),
        ("https://doi.org/10.48550/ARXIV.2601.01234v2", "2601.01234", 2),
        ("https://doi.org/10.48550/arXiv.math/0309136", "math/0309136", None),
        ("cs/0501001", "cs/0501001", None),
        ("math.GT/0309136v2", "math/0309136", 2),
        ("MATH.gt/0309136", "math/0309136", None),
        ("https://arxiv.org/pdf/math.GT/0309136v1.pdf", "math/0309136", 1),
        ("astro-ph/9901001v12", "astro-ph/9901001", 12),
    ],
)
def test_an_arxiv_id_is_read_in_all_its_spellings(text: str, base: str | None, version: int | None) -> None:
    expected = ArxivId(base, version) if base else None
    assert parse_arxiv(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "2613.01234",
        "2600.01234",
        "2601.123",
        "2601.123456",
        "2601.01234v0",
        "12601.01234",
        "owner/0501001",
        "cs/0513001",
        "1234.5678",
        "2024.1234",
        "2012.1234",
        "1412.00001",
        "1501.0001",
        "0703.0001",
        "0612.1234",
        "math/0704001",
        "hep-th/9001001",
        "2024.12.01",
        "v2.10.1234",
        "+31 2010.12345",
        "$1204.99",
        "see 2601.01234 for more",
        "https://ours.test/abs/2601.01234",
        "https://arxiv.org/abs/",
        "https://arxiv.org/a/smith_j_1",
        "https://evil-arxiv.org/abs/2601.01234",
        "https://arxiv.org.evil.test/abs/2601.01234",
        "10.1145/2601.01234",
        "10.1101/2026.01.01.123456",
        "http://[broken/abs/2601.01234",
    ],
)
def test_what_is_no_arxiv_id_is_not_taken_for_one(text: str) -> None:
    assert parse_arxiv(text) is None


@given(
    year=st.integers(8, 90),
    month=st.integers(1, 12),
    number=st.integers(0, 9_999),
    version=st.none() | st.integers(1, 99),
    shape=st.sampled_from(["{}", "arXiv:{}", "https://arxiv.org/abs/{}", "https://arxiv.org/pdf/{}.pdf?x=1"]),
)
def test_every_spelling_of_an_id_gives_the_same_base(
    year: int, month: int, number: int, version: int | None, shape: str
) -> None:
    base = f"{year:02}{month:02}.{number:0{4 if year < 15 else 5}}"
    written = base + (f"v{version}" if version else "")
    assert parse_arxiv(shape.format(written)) == ArxivId(base, version)


def test_an_arxiv_id_prints_as_it_is_written() -> None:
    assert [str(ArxivId("2601.01234")), str(ArxivId("2601.01234", 2))] == ["2601.01234", "2601.01234v2"]


# --- DOI ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("10.1145/3543873.3587625", "10.1145/3543873.3587625"),
        ("DOI: 10.1145/ABC.", "10.1145/abc"),
        ("doi:10.1145/abc,", "10.1145/abc"),
        ("https://doi.org/10.1145/ABC", "10.1145/abc"),
        ("http://dx.doi.org/10.1145/abc?x=1", "10.1145/abc"),
        ("doi.org/10.1145/abc", "10.1145/abc"),
        ("https://doi.org/10.1000%2Fxyz", "10.1000/xyz"),
        ("10.1016/S0140-6736(20)30183-5", "10.1016/s0140-6736(20)30183-5"),
        ("(10.1016/S0140-6736(20)30183-5).", None),
        ("10.1016/S0140-6736(20)30183-5).", "10.1016/s0140-6736(20)30183-5"),
        ("https://dl.acm.org/doi/abs/10.1145/3543873.3587625", "10.1145/3543873.3587625"),
        ("https://onlinelibrary.wiley.com/doi/full/10.1002/abc.123", "10.1002/abc.123"),
        ("https://link.springer.com/article/10.1007/s11263-024-02000-1", "10.1007/s11263-024-02000-1"),
        ("https://www.frontiersin.org/articles/10.3389/fnins.2021.1/full", "10.3389/fnins.2021.1"),
        ("https://www.nature.com/articles/s41586-024-07487-w", "10.1038/s41586-024-07487-w"),
        ("https://www.biorxiv.org/content/10.1101/2026.01.02.123456v2", "10.1101/2026.01.02.123456"),
        ("https://www.biorxiv.org/content/10.1101/2026.01.02.123456v1?rss=1", "10.1101/2026.01.02.123456"),
        ("https://www.biorxiv.org/content/10.1101/2026.01.02.123456v1.full.pdf+html", "10.1101/2026.01.02.123456"),
        ("https://www.medrxiv.org/content/10.1101/2020.03.03.20030593v1.full", "10.1101/2020.03.03.20030593"),
        ("https://www.biorxiv.org/content/biorxiv/early/2019/01/01/10.1101/123456.full.pdf", "10.1101/123456"),
    ],
)
def test_a_doi_is_read_in_all_its_spellings(text: str, doi: str | None) -> None:
    assert parse_doi(text) == doi


@pytest.mark.parametrize(
    "text",
    ["", "10.1145", "10.1/x", "10.12345678901/x", "11.1145/abc", "10.48550/arXiv.2601.01234", "https://ours.test/x"],
)
def test_what_is_no_doi_of_its_own_is_not_taken_for_one(text: str) -> None:
    assert parse_doi(text) is None


# --- URLs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://Ours.Test", "https://ours.test/"),
        ("https://ours.test:443/a/", "https://ours.test/a"),
        ("http://ours.test:80/a", "https://ours.test/a"),
        ("https://ours.test:8443/a", "https://ours.test:8443/a"),
        ("https://ours.test/a#part", "https://ours.test/a"),
        ("https://ours.test/a?b=2&a=1", "https://ours.test/a?a=1&b=2"),
        ("https://ours.test/a?utm_source=x&utm_medium=y&id=7&fbclid=z&gclid=w&ref=hn", "https://ours.test/a?id=7"),
        ("https://ours.test/a?source=rss", "https://ours.test/a"),
        ("https://ours.test/a?source=rss----abc---4", "https://ours.test/a"),
        ("https://ours.test/a?source=catalogue", "https://ours.test/a?source=catalogue"),
        ("https://ours.test/a?rss=1", "https://ours.test/a"),
        ("https://ours.test/a?empty=", "https://ours.test/a?empty="),
        ("https://www.ours.test/a", "https://www.ours.test/a"),
        ("https://ours.test//a/./b/../c", "https://ours.test/a/c"),
        ("https://ours.test/../../a", "https://ours.test/a"),
        ("https://ours.test/%7Eme/%e4%bd%a0", "https://ours.test/~me/%E4%BD%A0"),
        ("https://ours.test/~me/你", "https://ours.test/~me/%E4%BD%A0"),
        ("https://ours.test/a%2Fb", "https://ours.test/a%2Fb"),
        ("https://user:secret@ours.test/a", "https://ours.test/a"),
        ("https://bücher.test/", "https://xn--bcher-kva.test/"),
    ],
)
def test_one_page_has_one_spelling(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "url", ["", "ours.test/a", "ftp://ours.test/", "https://", "https:///a", "http://[x/", "javascript:x"]
)
def test_what_is_no_web_address_has_no_canonical_url(url: str) -> None:
    with pytest.raises(InvalidInput, match="not an http or https address"):
        canonical_url(url)


@given(st.text(alphabet=st.sampled_from("ab/.%2F?&=#é ~+;:@"), max_size=40))
def test_canonical_urls_are_stable(tail: str) -> None:
    once = canonical_url("https://ours.test/" + tail)
    assert canonical_url(once) == once


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://arxiv.org/abs/2601.01234v2", "arxiv:2601.01234"),
        ("https://huggingface.co/papers/2601.01234", "arxiv:2601.01234"),
        ("https://doi.org/10.1145/ABC", "doi:10.1145/abc"),
        ("https://doi.org/10.48550/arXiv.2601.01234", "arxiv:2601.01234"),
        ("https://openreview.net/forum?id=AbC_de-123&noteId=x", "openreview:AbC_de-123"),
        ("https://openreview.net/pdf?id=AbC_de-123", "openreview:AbC_de-123"),
        ("https://pubmed.ncbi.nlm.nih.gov/012345678/?utm_source=x", "pmid:12345678"),
        ("https://www.ncbi.nlm.nih.gov/pubmed/12345678", "pmid:12345678"),
        ("https://www.ncbi.nlm.nih.gov/pmc/articles/PMC123456/pdf/main.pdf", "pmcid:PMC123456"),
        ("https://pmc.ncbi.nlm.nih.gov/articles/PMC123456/", "pmcid:PMC123456"),
        ("https://europepmc.org/article/MED/12345678", "pmid:12345678"),
        ("https://europepmc.org/article/PMC/PMC123456", "pmcid:PMC123456"),
        ("https://www.biorxiv.org/content/10.1101/2026.01.02.123456v2", "doi:10.1101/2026.01.02.123456"),
        ("https://api.semanticscholar.org/CorpusID:0123", "s2:123"),
        ("https://api.semanticscholar.org/CorpusId:123.", "s2:123"),
        ("https://www.semanticscholar.org/paper/CorpusID:123", "s2:123"),
        ("https://api.semanticscholar.org/graph/v1/paper/arXiv:2601.01234v2?fields=title", "arxiv:2601.01234"),
        ("https://api.semanticscholar.org/graph/v1/paper/DOI:10.1145/ABC", "doi:10.1145/abc"),
        ("https://api.semanticscholar.org/graph/v1/paper/PMID:123/citations", "pmid:123"),
        ("https://api.semanticscholar.org/graph/v1/paper/PMCID:123", "pmcid:PMC123"),
        (
            "https://api.semanticscholar.org/graph/v1/paper/URL:https://arxiv.org/abs/2601.01234v1",
            "arxiv:2601.01234",
        ),
        ("https://semanticscholar.org/paper/A-Title/0a1b", "url:https://semanticscholar.org/paper/A-Title/0a1b"),
        ("http://blog.ours.test/post/?utm_source=feed", "url:https://blog.ours.test/post"),
        ("https://openreview.net/group?id=venue", "url:https://openreview.net/group?id=venue"),
        ("https://arxiv.org/list/cs.CL/new", "url:https://arxiv.org/list/cs.CL/new"),
    ],
)
def test_an_address_says_which_paper_it_is_of(url: str, expected: str) -> None:
    assert [str(one) for one in identifiers_from_url(url)] == [expected]


@pytest.mark.parametrize(
    "url", ["", "nonsense", "javascript:alert(1)", "https://ours.test", "https://ours.test/?utm_source=x"]
)
def test_an_address_of_no_page_identifies_nothing(url: str) -> None:
    assert identifiers_from_url(url) == ()


# --- titles ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A Study of Very Large Models", "a study of very large models"),
        ("A Study of Very Large Models", "A Study of\n  Very-Large  Models."),
        (r"\emph{A Study} of Very Large Models", "A study of very large models!"),
        (r"$\pi_0$: A Flow Model for Robots", "π0: a flow model for robots"),
        (r"Poincar\'e Embeddings for Trees", "Poincare Embeddings for Trees"),
        ("Straße und Weg im Modell", "STRASSE UND WEG IM MODELL"),
        ("Half\u2010Precision ﬁne Tuning", "Half-precision fine tuning"),
        ("Tides & Ports of the World", r"Tides \& Ports of the World"),
        ("Tides & Ports of the World", "Tides and Ports of the World"),
        ("Øresund and Ærø Tides", "Oresund and Aero Tides"),
        ("Łódź Papers on Tides", "Lodz papers on tides"),
        ("Tides of the 1,000 Ports", "Tides of the 1000 Ports"),
        (r"H$_2$O: A Heavy-Hitter Oracle", "H₂O: A Heavy Hitter Oracle"),
        ("Fine-tuning 3-D Models of Tides", "Finetuning 3D Models of Tides"),
    ],
)
def test_titles_that_differ_in_dress_only_share_a_fingerprint(one: str, other: str) -> None:
    assert title_fingerprint(one) == title_fingerprint(other) != ""


@pytest.mark.parametrize(
    "titles",
    [
        ("A Study of Large Models", "A Study of Larger Models", "A Study of Large Models II"),
        ("Lantern 2.5 Technical Report", "Lantern 25 Technical Report", "Lantern 2 Technical Report"),
        ("C Programs and Their Tides", "C++ Programs and Their Tides", "C# Programs and Their Tides"),
        ("Tides in Ports, Part I", "Tides in Ports, Part II", "Tides in Ports, Part 1"),
        ("Tides in Ports", "Corrigendum: Tides in Ports", "Reply to: Tides in Ports", "[Re] Tides in Ports"),
        (r"$\alpha$-Tides in Ports", r"$\beta$-Tides in Ports", "Tides in Ports"),
    ],
)
def test_other_titles_have_other_fingerprints(titles: tuple[str, ...]) -> None:
    assert len({title_fingerprint(title) for title in titles}) == len(titles)


@pytest.mark.parametrize(
    "title",
    [
        "",
        "...",
        "Introduction",
        "Editorial",
        "Editorial Board",
        "Moshi",
        "A b c d",
        "Letter from the Editor",
        "Guest Editorial",
        "Introduction to the Special Issue on Vision",
        "Table of Contents",
    ],
)
def test_a_title_that_names_no_one_paper_has_no_fingerprint(title: str) -> None:
    assert title_fingerprint(title) == ""


def test_a_short_title_is_usable_with_what_stands_beside_it() -> None:
    one, other = title_fingerprint("Moshi", "We present"), title_fingerprint("Moshi", "Another text")
    assert len({one, other, ""}) == 3
    assert title_fingerprint("A Study of Very Large Models", "x") == title_fingerprint("A Study of Very Large Models")


def test_a_title_without_spaces_between_words_can_identify() -> None:
    assert title_fingerprint("深度学习在医学图像中的应用研究")
    assert title_fingerprint("引言") == ""


# --- keys --------------------------------------------------------------------------------------------------


def test_the_strongest_identifier_is_the_key() -> None:
    every = [Identifier(scheme, "x") for scheme in SCHEMES]
    while every:
        assert canonical_key(reversed(every)) == every[0]
        every = every[1:]


def test_among_equals_the_choice_does_not_hang_on_order() -> None:
    two = [Identifier("url", "https://b.test/x"), Identifier("url", "https://a.test/x")]
    assert canonical_key(two) == canonical_key(two[::-1]) == two[1]


def test_no_identifier_makes_no_key() -> None:
    with pytest.raises(InvalidInput, match="at least one identifier"):
        canonical_key([])


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("arxiv:2601.01234v2", "arxiv:2601.01234"),
        ("2601.01234", "arxiv:2601.01234"),
        ("https://arxiv.org/abs/2601.01234", "arxiv:2601.01234"),
        ("doi:10.1145/ABC", "doi:10.1145/abc"),
        ("openreview:AbC_de-123", "openreview:AbC_de-123"),
        ("pmid:00123", "pmid:123"),
        ("pmcid:pmc123", "pmcid:PMC123"),
        ("PMID: 123", "pmid:123"),
        ("PMC1234567", "pmcid:PMC1234567"),
        ("CorpusID:123", "s2:123"),
        ("s2:123", "s2:123"),
        ("url:http://ours.test/a/", "url:https://ours.test/a"),
        ("title:" + "0a" * 16, "title:" + "0a" * 16),
    ],
)
def test_a_key_is_read_as_people_write_it(written: str, key: str) -> None:
    assert str(parse_key(written)) == key


@pytest.mark.parametrize("written", ["", "hello", "pmid:x", "title:short", "scheme:value"])
def test_what_names_no_paper_is_refused_with_the_ways_to_name_one(written: str) -> None:
    with pytest.raises(InvalidInput, match="names no paper; use arxiv:"):
        parse_key(written)


@pytest.mark.parametrize(
    ("key", "page", "pdf"),
    [
        ("arxiv:2601.01234", "https://arxiv.org/abs/2601.01234", "https://arxiv.org/pdf/2601.01234"),
        ("arxiv:math/0309136", "https://arxiv.org/abs/math/0309136", "https://arxiv.org/pdf/math/0309136"),
        ("doi:10.1000/a<b>", "https://doi.org/10.1000/a%3Cb%3E", None),
        ("openreview:AbC", "https://openreview.net/forum?id=AbC", "https://openreview.net/pdf?id=AbC"),
        ("pmid:123", "https://pubmed.ncbi.nlm.nih.gov/123/", None),
        ("pmcid:PMC123", "https://pmc.ncbi.nlm.nih.gov/articles/PMC123/", None),
        ("url:https://ours.test/a", "https://ours.test/a", None),
        ("title:0a0a", "", None),
    ],
)
def test_a_key_leads_to_the_papers_own_page(key: str, page: str, pdf: str | None) -> None:
    assert (paper_url(key), pdf_url(key)) == (page, pdf)
