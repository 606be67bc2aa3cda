"""Hugging Face's papers API, replayed: `/api/daily_papers` and `/api/papers/{id}`; its hub is in `hosted`."""

from __future__ import annotations

import hashlib
import textwrap
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from workers.demo import hosted
from workers.demo.content import Content, DemoPaper
from workers.demo.exchange import Answer, Ask, digest, json_answer

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
_SUBMITTERS = ("tidewatcher", "papermoth", "quietreader", "lanternfish")


class _BadRequest(Exception):
    """The query cannot be answered; the text says why."""


def answer(ask: Ask, content: Content) -> Answer:
    """The answer to a request under `/hf`; the path is relative to it."""
    if ask.path == "/api/daily_papers":
        try:
            reply = _daily_papers(ask, content)
        except _BadRequest as error:
            reply = json_answer({"error": str(error)}, 400)
    elif ask.path.startswith("/api/papers/"):
        paper = content.papers_by_id.get(ask.path.removeprefix("/api/papers/"))
        if paper is None or not paper.hf_days:
            reply = json_answer({"error": "Paper not found"}, 404)
        else:
            reply = json_answer(_detail(paper, content))
    elif found := hosted.answer_hub(ask, content):
        reply = found
    else:
        reply = json_answer({"error": "Sorry, we can't find the page you are looking for."}, 404)
    reply = reply.with_headers(RateLimit='"api";r=499;t=300', RateLimit_Policy='"fixed window";"api";q=500;w=300')
    if reply.status == 200:
        reply = reply.with_headers(ETag=f'W/"{digest(reply.body)[:32]}"')
    return reply


def _daily_papers(ask: Ask, content: Content) -> Answer:
    limit = _whole_number(ask, "limit", DEFAULT_LIMIT)
    page = _whole_number(ask, "p", 0)
    if limit > MAX_LIMIT:
        raise _BadRequest(f"Too big: expected number to be <={MAX_LIMIT}")
    if limit < 1:
        raise _BadRequest("Too small: expected number to be >=1")
    listed = _listed(ask, content)
    rows = listed[page * limit : (page + 1) * limit]
    reply = json_answer([_item(paper, day, content) for paper, day in rows])
    if (page + 1) * limit < len(listed):
        query = {name: values[0] for name, values in ask.query.items()} | {"p": str(page + 1)}
        link = f'<{ask.base_url}/hf/api/daily_papers?{urlencode(query)}>; rel="next"'
        reply = reply.with_headers(Link=link)
    return reply


def _listed(ask: Ask, content: Content) -> list[tuple[DemoPaper, date]]:
    """(paper, day) rows: a day's by upvotes; any longer time newest day first."""
    if text := ask.param("date"):
        day = _day(text)
        if day > max(content.today, ask.now.date()):
            raise _BadRequest("Invalid date: must not be in the future")
        days = [day]
    elif text := ask.param("week"):
        days = [day for day in content.days if f"{day:%G-W%V}" == text]
    elif text := ask.param("month"):
        days = [day for day in content.days if f"{day:%Y-%m}" == text]
    else:
        days = list(content.days)
    rows = [(paper, day) for day in sorted(days, reverse=True) for paper in content.featured_on(day)]
    if submitter := ask.param("submitter"):
        rows = [row for row in rows if _submitter(*row) == submitter]
    return rows


def _day(text: str) -> date:
    try:
        # Only YYYY-MM-DD: `fromisoformat` alone would take 20261124 and 2026-W48-2 as well.
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise _BadRequest("Invalid date") from None


