"""Exports: complete, readable by others, and harmless whatever the texts hold."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.digests.export import COLUMNS, FORMATS, cell, write
from services.domain.cite import split_name
from services.domain.errors import InvalidInput
from services.domain.identifiers import Identifier
from services.domain.papers import AuthorData, PaperFacts, RepoFacts


def paper(**changes: Any) -> PaperFacts:
    values: dict[str, Any] = {
        "id": 1, "key": "arxiv:2611.90001", "title": "The Lantern & the Tide: $x_i$", "abstract": "We light a lantern.",
        "authors": (AuthorData(name="Ada Quíll"), AuthorData(name="Ludwig van Osei"), AuthorData(name="Lanternists")),
        "published_at": datetime(2026, 11, 23, tzinfo=UTC), "first_seen_at": datetime(2026, 11, 24, tzinfo=UTC),
        "categories": ("cs.CL", "cs.LG"), "version": 2, "upvotes": 7,
        "identifiers": (Identifier("arxiv", "2611.90001"), Identifier("doi", "10.5/ab_c")),
        "repos": (RepoFacts(slug="a/b", url="https://github.com/a/b", state="found", stars=3),),
    }  # fmt: skip
    return PaperFacts(**{**values, **changes})


def text(form: str, *papers: PaperFacts) -> str:
    return "".join(write(iter(papers), form))


def test_ris_names_each_fact_on_its_line() -> None:
    lines = text("ris", paper()).split("\r\n")
    assert lines[0] == "TY  - UNPB"
    assert lines[-2:] == ["ER  - ", ""]
    for line in (
        "ID  - quill2026lantern", "AU  - Quíll, Ada", "AU  - van Osei, Ludwig", "AU  - Lanternists", "PY  - 2026",
        "DA  - 2026/11/23/", "DO  - 10.5/ab_c", "KW  - cs.CL", "UR  - https://arxiv.org/abs/2611.90001",
    ):  # fmt: skip
        assert line in lines
    assert text("ris", paper(journal_ref="J. Tides 4")).startswith("TY  - JOUR\r\n")


def test_csl_is_json_of_its_schema() -> None:
    (item,) = json.loads(text("csl", paper()))
    assert item["type"] == "article"
    assert item["author"] == [
        {"family": "Quíll", "given": "Ada"}, {"family": "van Osei", "given": "Ludwig"}, {"literal": "Lanternists"}
    ]  # fmt: skip
    assert item["issued"] == {"date-parts": [[2026, 11, 23]]}
    assert (item["DOI"], item["number"], item["publisher"]) == ("10.5/ab_c", "arXiv:2611.90001", "arXiv")
    assert json.loads(text("csl")) == []
    assert len(json.loads(text("csl", paper(), paper(), paper()))) == 3


def test_keys_of_one_file_differ() -> None:
    found = re.findall(r"^@misc\{(.+),$", text("bibtex", *[paper()] * 29), re.M)
    assert found[:3] == ["quill2026lantern", "quill2026lanterna", "quill2026lanternb"]
    assert len(set(found)) == 29


def test_csv_has_a_row_a_paper_and_a_line_of_names() -> None:
    rows = list(csv.DictReader(io.StringIO(text("csv", paper(), paper(title="=HYPERLINK(1)", upvotes=-3)))))
    assert rows[0]["authors"] == "Ada Quíll; Ludwig van Osei; Lanternists"
    assert (rows[0]["code"], rows[0]["stars"]) == ("https://github.com/a/b", "3")
    assert rows[1]["title"] == "'=HYPERLINK(1)"
    assert rows[1]["upvotes"] == "-3"
    assert text("csv").strip() == ",".join(COLUMNS)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " ="])
def test_no_cell_begins_a_formula(start: str) -> None:
    assert cell(start + "1+1") == "'" + start + "1+1"
    assert cell([start + "1+1"]).startswith("'")


def test_json_lines_hold_what_the_list_command_prints() -> None:
    first, second = text("jsonl", paper(), paper(key="arxiv:2611.90002")).splitlines()
    assert json.loads(first)["identifiers"] == ["arxiv:2611.90001", "doi:10.5/ab_c"]
    assert json.loads(second)["key"] == "arxiv:2611.90002"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidInput, match="bibtex, ris, csl, csv, jsonl"):
        write([], "word")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Ada Quill", ("Quill", "Ada")), ("Quill, Ada", ("Quill", "Ada")), ("Lanternists", ("Lanternists", "")),
        ("Ludwig van der Osei", ("van der Osei", "Ludwig")), ("van Osei", ("Osei", "van")), ("", ("", "")),
    ],
)  # fmt: skip
def test_names_are_taken_apart(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


@given(title=st.text(max_size=60), name=st.text(min_size=1, max_size=30), form=st.sampled_from(sorted(FORMATS)))
def test_whatever_a_text_holds_the_file_keeps_its_form(title: str, name: str, form: str) -> None:
    written = text(form, paper(title=title, authors=(AuthorData(name=name),), abstract=title, journal_ref=title))
    match form:
        case "ris":
            assert all(re.fullmatch(r"[A-Z][A-Z0-9]  - .*", line) for line in written.split("\r\n")[:-1])
            assert written.count("\r\n") == len(written.splitlines())
        case "csl":
            assert len(json.loads(written)) == 1
        case "jsonl":
            json.loads(written)
            assert written.count("\n") == 1
        case "csv":
            rows = list(csv.reader(io.StringIO(written, newline="")))
            assert [len(row) for row in rows] == [len(COLUMNS)] * 2
            assert not any(value.startswith(("=", "+", "@")) for value in rows[1])
        case "bibtex":
            assert written.count("{") - written.count(r"\{") == written.count("}") - written.count(r"\}")
