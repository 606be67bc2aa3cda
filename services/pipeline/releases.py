"""What does not come along with a repository: its releases, by the lists its host has of them, and on GitHub its
README, by its public address. With a token GitHub brings both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from services.domain.errors import RateLimited, UpstreamError
from services.domain.feeds import FeedRequest
from services.domain.repos import ReleaseData
from services.runtime import Runtime
from services.storage.tables import Repo
from services.upstreams.github_readme import papers_named, readme_request
from services.upstreams.http import NotModified, Validators
from services.upstreams.repo_requests import ReleaseList

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list said: releases, newest first, and what to ask it again with."""

    releases: tuple[ReleaseData, ...]
    etag: str | None


def read_releases(
    rt: Runtime, releases: ReleaseList, rows: Sequence[Repo], may_go_on: Callable[[], bool]
) -> dict[int, Listed]:
    """The lists of these repositories that have changed, by row id.

    They are an extra: one that cannot be read now is read with its repository's next look, and stops nothing.
    """

    def read(row: Repo, request: FeedRequest) -> Listed | None:
        answer = rt.get(request, Validators(etag=row.releases_etag) if row.releases_etag else None)
        if isinstance(answer, NotModified):
            return None
        return Listed(releases.parse(answer.body), answer.validators.etag)

    return _read_each("releases", rows, releases.request, read, may_go_on)


def read_readmes(rt: Runtime, rows: Sequence[Repo], may_go_on: Callable[[], bool]) -> dict[int, tuple[str, ...]]:
    """The papers that the READMEs of these repositories name, by row id. One that cannot be read now is no loss: it
    is read after the next push."""

    def read(_: Repo, request: FeedRequest) -> tuple[str, ...] | None:
        answer = rt.get(request, expect_statuses=(404,))
        return papers_named(answer.body) if answer.status == 200 else None

    return _read_each("readmes", rows, lambda slug: readme_request(slug, rt.urls), read, may_go_on)


def _read_each(
    what: str, rows: Sequence[Repo], request_of: Callable[[str], FeedRequest | None],
    read: Callable[[Repo, FeedRequest], T | None], may_go_on: Callable[[], bool],
) -> dict[int, T]:  # fmt: skip
    """What could be read of each, until there is no time left or the host asks us to wait."""
    found: dict[int, T] = {}
    for row in rows:
        request = request_of(row.slug)
        if request is None or row.id is None:
            continue
        if not may_go_on():
            break
        try:
            one = read(row, request)
        except RateLimited as error:
            log.info(f"{what}.wait", why=str(error))
            break
        except UpstreamError as error:
            log.info(f"{what}.unread", repo=row.slug, why=str(error))
            continue
        if one is not None:
            found[row.id] = one
    return found
