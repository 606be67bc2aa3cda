"""Forgejo and Gitea: facts about repositories, at Codeberg and wherever else they run.

`GET /api/v1/repos/OWNER/NAME`. A renamed repository answers with a redirect (301, or 307 from newer versions) to its
present name. 404 is also said of private ones. Which rate limits hold is each instance's own affair, so calls are
kept a second apart. Gitea from 1.23 names licences (`licenses`), Forgejo does not. `empty` says that nothing was
pushed yet: the repository is there, the code is not.

`GET /api/v1/repos/OWNER/NAME/releases` lists releases, the newest first, those marked as trials included. Drafts are
shown to their owners alone. Where an owner switched releases off, it is a 404.

Sources: codeberg.org/api/swagger (repoGet, repoListReleases), docs.gitea.com "API usage", codeberg.org "Fair use".
"""

from __future__ import annotations

import re

from services.domain.errors import MalformedDocument
from services.domain.feeds import FeedRequest
from services.domain.repos import AskedRepo, ReleaseData, RepoData
from services.domain.text import safe_url
from services.upstreams.json_values import as_count, as_object, as_text, as_texts, as_time, read_json, read_json_list
from services.upstreams.repo_requests import ReleaseList, RepoHost

INTERVAL_S = 1.0
LISTED = 10
"""Releases asked for: as many as GitHub's feed of them has."""

_SLUG = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")


def repo_host(host: str, base_url: str) -> RepoHost:
    """The Forgejo or Gitea at `base_url`, whose repositories' pages are on `host`."""

    def address(asked: AskedRepo) -> str | None:
        return f"{base_url}/api/v1/repos/{asked.slug}" if _is_slug(asked.slug) else None

    def parse(body: bytes, _: AskedRepo) -> RepoData:
        return parse_repo(body, host=host)

    def releases(slug: str) -> FeedRequest | None:
        if not _is_slug(slug):
            return None
        url = f"{base_url}/api/v1/repos/{slug}/releases?draft=false&limit={LISTED}"
        return FeedRequest(url=url, headers={"Accept": "application/json"}, gate=host, interval_s=INTERVAL_S)

    name = "Codeberg" if host == "codeberg.org" else host
    return RepoHost(
        name=name,
        gate=host,
        interval_s=INTERVAL_S,
        address=address,
        parse=parse,
        token_as=("Authorization", "token {}"),
        releases=ReleaseList(releases, lambda body: parse_releases(body, host=host)),
    )


def parse_repo(body: bytes, *, host: str) -> RepoData:
    """A repository's record. Raises `MalformedDocument` when it is none."""
    raw = read_json(body, who=host)
    number, stars, slug = as_count(raw.get("id")), as_count(raw.get("stars_count")), raw.get("full_name")
    if number is None or stars is None or not isinstance(slug, str) or not _is_slug(slug):
        raise MalformedDocument(f"{host}'s answer is no repository: id, full name or stars are missing")
    homepage = raw.get("website")
    return RepoData(
        host=host,
        host_id=str(number),
        slug=slug,
        description=as_text(raw.get("description"), 1_000),
        homepage=safe_url(homepage) if isinstance(homepage, str) and homepage else None,
        stars=stars,
        forks=as_count(raw.get("forks_count")) or 0,
        open_issues=as_count(raw.get("open_issues_count")),
        language=as_text(raw.get("language"), 100),
        license=next(iter(as_texts(raw.get("licenses"), most=1, limit=100)), None),
        topics=as_texts(raw.get("topics"), most=20, limit=60),
        created_at=as_time(raw.get("created_at")),
        pushed_at=None if raw.get("empty") is True else as_time(raw.get("updated_at")),
        archived=raw.get("archived") is True,
        fork=raw.get("fork") is True,
    )


def parse_releases(body: bytes, *, host: str) -> tuple[ReleaseData, ...]:
    """Releases that are out, newest first. Raises `MalformedDocument` when it is no list of them."""
    found = []
    for raw in map(as_object, read_json_list(body, who=host)):
        tag, page = as_text(raw.get("tag_name"), 200), raw.get("html_url")
        if tag and raw.get("draft") is not True:
            url = safe_url(page) if isinstance(page, str) else None
            found.append(ReleaseData(tag=tag, url=url, published_at=as_time(raw.get("published_at"))))
    return tuple(found)


def _is_slug(slug: str) -> bool:
    return _SLUG.fullmatch(slug) is not None and not {".", ".."} & set(slug.split("/"))
