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
