"""Repositories: what a host says of one, and what follows from it. A model, data set or space is one, too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

HUB = "huggingface.co"
HUB_KINDS = ("model", "dataset", "space")
"""What the hub keeps beside code, each under names of its own."""
REPO_KINDS = ("code", *HUB_KINDS)


def is_repo(kind: str, slug: str | None, host: str) -> bool:
    """Whether a link leads to a repository of which a host can be asked for facts."""
    return bool(slug) and (kind == "code" or (kind in HUB_KINDS and host == HUB))


def repo_url(host: str, kind: str, slug: str) -> str:
    """A repository's page."""
    folder = {"dataset": "datasets/", "space": "spaces/"}.get(kind, "")
    return f"https://{host}/{folder}{slug}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseData:
    """A release: its tag, and when it was published, where the host says so."""

    tag: str
    url: str | None = None
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoData:
    """A repository's facts at one moment, as its host states them. `slug` is its present `owner/name`."""

    host: str
    """`github.com`, `gitlab.com`, …"""
    host_id: str
    """The host's own id as text: stays when the repository is renamed or transferred."""
    kind: str = "code"
    """One of `REPO_KINDS`."""
    slug: str
    description: str | None = None
    homepage: str | None = None
    stars: int
    """Likes, of a model, data set or space."""
    forks: int = 0
    downloads: int | None = None
    """In the last 30 days."""
    gated: bool = False
    """To be had after its owners' consent only."""
    open_issues: int | None = None
    language: str | None = None
    license: str | None = None
    """SPDX id; `None` when there is none or the host could not tell."""
    topics: tuple[str, ...] = ()
    created_at: datetime | None = None
    pushed_at: datetime | None = None
    archived: bool = False
    fork: bool = False
    release: ReleaseData | None = None
    """The newest release, where the answer names it."""
    mentions: tuple[str, ...] = ()
    """Papers that its README or card names, by their identifiers (`arxiv:2601.01234`), where we were shown it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoAnswer:
    """The answer for one asked repository.

    `state` is `found`, `not_modified`, `missing` (404: gone or private), `blocked` (401, 403, 451: not open to
    everybody) or `failed` (this one could not be answered now; `error` says why, ask again later).
    """

    asked_slug: str
    state: str
    repo: RepoData | None = None
    etag: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRepo:
    """A repository to ask its host about. `host_id` and `etag` are what is known from the last time."""

    slug: str
    kind: str = "code"
    host_id: str | None = None
    etag: str | None = None
    readme: bool = False
    """Whether we would see its README, too: only a third party says whose code it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What the host lets us ask until `reset_at`."""

    limit: int
    remaining: int
    reset_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoAnswers:
    """One answer for each repository asked, in the order asked.

    `retry_after` is set when the host told us to slow down midway: the answers from there on are `failed`
    and may be asked for again after that time.
    """

    answers: tuple[RepoAnswer, ...]
    quota: Quota | None = None
    retry_after: timedelta | None = None


_H, _D = timedelta(hours=1), timedelta(days=1)

_FOUND_WAITS = ((2 * _D, 6 * _H), (7 * _D, 12 * _H), (30 * _D, _D), (90 * _D, 3 * _D))
"""Paper younger than the first: look again after the second."""
_OLD_WAIT = 7 * _D
_MISSING_WAITS = (6 * _H, _D, 3 * _D, 7 * _D, 21 * _D, 60 * _D)
"""Code is often announced before it is published, so an empty address is looked at again, ever less often."""
_BLOCKED_WAITS = (7 * _D, 21 * _D, 60 * _D)
_FAILED_WAITS = (_H, 2 * _H, 6 * _H, 12 * _H, _D)
_POPULAR = 1_000


def next_check(
    state: str, *, now: datetime, age_of_paper: timedelta | None, stars: int | None, failures: int
) -> datetime:
    """When to look at a repository again, by the `state` of its last answer.

    `found` and `not_modified`: from 6 hours for a paper of today to 7 days for an old one, popular
    repositories (1,000 stars) daily at least. `missing`, `blocked` and `failed`: ever later with `failures`,
    the number of such answers in a row, this one included. `age_of_paper` is that of the youngest paper that
    links to it, `None` when unknown. Raises `ValueError` for an unknown state.
    """
    if state in {"found", "not_modified"}:
        return now + _found_wait(age_of_paper, stars)
    waits = {"missing": _MISSING_WAITS, "blocked": _BLOCKED_WAITS, "failed": _FAILED_WAITS}.get(state)
    if waits is None:
        raise ValueError(f"no such state of a repository: {state!r}")
    return now + waits[min(max(failures, 1), len(waits)) - 1]


def _found_wait(age: timedelta | None, stars: int | None) -> timedelta:
    if age is None:
        return _D
    wait = next((wait for younger_than, wait in _FOUND_WAITS if age < younger_than), _OLD_WAIT)
    return min(wait, _D) if (stars or 0) >= _POPULAR else wait


_PERMISSIVE = re.compile(
    r"mit(-0|-cmu|-modern-variant)?|x11|apache-\d.*|bsd-\d-clause.*|0bsd|isc|unlicense|cc0-1\.0|cc-by-\d\.\d"
    r"|zlib|bsl-1\.0|psf-2\.0|python-2.*|ncsa|postgresql|wtfpl|upl-1\.0|afl-\d\.\d|artistic-2\.0|ecl-2\.0"
    r"|mulanpsl-2\.0|ms-pl|blueoak-1\.0\.0|hpnd|openssl|curl|bsd-source-code|cdla-permissive-\d\.\d"
)
_COPYLEFT = re.compile(
    r"(a|l)?gpl-\d\.\d.*|mpl-\d\.\d.*|epl-\d\.\d|eupl-\d\.\d|cddl-\d\.\d|cc-by-sa-\d\.\d|osl-\d\.\d|ms-rl"
    r"|cecill-\d\.\d|cecill-c|lppl-\d\.\d.*|odbl-1\.0|gfdl-\d\.\d.*|cern-ohl-[sw]-2\.0|qpl-1\.0|cdla-sharing-1\.0"
)


def license_class(spdx: str | None) -> str:
    """`permissive`, `copyleft`, `other` (non-commercial, source-available, unknown to us) or `none`.

    Takes an SPDX id or expression, whatever its case. Of `A OR B` the freer one counts, of `A AND B` the
    stricter.
    """
    text = (spdx or "").strip().lower()
    if text in {"", "none"}:
        return "none"
    choices = [
        max((_class_of(part) for part in choice.split(" and ")), key=_STRICTNESS.index)
        for choice in text.replace("(", " ").replace(")", " ").split(" or ")
    ]
    return min(choices, key=_STRICTNESS.index)


_STRICTNESS = ("permissive", "copyleft", "other")


def _class_of(license_id: str) -> str:
    name = license_id.strip().partition(" with ")[0].strip().removesuffix("+")
    if _PERMISSIVE.fullmatch(name):
        return "permissive"
    return "copyleft" if _COPYLEFT.fullmatch(name) else "other"


def stars_gained(readings: Sequence[tuple[datetime, int]], now: datetime, window: timedelta) -> int | None:
    """Stars gained (lost: negative) over the `window` before `now`, from `(read at, stars)` in any order.

    The count at the window's start is read off the line between the readings around it, so a gap there does
    not add the gain of earlier days. Without a reading before the start, the first one inside counts if it
    covers half of the window at least. `None` when there is too little to tell: fewer than two readings, or
    none inside the window.
    """
    start = now - window
    # One count for each moment: two of the same moment would leave nothing to divide by.
    known = sorted(dict(reading for reading in readings if reading[0] <= now).items())
    before = [reading for reading in known if reading[0] <= start]
    inside = [reading for reading in known if reading[0] > start]
    if not inside or len(known) < 2:
        return None
    latest = inside[-1][1]
    if before:
        return latest - _between(before[-1], inside[0], start)
    if inside[-1][0] - inside[0][0] < window / 2:
        return None
    return latest - inside[0][1]


def _between(left: tuple[datetime, int], right: tuple[datetime, int], at: datetime) -> int:
    share = (at - left[0]) / (right[0] - left[0])
    return round(left[1] + (right[1] - left[1]) * share)
