"""GitHub's answers as data: repositories and quotas, from REST and from GraphQL. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from services.domain.errors import MalformedDocument
from services.domain.mentions import find_mentions
from services.domain.repos import Quota, ReleaseData, RepoData
from services.domain.text import safe_url
from services.upstreams.json_values import as_count, as_text, as_texts, as_time, inside, read_json

_SLUG = re.compile(r"[A-Za-z0-9-]{1,100}/[A-Za-z0-9._-]{1,100}")


def is_slug(slug: str) -> bool:
    """Whether this is an `owner/name` that GitHub could have; anything else is never sent."""
    return _SLUG.fullmatch(slug) is not None and slug.partition("/")[2] not in {".", ".."}


def parse_rest(body: bytes) -> RepoData:
    """A REST answer (`GET /repos/{owner}/{name}`). Raises `MalformedDocument` when it is none."""
    raw = read_json(body, who="GitHub")
    licence = raw.get("license")
    return _repo(
        host_id=raw.get("id"),
        slug=raw.get("full_name"),
        page=raw.get("html_url"),
        stars=raw.get("stargazers_count"),
        forks=raw.get("forks_count"),
        description=raw.get("description"),
        homepage=raw.get("homepage"),
        open_issues=as_count(raw.get("open_issues_count")),
        language=raw.get("language"),
        spdx=licence.get("spdx_id") if isinstance(licence, dict) else None,
        topics=raw.get("topics"),
        created_at=raw.get("created_at"),
        pushed_at=raw.get("pushed_at"),
        archived=raw.get("archived") is True,
        fork=raw.get("fork") is True,
    )


def parse_graphql(raw: Mapping[str, Any]) -> RepoData:
    """One repository of a GraphQL answer. Raises `MalformedDocument` when it is none.

    `open_issues` stays unknown: counting them costs a connection, and GraphQL counts without pull requests.
    """
    nodes = inside(raw, "repositoryTopics", "nodes")
    topics = [inside(node, "topic", "name") for node in nodes] if isinstance(nodes, list) else None
    return _repo(
        host_id=raw.get("databaseId"),
        slug=raw.get("nameWithOwner"),
        page=raw.get("url"),
        stars=raw.get("stargazerCount"),
        forks=raw.get("forkCount"),
        description=raw.get("description"),
        homepage=raw.get("homepageUrl"),
        open_issues=None,
        language=inside(raw, "primaryLanguage", "name"),
        spdx=inside(raw, "licenseInfo", "spdxId"),
        topics=topics,
        created_at=raw.get("createdAt"),
        pushed_at=raw.get("pushedAt"),
        archived=raw.get("isArchived") is True,
        fork=raw.get("isFork") is True,
        release=_release(raw.get("latestRelease")),
        mentions=_mentions(inside(raw, "readme", "text")),
    )


def _repo(
    *,
    host_id: object,
    slug: object,
    page: object,
    stars: object,
    forks: object,
    description: object,
    homepage: object,
    open_issues: int | None,
    language: object,
    spdx: object,
    topics: object,
    created_at: object,
    pushed_at: object,
    archived: bool,
    fork: bool,
    release: ReleaseData | None = None,
    mentions: tuple[str, ...] = (),
) -> RepoData:
    number, star_count = as_count(host_id), as_count(stars)
    if number is None or star_count is None or not isinstance(slug, str) or not is_slug(slug):
        raise MalformedDocument("GitHub's answer is no repository: id, full name or stars are missing")
    license_id = as_text(spdx, 100)
    return RepoData(
        host=_host_of(page),
        host_id=str(number),
        slug=slug,
        description=as_text(description, 1_000),
        homepage=safe_url(homepage) if isinstance(homepage, str) else None,
        stars=star_count,
        forks=as_count(forks) or 0,
        open_issues=open_issues,
        language=as_text(language, 100),
        license=None if license_id == "NOASSERTION" else license_id,
        topics=as_texts(topics, most=20, limit=60),
        created_at=as_time(created_at),
        pushed_at=as_time(pushed_at),
        archived=archived,
        fork=fork,
        release=release,
        mentions=mentions,
    )


def _mentions(readme: object) -> tuple[str, ...]:
    return tuple(str(one) for one in find_mentions(readme)[:100]) if isinstance(readme, str) else ()


def _release(raw: object) -> ReleaseData | None:
    """The newest release that is neither a draft nor a trial."""
    tag, page = as_text(inside(raw, "tagName"), 200), inside(raw, "url")
    if tag is None:
        return None
    url = safe_url(page) if isinstance(page, str) else None
    return ReleaseData(tag=tag, url=url, published_at=as_time(inside(raw, "publishedAt")))


def quota_of_query(data: object) -> Quota | None:
    """The quota told by a query's `rateLimit`; `None` when it does not tell it whole."""
    limit, remaining = (
        as_count(inside(data, "rateLimit", "limit")),
        as_count(inside(data, "rateLimit", "remaining")),
    )
    reset_at = as_time(inside(data, "rateLimit", "resetAt"))
    if limit is None or remaining is None or reset_at is None:
        return None
    return Quota(limit=limit, remaining=remaining, reset_at=reset_at)


def _host_of(page: object) -> str:
    """The web host a repository lives on, which is not the API's."""
    try:
        host = urlsplit(page).hostname if isinstance(page, str) else None
    except ValueError:
        host = None
    return host or "github.com"
