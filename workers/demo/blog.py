"""A small blog about papers, replayed: `/feed.xml` (RSS 2.0) and `/feed.json` (JSON Feed 1.1).

It is a link blog: where a post is about a paper, the item's link leads to the paper, and the post's own page
is the `guid`, or in JSON Feed `url` beside `external_url`.
"""

from __future__ import annotations

from email.utils import format_datetime
from html import escape

from workers.demo.content import Content, DemoBlog, DemoPost
from workers.demo.exchange import Answer, Ask, digest, http_date, iso, json_answer, text_answer


def answer(ask: Ask, content: Content) -> Answer:
    """The answer to a request under `/blog`; the path is relative to it."""
    if ask.path == "/feed.xml":
        reply = text_answer(_rss(content.blog), 200, "application/rss+xml; charset=utf-8")
    elif ask.path == "/feed.json":
        reply = _json_feed(content.blog)
    else:
        return text_answer("<!doctype html><title>Not found</title><p>No such page.", 404, "text/html")
    modified = max(post.published_at for post in content.blog.posts)
    return reply.with_headers(
        ETag=f'"{digest(reply.body)[:32]}"', Last_Modified=http_date(modified), Cache_Control="max-age=300"
    )


def _rss(blog: DemoBlog) -> str:
    items = "".join(_item(post) for post in blog.posts)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/">\n  <channel>\n'
        f"    <title>{escape(blog.title)}</title>\n    <link>{escape(blog.home)}</link>\n"
        f"    <description>{escape(blog.description)}</description>\n    <language>en</language>\n"
        f"{items}  </channel>\n</rss>\n"
    )


def _item(post: DemoPost) -> str:
    return (
        f"    <item>\n      <title>{escape(post.title)}</title>\n      <link>{escape(post.link)}</link>\n"
        f'      <guid isPermaLink="true">{escape(post.permalink)}</guid>\n'
        f"      <pubDate>{format_datetime(post.published_at)}</pubDate>\n"
        f"      <description><![CDATA[{post.html}]]></description>\n    </item>\n"
    )


def _json_feed(blog: DemoBlog) -> Answer:
    items = []
    for post in blog.posts:
        item = {
            "id": post.permalink,
            "url": post.permalink,
            "title": post.title,
            "content_html": post.html,
            "date_published": iso(post.published_at),
        }
        if post.arxiv_id:
            item["external_url"] = post.link
        items.append(item)
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": blog.title,
        "home_page_url": blog.home,
        "description": blog.description,
        "authors": [{"name": blog.author}],
        "items": items,
    }
    return json_answer(feed).with_headers(Content_Type="application/feed+json; charset=utf-8")
