"""Bytes to trees: documents read piece by piece say what those read whole say, and declare nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from lxml import etree

from services.domain.errors import MalformedDocument
from services.upstreams.documents import LOCAL_NAME, children_at, load_xml, refuse_entities, tag_of, text_of

EXPECTED = "a shelf (XML)"
JARS = "".join(
    f"<jar n='{number}'>  <label>jar {number} of gr\u00f6n <b>glass</b></label><!-- {'x' * number} --></jar>\n"
    for number in range(600)
)
SHELF = f"<shelf>\n<title>All</title>{JARS}<shelf><jar>inner</jar></shelf>text<end/></shelf>"


def told(children: Iterable[Any]) -> list[str]:
    return [f"{tag_of(child)} {child.get('n')} {text_of(child)}" for child in children]


def in_pieces(body: bytes) -> list[str]:
    children = children_at(body, ("shelf",), ("{*}box", "{*}bag", "{*}shelf"), expected=EXPECTED)
    assert tag_of(next(children)) == "shelf"
    return told(children)


def whole(body: bytes) -> list[str]:
    return told(load_xml(body, expected=EXPECTED))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "iso-8859-1"])
def test_a_document_read_in_pieces_says_what_it_says_as_a_whole(encoding: str) -> None:
    declared = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    body = f"{declared}{SHELF}".encode(encoding)
    assert in_pieces(body) == whole(body)
    assert len(in_pieces(body)) == 603


def test_of_a_long_document_a_few_children_are_held_at_a_time() -> None:
    reading = children_at(SHELF.encode(), ("shelf",), expected=EXPECTED)
    shelf = next(reading)
    held = [len(shelf) for _ in reading]
    assert len(held) == 603
    assert max(held) < 300


@pytest.mark.parametrize("before", ["\n\t ", "<!-- " + "-x" * 20_000 + " -->", "<!DOCTYPE shelf><?sort by-size?>"])
def test_what_stands_before_the_root_element_changes_nothing(before: str) -> None:
    assert in_pieces(f"{before}{SHELF}".encode()) == whole(SHELF.encode())


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (f"<box><lid/><bag xmlns='urn:bag'>{SHELF}</bag>{SHELF}</box>", 603),
        (f"<box><shelf/><bag><bag>{SHELF}</bag><shelf><jar/></shelf>{SHELF}</bag></box>", 1),
        ("<shelf/>", 0),
    ],
)
def test_the_first_element_at_a_place_is_read_and_no_other(body: str, number: int) -> None:
    assert len(in_pieces(body.encode())) == number


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (SHELF[:-8], "found XML with the root element <shelf>, not well-formed"),
        (SHELF[:30_000], "found XML with the root element <shelf>, not well-formed"),
        (SHELF + "<shelf/>", "not well-formed"),
        (SHELF.replace("<end/>", "&nbsp;"), "not well-formed: Entity 'nbsp' not defined"),
        (f"<box>{SHELF}</box>", "found the root element <box>"),
        (" \n", "found an empty document"),
        ("<!DOCTYPE shelf [<!ENTITY a 'x'>]>" + SHELF, "declares XML entities"),
        ("<shelf>" + "<a>" * 100_000 + "</a>" * 100_000 + "</shelf>", "not well-formed"),
    ],
)
def test_a_document_that_breaks_is_refused_wherever_it_breaks(body: str, words: str) -> None:
    with pytest.raises(MalformedDocument, match=words):
        in_pieces(body.encode())


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE shelf SYSTEM "a>' + "b" * 20_000 + '<c d" [<!ENTITY a "x">]>',
        "<!-- <shelf> --><!DOCTYPE shelf [<!ENTITY a 'x'>]>",
        "<?sort <shelf> ?><!DOCTYPE shelf [<!ENTITY a 'x'>]>",
        "<?xml version='1.0'?>\n<!DOCTYPE shelf [<!ENTITY a 'x'>]>",
        "\ufeff<!DOCTYPE shelf [<!ENTITY a 'x'>]>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32-le"])
def test_no_opening_hides_a_declaration(before: str, encoding: str) -> None:
    with pytest.raises(MalformedDocument, match="declares XML entities"):
        refuse_entities(f"{before}<shelf/>".encode(encoding))


def test_a_declaration_after_the_root_element_has_begun_declares_nothing() -> None:
    refuse_entities(b"<?xml version='1.0'?>\n<shelf><![CDATA[<!ENTITY a 'x'>]]></shelf>")


def test_local_names_are_remembered_up_to_a_limit() -> None:
    for number in range(5_000):
        assert LOCAL_NAME[f"{{urn:shelf}}jar{number}"] == f"jar{number}"
    assert len(LOCAL_NAME) <= 1_024
    assert LOCAL_NAME[etree.Entity] == ""
