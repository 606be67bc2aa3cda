"""Addresses and identifiers in every shape that abstracts and comments give them: what a careful reader finds.

`link_shapes.jsonl` and `mention_shapes.jsonl` hold one sentence a line with its answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.domain.links import find_links, standing
from services.domain.mentions import find_mentions
from services.domain.text import clean

HERE = Path(__file__).parent


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


def _found(text: str, evidence: str) -> list[list[str]]:
    return sorted([link.kind, link.slug or link.url] for link in find_links(text, evidence=evidence))


def test_addresses_are_read_as_a_careful_reader_reads_them() -> None:
    lines = _lines("link_shapes.jsonl")
    assert len(lines) > 400
    wrong = [
        f"{text!r}: {found}, not {line['links']}"
        for line in lines
        for text in (line["text"], clean(line["text"]))  # as it came, and as it is kept
        if (found := _found(text, line["in"])) != sorted(line["links"])
    ]
    assert not wrong, "\n".join(wrong)


def test_identifiers_are_read_as_a_careful_reader_reads_them() -> None:
    lines = _lines("mention_shapes.jsonl")
    assert len(lines) > 130
    wrong = [
        f"{line['text']!r}: {found}, not {line['names']}"
        for line in lines
        if (found := [str(one) for one in find_mentions(line["text"])]) != line["names"]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "official"),
    [
        ("Our code is built on https://github.com/them/x.", []),
        ("We build on top of X (https://github.com/them/x). Code: https://github.com/us/ours", ["us/ours"]),
        ("Using X-7B-v1.5 (https://huggingface.co/them/x) as the backbone, we", []),
        ("We compare with X (https://github.com/them/x).", []),
        ("a fork of https://github.com/them/x", []),
        ("Trained on X (https://huggingface.co/datasets/them/x), ours wins", []),
        ("Our method has been adopted by X (https://github.com/them/x)", []),
        ("Code: https://github.com/us/ours (based on https://github.com/them/x)", ["us/ours"]),
        ("Code is based on https://github.com/them/x and available at https://github.com/us/ours", ["us/ours"]),
        ("We use https://github.com/us/ours. Our code is available at https://github.com/us/ours", ["us/ours"]),
        ("The training code (based on X2.1) is available at https://github.com/us/ours", ["us/ours"]),
        ("The data used in this study are at https://github.com/us/ours", ["us/ours"]),
        ("The code used in the paper: https://github.com/us/ours", ["us/ours"]),
        ("It is easy to use (https://github.com/us/ours)", ["us/ours"]),
        ("Ours outperforms all baselines (https://github.com/us/ours)", ["us/ours"]),
        ("The model can be obtained from https://huggingface.co/us/ours", ["us/ours"]),
    ],
)  # fmt: skip
def test_what_a_paper_only_used_is_not_its_own(text: str, official: list[str]) -> None:
    links = find_links(text, evidence="abstract")
    assert links
    assert [link.slug for link in links if standing(link.evidence) == "official"] == official
    assert all(standing(link.evidence) == "unrelated" for link in links if link.slug not in official)


@pytest.mark.parametrize(
    "text",
    [
        "We evaluate on three benchmarks and our code (https://github.com/us/ours) is public.",
        "Experiments use three corpora and the code (https://github.com/us/ours) is open.",
        "Code used in this paper (https://github.com/us/ours).",
        "All results can be reproduced using https://github.com/us/ours.",
        "We train FooNet using our new framework https://github.com/us/ours",
        "Our tool, FooBar, powered by LLMs (https://github.com/us/ours)",
        "Our tool FooBar, based on PyTorch (https://github.com/us/ours)",
        "Code based on PyTorch available here https://github.com/us/ours",
        "Code is built on top of JAX, https://github.com/us/ours",
        "The dataset used for training (https://huggingface.co/datasets/us/ours)",
        "The scripts used to generate all figures (https://github.com/us/ours)",
        "All figures can be redrawn using the notebooks in https://github.com/us/ours",
        "Code for the model trained on ImageNet (https://github.com/us/ours)",
        "Evaluated on four tasks, with code at https://github.com/us/ours",
        "We use three data sets, while our implementation (https://github.com/us/ours) is short.",
        "Experiments are run using this repository (https://github.com/us/ours)",
        "Models trained on our corpus (https://huggingface.co/us/ours)",
        "We evaluate with ten models and the benchmark (https://github.com/us/ours) is live",
    ],
)
def test_where_it_is_in_doubt_a_repository_is_the_authors_own(text: str) -> None:
    links = find_links(text, evidence="abstract")
    assert [(link.slug, standing(link.evidence)) for link in links] == [("us/ours", "official")]


@pytest.mark.parametrize(
    "text",
    [
        "We use X as our backbone (https://github.com/them/x)",
        "In this paper, we use X (https://github.com/them/x)",
        "In our experiments, using X (https://github.com/them/x), we",
        "We introduce Foo, built on https://github.com/them/x",
        "Our code is built on top of X (https://github.com/them/x)",
        "Trained on X with the code of Y (https://github.com/them/x)",
        "We follow the protocol, using the code from https://github.com/them/x",
    ],
)
def test_what_others_made_stays_theirs_where_authors_speak_of_themselves(text: str) -> None:
    links = find_links(text, evidence="abstract")
    assert [(link.slug, standing(link.evidence)) for link in links] == [("them/x", "unrelated")]
