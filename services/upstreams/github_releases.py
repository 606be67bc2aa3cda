"""GitHub's public feeds of releases: `https://github.com/OWNER/NAME/releases.atom`.

They take nothing of the API's allowance, and answer 304 to a conditional request. They list the newest ten releases,
newest first, those marked as trials included, and bare tags where a repository has no releases. Times are those of
the last edit.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from services.domain.errors import MalformedDocument
from services.domain.feeds import FeedRequest, UpstreamUrls
from services.domain.repos import ReleaseData
from services.domain.text import clean, safe_url
from services.upstreams.documents import load_xml
from services.upstreams.github_answers import is_slug
from services.upstreams.json_values import as_time
from services.upstreams.repo_requests import ReleaseList

GATE = "github.com"
INTERVAL_S = 1.0

_ATOM = "{http://www.w3.org/2005/Atom}"
_TAG = re.compile(r"/releases/tag/([^/?#]+(?:/[^/?#]+)*)$")


def release_list(urls: UpstreamUrls) -> ReleaseList:
    """The feeds of releases of GitHub's repositories."""
    return ReleaseList(lambda slug: releases_request(slug, urls), parse_releases)


def releases_request(slug: str, urls: UpstreamUrls) -> FeedRequest | None:
    """The feed of a repository's releases; `None` for a name GitHub cannot have."""
    if not is_slug(slug):
        return None
    headers = {"Accept": "application/atom+xml"}
    return FeedRequest(url=f"{urls.github}/{slug}/releases.atom", headers=headers, gate=GATE, interval_s=INTERVAL_S)


def parse_releases(body: bytes) -> tuple[ReleaseData, ...]:
    """Releases, newest first; entries that name no tag are left out. Raises `MalformedDocument` for no Atom feed."""
    root = load_xml(body, expected="a feed of releases (Atom)")
    if root.tag != f"{_ATOM}feed":
        raise MalformedDocument("GitHub's answer is no Atom feed of releases")
    found = []
    for entry in root.iterfind(f"{_ATOM}entry"):
        link = entry.find(f"{_ATOM}link[@rel='alternate']")
        url = safe_url(str(link.get("href") or "")) if link is not None else None
        tag = _TAG.search(url) if url else None
        if tag is not None:
            name = clean(unquote(tag[1]), limit=200)
            found.append(ReleaseData(tag=name, url=url, published_at=as_time(entry.findtext(f"{_ATOM}updated"))))
    return tuple(found)
