"""What does not come along with a repository: its releases, by the lists its host has of them, and on GitHub its
README, by its public address. With a token GitHub brings both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from services.domain.errors import RateLimited, UpstreamError
from services.domain.repos import ReleaseData
from services.runtime import Runtime
from services.storage.tables import Repo
from services.upstreams.github_readme import papers_named, readme_request
from services.upstreams.http import NotModified, Validators
from services.upstreams.repo_requests import ReleaseList

log = structlog.get_logger(__name__)


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
    found: dict[int, Listed] = {}
    for row in rows:
        request = releases.request(row.slug)
        if request is None or row.id is None:
            continue
        if not may_go_on():
            break
        try:
            answer = rt.get(request, Validators(etag=row.releases_etag) if row.releases_etag else None)
            if not isinstance(answer, NotModified):
                found[row.id] = Listed(releases.parse(answer.body), answer.validators.etag)
        except RateLimited as error:
            log.info("releases.wait", why=str(error))
            break
        except UpstreamError as error:
            log.info("releases.unread", repo=row.slug, why=str(error))
    return found


def read_readmes(rt: Runtime, rows: Sequence[Repo], may_go_on: Callable[[], bool]) -> dict[int, tuple[str, ...]]:
    """The papers that the READMEs of these repositories name, by row id. One that cannot be read now is no loss: it
    is read after the next push."""
    found: dict[int, tuple[str, ...]] = {}
    for row in rows:
        request = readme_request(row.slug, rt.urls)
        if request is None or row.id is None:
            continue
        if not may_go_on():
            break
        try:
            answer = rt.get(request, expect_statuses=(404,))
            if answer.status == 200:
                found[row.id] = papers_named(answer.body)
        except RateLimited as error:
            log.info("readmes.wait", why=str(error))
            break
        except UpstreamError as error:
            log.info("readmes.unread", repo=row.slug, why=str(error))
    return found