def _whole_number(ask: Ask, name: str, default: int) -> int:
    text = ask.param(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise _BadRequest(f"Invalid input: expected number in {name}")
    return int(text)


def _item(paper: DemoPaper, day: date, content: Content) -> dict[str, Any]:
    flat = _flat(paper, day, content)
    submitter = _submitter(paper, day)
    item: dict[str, Any] = {
        "paper": flat,
        # Wall time in New York under a Z: what the real service has sent since March 2025.
        "publishedAt": _millis(_new_york_wall_time(paper.published_at)),
        "title": paper.title,
        "summary": flat["summary"],
        "thumbnail": f"https://cdn-thumbnails.huggingface.co/social-thumbnails/papers/{paper.arxiv_id}.png",
        "numComments": paper.comments,
        "submittedBy": {
            "_id": _oid("user", submitter),
            "avatarUrl": _avatar(submitter),
            "fullname": submitter.title(),
            "name": submitter,
            "type": "user",
            "isPro": False,
            "isHf": False,
            "isHfAdmin": False,
            "isMod": False,
        },
        "isAuthorParticipating": paper.comments > 2,
    }
    if "organization" in flat:
        item["organization"] = flat["organization"]
    return item


def _detail(paper: DemoPaper, content: Content) -> dict[str, Any]:
    linked: dict[str, Any] = {"linkedModels": [], "linkedDatasets": [], "linkedSpaces": []}
    totals = {"numTotalModels": 0, "numTotalDatasets": 0, "numTotalSpaces": 0}
    return {**_flat(paper, paper.hf_days[-1], content), **linked, **totals}


def _flat(paper: DemoPaper, day: date, content: Content) -> dict[str, Any]:
    """The paper object itself. A field that has no value is left out, never null."""
    submitter = _submitter(paper, day)
    flat: dict[str, Any] = {
        "id": paper.arxiv_id,
        "authors": [_author(paper, index) for index in range(len(paper.authors))],
        "publishedAt": _millis(_midnight(paper.published_at.date())),
        "submittedOnDailyAt": _millis(_midnight(day)),
        "title": _wrapped(paper.title, paper, 60),
        "submittedOnDailyBy": {
            "_id": _oid("user", submitter),
            "avatarUrl": _avatar(submitter),
            "isPro": False,
            "fullname": submitter.title(),
            "user": submitter,
            "type": "user",
            "name": submitter,
        },
        "summary": _wrapped(paper.abstract, paper, 80),
        "upvotes": paper.upvotes,
        "discussionId": _oid("discussion", paper.arxiv_id),
    }
    if paper.project_page:
        flat["projectPage"] = paper.project_page
    if paper.github_repo:
        flat["githubRepo"] = paper.github_repo
        flat["githubRepoAddedBy"] = "user" if paper.upvotes % 2 else "auto"
        slug = "/".join(paper.github_repo.split("/")[3:5]).removesuffix(".git").lower()
        if repo := content.repos_by_slug.get(slug):
            flat["githubStars"] = repo.stars
    if paper.ai_summary:
        flat["ai_summary"] = paper.ai_summary
        flat["ai_keywords"] = list(paper.ai_keywords)
    if paper.organization:
        flat["organization"] = {
            "_id": _oid("org", paper.organization),
            "name": paper.organization_handle,
            "fullname": paper.organization,
        }
    return flat


def _author(paper: DemoPaper, index: int) -> dict[str, Any]:
    name = paper.authors[index]
    author: dict[str, Any] = {
        "_id": _oid(paper.arxiv_id, str(index)),
        "name": name,
        "hidden": index > 0 and paper.upvotes == 27,
    }
    if index == 0 and paper.upvotes % 3 == 0:
        handle = "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())
        author["user"] = {
            "_id": _oid("user", handle),
            "avatarUrl": _avatar(handle),
            "isPro": False,
            "fullname": name,
            "user": handle,
            "type": "user",
            "name": handle,
        }
        author["status"] = "claimed_verified"
        author["statusLastChangedAt"] = _millis(_midnight(paper.hf_days[0]))
    return author


def _submitter(paper: DemoPaper, day: date) -> str:
    return _SUBMITTERS[(paper.upvotes + day.toordinal()) % len(_SUBMITTERS)]


def _wrapped(text: str, paper: DemoPaper, width: int) -> str:
    # One in four papers keeps the hard line breaks of its source, as on the real service.
    if paper.upvotes % 4 == 2:
        return "\n  ".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))
    return text


def _avatar(handle: str) -> str:
    path = f"/avatars/{_oid('avatar', handle)}.svg"
    return path if len(handle) % 2 else f"https://huggingface.co{path}"


def _oid(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:24]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _new_york_wall_time(published_at: datetime) -> datetime:
    midnight = _midnight(published_at.date())
    offset = midnight.astimezone(ZoneInfo("America/New_York")).utcoffset()
    return midnight + (offset or timedelta())


def _millis(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
