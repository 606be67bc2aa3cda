"""Discovery: the feeds a page names are found in any markup, and nothing else is."""

from __future__ import annotations

import pytest

from services.upstreams.discover import COMMON_PATHS, MOST, NamedFeed, feeds_of_page, is_page, usual_places

PAGE = "https://lab.example/blog/post"


def named(markup: str, url: str = PAGE) -> list[str]:
    return [one.url for one in feeds_of_page(markup.encode(), url)]


@pytest.mark.parametrize(
    ("markup", "found"),
    [
        ('<link rel="alternate" type="application/rss+xml" href="/feed.xml">', ["https://lab.example/feed.xml"]),
        ("<LINK HREF='atom.xml' REL='alternate' TYPE='application/atom+xml'/>", ["https://lab.example/blog/atom.xml"]),
        ("<link rel=alternate type=application/feed+json href=feed.json>", ["https://lab.example/blog/feed.json"]),
        ('<link rel="home alternate" type="application/rss+xml; charset=utf-8" href="//cdn.example/f">',
         ["https://cdn.example/f"]),
        ('<base href="https://other.example/x/"><link rel=alternate type=application/rss+xml href=f>',
         ["https://other.example/x/f"]),
        ('<link rel="alternate" type="application/rss+xml" href="/f?a=1&amp;b=2">', ["https://lab.example/f?a=1&b=2"]),
        ('<link rel="stylesheet" type="text/css" href="/s.css"><link rel="alternate" hreflang="de" href="/de">', []),
        ('<!-- <link rel="alternate" type="application/rss+xml" href="/old"> -->', []),
        ('<link rel="alternate" type="application/rss+xml" href="javascript:alert(1)">', []),
        ('<link rel="alternate" type="application/rss+xml" href="http://[">', []),
        ('<link rel="alternate" type="application/rss+xml">', []),
        ("", []),
    ],
)  # fmt: skip
def test_links_are_read_as_browsers_read_them(markup: str, found: list[str]) -> None:
    assert named(markup) == found


def test_titles_are_kept_repeats_are_not_and_comments_come_last() -> None:
    one = '<link rel="alternate" type="application/rss+xml" title="{}" href="{}">'
    markup = one.format("All comments", "/comments/feed") + one.format("Posts &amp; notes", "/feed") * 2
    assert feeds_of_page(markup.encode(), PAGE) == [
        NamedFeed("https://lab.example/feed", "Posts & notes"),
        NamedFeed("https://lab.example/comments/feed", "All comments"),
    ]


def test_a_page_that_names_hundreds_is_cut() -> None:
    markup = "".join(f"<link rel=alternate type=application/rss+xml href=/tag/{n}.xml>" for n in range(300))
    assert len(named(markup)) == MOST


def test_the_usual_places_are_below_the_page_and_below_the_root() -> None:
    places = usual_places("https://lab.example/blog?x=1")
    assert places[0] == "https://lab.example/blog/feed.xml"
    assert "https://lab.example/feed.xml" in places
    assert len(places) == 2 * len(COMMON_PATHS)
    assert len(usual_places("https://lab.example/")) == len(COMMON_PATHS)


@pytest.mark.parametrize(
    ("body", "content_type", "page"),
    [
        (b"<!DOCTYPE html><title>x", "", True),
        (b"\n<html lang=en>", "text/plain", True),
        (b"<p>a piece of a page", "text/html; charset=utf-8", True),
        (b"<?xml version='1.0'?><rss version='2.0'>", "application/rss+xml", False),
    ],
)
def test_a_page_is_known_by_what_it_holds(body: bytes, content_type: str, page: bool) -> None:
    assert is_page(body, content_type) is page
