"""Identifiers in running text: what names a paper, and what only looks like it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.mentions import find_mentions, names_any


def named(text: str) -> list[str]:
    return [str(one) for one in find_mentions(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see arXiv:2601.01234.", "arxiv:2601.01234"),
        ("see arXiv: 2601.01234v2, and more", "arxiv:2601.01234"),
        ("(arXiv 2601.01234)", "arxiv:2601.01234"),
        ("arXiv preprint arXiv:2601.01234 (2026)", "arxiv:2601.01234"),
        ("ArXiv ID 2601.01234", "arxiv:2601.01234"),
        ("arXiv:0704.0001", "arxiv:0704.0001"),
        ("arXiv:hep-th/9901001v3", "arxiv:hep-th/9901001"),
        ("arXiv:math.GT/0309136", "arxiv:math/0309136"),
        ("https://arxiv.org/abs/2601.01234v1", "arxiv:2601.01234"),
        ("<https://arxiv.org/pdf/2601.01234.pdf>", "arxiv:2601.01234"),
        ("[Paper](https://arxiv.org/abs/2601.01234)", "arxiv:2601.01234"),
        ("[![arXiv](https://img.shields.io/badge/arXiv-2601.01234-b31b1b.svg)](https://x.org)", "arxiv:2601.01234"),
        ("badge arXiv-2601.01234-b31b1b", "arxiv:2601.01234"),
        ("arxiv.org/abs/2601.01234", "arxiv:2601.01234"),
        ("https://huggingface.co/papers/2601.01234", "arxiv:2601.01234"),
        ("https://www.alphaxiv.org/abs/2601.01234", "arxiv:2601.01234"),
        ("eprint={2601.01234},", "arxiv:2601.01234"),
        ('eprint = "arXiv:2601.01234"', "arxiv:2601.01234"),
        ("journal={arXiv preprint arXiv:2601.01234},", "arxiv:2601.01234"),
        ("https://doi.org/10.48550/arXiv.2601.01234.", "arxiv:2601.01234"),
        ("doi: 10.48550/ARXIV.2601.01234;", "arxiv:2601.01234"),
        ("doi:10.1145/ABC.1.", "doi:10.1145/abc.1"),
        ("DOI 10.1145/3543873.3587625)", "doi:10.1145/3543873.3587625"),
        ("(10.1016/S0140-6736(20)30183-5).", "doi:10.1016/s0140-6736(20)30183-5"),
        ("doi = {10.1109/TNNLS.2025.3561172}", "doi:10.1109/tnnls.2025.3561172"),
        ("https://dl.acm.org/doi/10.1145/3543873", "doi:10.1145/3543873"),
        ("https://www.biorxiv.org/content/10.1101/2026.01.02.123456v2.full", "doi:10.1101/2026.01.02.123456"),
        ("https://openreview.net/forum?id=AbC_de-123, accepted", "openreview:AbC_de-123"),
        ("https://openreview.net/pdf?id=AbC_de-123", "openreview:AbC_de-123"),
        ("PMID: 12345678", "pmid:12345678"),
        ("PMID 12345678;", "pmid:12345678"),
        ("PMCID: PMC1234567", "pmcid:PMC1234567"),
        ("https://pubmed.ncbi.nlm.nih.gov/12345678/", "pmid:12345678"),
        ("CorpusID:123456", "s2:123456"),
        ("Corpus ID: 123456", "s2:123456"),
        ("https://api.semanticscholar.org/CorpusID:123456", "s2:123456"),
        ("https://api.semanticscholar.org/graph/v1/paper/arXiv:2601.01234?fields=title", "arxiv:2601.01234"),
        ("代码对应arXiv:2601.01234。", "arxiv:2601.01234"),
        ("arXiv:\u200b2601.01234", "arxiv:2601.01234"),
        ("after hep-th/9901001v2.", "arxiv:hep-th/9901001"),
        ("[math.GT/0309136]", "arxiv:math/0309136"),
        ("cond-mat/0309136, published", "arxiv:cond-mat/0309136"),
        ("[10.1145/3543873](https://doi.org/10.1145/3543873)", "doi:10.1145/3543873"),
        ("openreview.net/forum?id=AbC_de-123.", "openreview:AbC_de-123"),
        ("pubmed.ncbi.nlm.nih.gov/12345678/", "pmid:12345678"),
        ("doi: 10.1101/2026.01.02.123456v2", "doi:10.1101/2026.01.02.123456"),
        ("https://doi.org/10.1101/123456v3.", "doi:10.1101/123456"),
        (
            "https://projecteuclid.org/journals/tides/volume-1/issue-1/On-light/10.1214/26-AOS1.full",
            "doi:10.1214/26-aos1",
        ),
    ],
)
def test_an_identifier_in_a_sentence_is_read(text: str, expected: str) -> None:
    assert named(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "on 2024.12.01 we",
        "2601.01234 is a bare number",
        "costs $1234.5678 or 2512.12345 EUR",
        "grant 2019.1234, NSF 2012.12345",
        "version 2301.12345, v2.10.1234",
        "CUDA 1201.1234",
        "tel. +31 2010.12345",
        "ISBN 979-8-3315-0970-5",
        "ISSN 1234-5678",
        "EP/X2601.01234",
        "arXiv:1234.5678",
        "arXiv:2613.01234",
        "arXiv:2601.123",
        "arXiv:2601.012345",
        "arXiv:2601.01234.5",
        "arXiv admin note: text overlap",
        "arXiv 2024",
        "arXiv:cs.CL",
        "owner/0501001",
        "hep-xx/9901001, team-a/9901001",
        "hep-th/9913001 and hep-th/99010012",
        "github.com/hep-th/9901001",
        "math/0501001 of the grants",
        "https://arxiv.org/list/cs.CL/new",
        "https://arxiv.org/a/smith_j_1",
        "https://github.com/us/2601.01234",
        "https://ours.org/abs/2601.01234",
        "https://openreview.net/group?id=ICLR.cc/2026",
        "10.1/x",
        "section 10.2145 / table",
        "192.10.1145/24",
        "v10.1145",
        "PMID",
        "pmid: 12",
        "PMC12",
        "CorpusID: x",
        "a corpus id 12345 of ours",
        "2601.01234v2",
        "acceptance 10.12345%",
        "IPv4 10.1145.3.4",
        "date 20260101.12345",
        "model qwen-2501.12345",
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert named(text) == []


def test_every_one_is_given_once_in_the_order_of_the_text() -> None:
    text = "arXiv:2601.00002, doi:10.1/x, https://arxiv.org/abs/2601.00001 and arXiv:2601.00002v2; PMID: 1234"
    assert named(text) == ["arxiv:2601.00002", "arxiv:2601.00001", "pmid:1234"]


def test_a_text_names_a_paper_by_any_of_its_names() -> None:
    readme = "# Ours\n\nCode for *Ours*.\n\n```\n@article{x, eprint = {2601.01234}}\n```"
    assert names_any(readme, ["doi:10.1145/abc", "arxiv:2601.01234"])
    assert not names_any(readme, ["doi:10.1145/abc", "arxiv:2601.01235"])
    assert not names_any("", ["arxiv:2601.01234"])


@given(st.text(alphabet=st.sampled_from("arXiv:2601.3/doi10()[]{}v PMC"), max_size=60))
def test_whatever_is_found_is_a_key_that_reads_as_itself(text: str) -> None:
    for one in find_mentions(text):
        assert [str(x) for x in find_mentions(f"see {one.scheme.replace('s2', 'corpusid')}:{one.value} ")] == [str(one)]


@pytest.mark.parametrize("piece", ["arXiv:", "10.1234/", "https://a", "arxiv " * 3, "eprint = {", "PMC", "("])
def test_a_hostile_text_costs_no_more_than_its_length(piece: str) -> None:
    began = time.thread_time()
    find_mentions(piece * (200_000 // len(piece)))
    assert time.thread_time() - began < 2
