"""Addresses on hosts that say nothing: what the words before them make of them, and the forms few authors use."""

from __future__ import annotations

import pytest

from services.domain.links import find_links


def found(text: str, evidence: str = "abstract") -> list[tuple[str, str]]:
    return [(link.kind, link.slug or link.url) for link in find_links(text, evidence=evidence)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Project page: https://ours.org/x", "project"),
        ("A demo video is at https://ours.org/x", "video"),
        ("A demonstration movie is provided at https://ours.org/x", "video"),
        ("Our code will be public and the demo video is in https://ours.org/x", "video"),
        ("Our code and the dataset are available at https://ours.org/x", "project"),
        ("It is open source and a live demo is available at https://ours.org/x", "demo"),
        ("It can be interactively tested at https://ours.org/x", "demo"),
        ("See more results and interactive demos at https://ours.org/x", "project"),
        ("The annotations can be downloaded at https://ours.org/x", "dataset"),
        ("The set used in this study is publicly available via https://ours.org/x", "project"),
        ("The dataset used in this study is publicly available via https://ours.org/x", "dataset"),
        ("The benchmark is available at https://ours.org/datasets/x", "dataset"),
        ("Page and a demo can be found: https://a.org/ and https://ours.org/x", "demo"),
        ("The baseline of the N competition (https://ours.org/x)", "other"),
        ("Workshop on Things [https://ours.github.io/]", "other"),
        ("Submitted to N 2025 at https://ours.org/x", "other"),
        ("A technical version of an article in N at https://ours.org/x", "other"),
        ("The definitive version is available at https://ours.org/x", "other"),
        ("All was preregistered at https://osf.io/abcde", "other"),
        ("For a better picture see https://ours.org/paper.pdf", "other"),
    ],
)
def test_the_sentence_tells_the_kind(text: str, kind: str) -> None:
    assert found(text)[-1][0] == kind


def test_in_a_comment_an_address_alone_is_what_was_said_before_it() -> None:
    text = "Presented at the Conference on Things, Dresden, Germany. https://ours.org/2025"
    assert found(text, "comment") == [("other", "https://ours.org/2025")]
    assert found("Our results were presented. https://ours.org/2025") == [("project", "https://ours.org/2025")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("code at github/us-lab/ours-1 to help", [("code", "us-lab/ours-1")]),
        ("2 tables; github: us-lab/ours", [("code", "us-lab/ours")]),
        ("available at GitHub - us7/Ours: A Title", [("code", "us7/Ours")]),
        ("on GitHub: code/data and models", []),
        ("GitHub/GitLab pipelines", []),
        (r"\href{https://github.com/us/ours/tree/main}{https://github.com/Ours}", [("code", "us/ours")]),
        (r"\href{github}{https://github.com/us/ours}", [("code", "us/ours")]),
        (
            r"\href{https://github.com/us/ours}{here}, \href{https://hf.co/us/m}{model}",
            [("code", "us/ours"), ("model", "us/m")],
        ),
        ("https://us.github$.io/ours/", [("project", "https://us.github.io/ours/")]),
        ("video: https://us.github.io/ours++.", [("project", "https://us.github.io/ours++")]),
        ("https://github.com/us/ours. %https://github.com/us/oursOur data are", [("code", "us/ours")]),
        ("https://github.com/SAI-", []),
        ("https://github.c10m/us/ours", []),
        ("Code and data are available at ours.is.uni.de", [("project", "https://ours.is.uni.de")]),
        ("soon available at data.ours.de/things/x, can", [("project", "https://data.ours.de/things/x")]),
        ("we release data and models at ours.ai to support", [("project", "https://ours.ai")]),
        ("user reviews of products from G2.com, a platform", []),
        ("we crawl Study.com and present FST.ai, a tool", []),
        ("The code is available at 10.5281/zenodo.15836053.", [("dataset", "https://doi.org/10.5281/zenodo.15836053")]),
        ("Also available on Zenodo: DOI 10.5281/zenodo.175", []),
        ("The dataset is available at https://doi.org/10.14279/x-1", [("dataset", "https://doi.org/10.14279/x-1")]),
        ("with the data stored at X: https://doi.org/10.9999/x-1.", [("dataset", "https://doi.org/10.9999/x-1")]),
        ("The dataset paper is https://doi.org/10.1145/1.2", []),
        ("https://www.kaggle.com/models/us/ours/", [("model", "us/ours")]),
        ("https://huggingface.co/bert-base-uncased", [("model", "bert-base-uncased")]),
        ("https://huggingface.co/us", [("organization", "us")]),
        ("at osf.io/vjw5e.", [("project", "https://osf.io/vjw5e")]),
    ],
)  # fmt: skip
def test_forms_that_few_authors_use(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected
