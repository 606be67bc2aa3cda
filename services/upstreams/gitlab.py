"""GitLab: facts about projects, at gitlab.com and wherever else it runs.

`GET /api/v4/projects/PATH` with the path's slashes escaped; groups lie in groups, so a path has two parts or more.
A moved project answers with a redirect to its number. 404 is also said of private projects. Anonymous answers leave
`archived`, `open_issues_count` and others out; without `license=true` there is no licence. There is no ETag worth
keeping over hours, but one is sent and honoured.

`GET /api/v4/projects/PATH/releases` lists releases, the latest `released_at` first; a time to come announces one.

Sources: docs.gitlab.com "Projects API" (get a single project), "Releases API", "Rate limits on GitLab.com" (400 a
minute for `/projects/:id`; `RateLimit-Limit`, `-Remaining`, `-Reset`).
"""

from __future__ import annotations

import re
from urllib.parse import quote

from services.domain.errors import MalformedDocument
from services.domain.feeds import FeedRequest
from services.domain.repos import AskedRepo, ReleaseData, RepoData
from services.domain.text import safe_url
from services.upstreams.json_values import (
    as_count,
    as_object,
    as_text,
    as_texts,
    as_time,
    inside,
    read_json,
    read_json_list,
)
from services.upstreams.repo_requests import ReleaseList, RepoHost

INTERVAL_S = 0.5
LISTED = 10
"""Releases asked for: as many as GitHub's feed of them has."""

_PATH = re.compile(r"[A-Za-z0-9_.-]{1,255}(?:/[A-Za-z0-9_.-]{1,255}){1,20}")

# GitLab names licences by the keys of choosealicense.com.
_SPDX = {
    "agpl-3.0": "AGPL-3.0", "apache-2.0": "Apache-2.0", "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause", "bsl-1.0": "BSL-1.0", "cc0-1.0": "CC0-1.0", "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0", "epl-2.0": "EPL-2.0", "eupl-1.2": "EUPL-1.2", "gpl-2.0": "GPL-2.0",
    "gpl-3.0": "GPL-3.0", "isc": "ISC", "lgpl-2.1": "LGPL-2.1", "lgpl-3.0": "LGPL-3.0", "mit": "MIT",
    "mpl-2.0": "MPL-2.0", "unlicense": "Unlicense", "wtfpl": "WTFPL", "zlib": "Zlib",
}  # fmt: skip


def repo_host(host: str, base_url: str) -> RepoHost:
    """The GitLab at `base_url`, whose projects' pages are on `host`."""

    def address(asked: AskedRepo) -> str | None:
        if not _is_path(asked.slug):
            return None
        return f"{base_url}/api/v4/projects/{quote(asked.slug, safe='')}?license=true"

    def parse(body: bytes, _: AskedRepo) -> RepoData:
        return parse_project(body, host=host)

    def releases(slug: str) -> FeedRequest | None:
        if not _is_path(slug):
            return None
        url = f"{base_url}/api/v4/projects/{quote(slug, safe='')}/releases?per_page={LISTED}"
        return FeedRequest(url=url, headers={"Accept": "application/json"}, gate=host, interval_s=INTERVAL_S)

    return RepoHost(
        name="GitLab", gate=host, interval_s=INTERVAL_S, address=address, parse=parse,
        token_as=("PRIVATE-TOKEN", "{}"), releases=ReleaseList(releases, parse_releases),
    )  # fmt: skip


def parse_project(body: bytes, *, host: str) -> RepoData:
    """A project's record. Raises `MalformedDocument` when it is none."""
    raw = read_json(body, who="GitLab")
    number, stars, path = as_count(raw.get("id")), as_count(raw.get("star_count")), raw.get("path_with_namespace")
    if number is None or stars is None or not isinstance(path, str) or not _is_path(path):
        raise MalformedDocument("GitLab's answer is no project: id, path or stars are missing")
    key = as_text(inside(raw, "license", "key"), 100)
    topics = raw.get("topics") if isinstance(raw.get("topics"), list) else raw.get("tag_list")
    return RepoData(
        host=host,
        host_id=str(number),
        slug=path,
        description=as_text(raw.get("description"), 1_000),
        stars=stars,
        forks=as_count(raw.get("forks_count")) or 0,
        open_issues=as_count(raw.get("open_issues_count")),
        license=_SPDX.get(key, None if key == "other" else key) if key else None,
        topics=as_texts(topics, most=20, limit=60),
        created_at=as_time(raw.get("created_at")),
        # Of the last push itself nothing is said; comments count as activity, too.
        pushed_at=as_time(raw.get("last_activity_at")),
        archived=raw.get("archived") is True,
        fork=isinstance(raw.get("forked_from_project"), dict),
    )


def parse_releases(body: bytes) -> tuple[ReleaseData, ...]:
    """Releases that are out, newest first. Raises `MalformedDocument` when it is no list of them."""
    found = []
    for raw in map(as_object, read_json_list(body, who="GitLab")):
        tag, page = as_text(raw.get("tag_name"), 200), inside(raw, "_links", "self")
        if tag and raw.get("upcoming_release") is not True:
            url = safe_url(page) if isinstance(page, str) else None
            found.append(ReleaseData(tag=tag, url=url, published_at=as_time(raw.get("released_at"))))
    return tuple(found)


def _is_path(path: str) -> bool:
    return _PATH.fullmatch(path) is not None and not {".", ".."} & set(path.split("/"))
