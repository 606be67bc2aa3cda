"""What no API call has to bring: releases of repositories on GitHub by their public feeds, READMEs by their public
address. With a token both come along with the repository."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from services.domain.errors import RateLimited, UpstreamError
from services.domain.repos import ReleaseData
from services.runtime import Runtime
from services.storage.tables import Repo
from services.upstreams.github_readme import papers_named, readme_request
from services.upstreams.github_releases import parse_releases, releases_request
from services.upstreams.http import NotModified, Validators

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a feed said: releases, newest first, and what to ask it again with."""

    releases: tuple[ReleaseData, ...]
    etag: str | None


def read_releases(rt: Runtime, rows: Sequence[Repo], may_go_on: Callable[[], bool]) -> dict[int, Listed]:
    """The feeds of these repositories that have changed, by row id.

    They are an extra: one that cannot be read now is read with its repository's next look, and stops nothing.
    """
    found: dict[int, Listed] = {}
    for row in rows:
        request = releases_request(row.slug, rt.urls)
        if request is None or row.id is None:
            continue
        if not may_go_on():
            break
        try:
            answer = rt.get(request, Validators(etag=row.releases_etag) if row.releases_etag else None)
            if not isinstance(answer, NotModified):
                found[row.id] = Listed(parse_releases(answer.body), answer.validators.etag)
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
