"""Repositories asked for one by one, at hosts that answer one in a request.

What differs from host to host is a `RepoHost` (see `gitlab`, `forgejo`, `hf_hub`, `github`); asking, and what an
answer's status means, is here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from services.domain.errors import MalformedDocument, RateLimited, UpstreamRejected, UpstreamUnavailable
from services.domain.feeds import FeedRequest
from services.domain.repos import AskedRepo, Quota, ReleaseData, RepoAnswer, RepoAnswers, RepoData
from services.domain.text import clean
from services.upstreams.answers import Fetched, NotModified, Validators
from services.upstreams.headers import parse_quota

GIVE_UP_AFTER = 3
"""Requests in a row without an answer, after which the host is taken to be down."""
RATE_LIMITED = "rate limited"
LATER = "left for a later run"

REFUSED = frozenset({401, 403})
GONE = frozenset({404, 410})
ANSWERS = REFUSED | GONE | {451}
"""Error statuses that can be an answer about one repository."""


def _says_nothing(_: Fetched) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class ReleaseList:
    """Where a host lists the releases of a repository, and how to read that list."""

    request: Callable[[str], FeedRequest | None]
    """By its slug; `None` for a name the host cannot have, which is never sent."""
    parse: Callable[[bytes], tuple[ReleaseData, ...]]
    """Newest first. Raises `MalformedDocument`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoHost:
    """How to ask a host for one repository, and how to read its answer."""

    name: str
    """In words: GitLab, Codeberg, Hugging Face."""
    gate: str
    """The name under which its calls are spaced, `interval_s` apart."""
    interval_s: float
    address: Callable[[AskedRepo], str | None]
    """Where a repository is asked for; `None` for a name the host cannot have, which is never sent."""
    parse: Callable[[bytes, AskedRepo], RepoData]
    """Raises `MalformedDocument`."""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Accept": "application/json"})
    token_as: tuple[str, str] = ("Authorization", "Bearer {}")
    """The header a token goes into, and how, where an operator gave one."""
    missing: frozenset[int] = GONE
    """Statuses that say that there is no such repository."""
    releases: ReleaseList | None = None
    """`None` where there are none, as on Hugging Face."""
    about_it: Callable[[Fetched], bool] = _says_nothing
    """Whether a 401 or 403 is about the repository; else it is about us."""


class Get(Protocol):
    """One conditional GET; error statuses of `ANSWERS` come back, others are raised."""

    def __call__(
        self, url: str, *, validators: Validators | None, headers: Mapping[str, str], expect_statuses: Collection[int]
    ) -> Fetched | NotModified: ...


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def ask_each(
    host: RepoHost,
    asked: Sequence[AskedRepo],
    get: Get,
    *,
    may_go_on: Callable[[], bool] = lambda: True,
    clock: Callable[[], datetime] = utc_now,
) -> RepoAnswers:
    """One answer for each repository asked, in their order, until the allowance, the host or our time is at an end.

    What goes wrong with one, or midway, is told in the answers. Raises only when nothing at all could be answered:
    `RateLimited`, `UpstreamUnavailable`, `UpstreamRejected` (we are refused).
    """
    answers: list[RepoAnswer] = []
    quota: Quota | None = None
    heard = lost = 0

    def cut_short(error: str, wait: timedelta | None) -> RepoAnswers:
        rest = [failed(repo, error) for repo in asked[len(answers) :]]
        return RepoAnswers(answers=(*answers, *rest), quota=quota, retry_after=wait)

    for repo in asked:
        address = host.address(repo)
        if address is None:
            answers.append(not_a_name(repo, host.name))
            continue
        if heard + lost and not may_go_on():
            return cut_short(LATER, None)
        try:
            validators = Validators(etag=repo.etag) if repo.etag else None
            answer = get(address, validators=validators, headers=host.headers, expect_statuses=ANSWERS)
            quota = parse_quota(answer.headers, now=clock()) or quota
            answers.append(_read(host, repo, answer))
            heard, lost = heard + 1, 0
        except RateLimited as error:
            if not heard:
                raise
            return cut_short(RATE_LIMITED, error.retry_after)
        except UpstreamRejected as error:
            if error.status in REFUSED and not heard:
                raise
            answers.append(failed(repo, str(error)))
            heard, lost = heard + 1, 0
        except UpstreamUnavailable as error:
            lost += 1
            answers.append(failed(repo, str(error)))
            if not heard and (lost >= GIVE_UP_AFTER or len(answers) == len(asked)):
                raise
            if lost >= GIVE_UP_AFTER:
                return cut_short(str(error), error.retry_after)
    return RepoAnswers(answers=tuple(answers), quota=quota)


def _read(host: RepoHost, repo: AskedRepo, answer: Fetched | NotModified) -> RepoAnswer:
    if isinstance(answer, NotModified):
        return RepoAnswer(asked_slug=repo.slug, state="not_modified", etag=answer.validators.etag)
    said = f"{host.name} answers {answer.status}"
    if answer.status in host.missing and _is_answer(answer):
        return RepoAnswer(asked_slug=repo.slug, state="missing", error=said)
    if answer.status in REFUSED and not (_is_answer(answer) and host.about_it(answer)):
        text = clean(answer.body[:300].decode("utf-8", "replace"))
        raise UpstreamRejected(
            f"{host.name} refuses us ({answer.status}): {text}", url=answer.final_url, status=answer.status
        )
    if answer.status in GONE:
        return RepoAnswer(asked_slug=repo.slug, state="missing", error=said)
    if answer.status in ANSWERS:
        return RepoAnswer(asked_slug=repo.slug, state="blocked", error=f"{said}: it is not open to everybody")
    try:
        data = host.parse(answer.body, repo)
    except MalformedDocument as error:
        return failed(repo, str(error))
    return found(repo, data, etag=answer.validators.etag)


def _is_answer(answer: Fetched) -> bool:
    """Whether the service itself answers: a wall before it (a firewall, a captcha) speaks HTML."""
    return "html" not in (answer.header("content-type") or "").lower()


def found(repo: AskedRepo, data: RepoData, *, etag: str | None = None) -> RepoAnswer:
    """It is there; whether it still is the one we knew, is noted."""
    error = None
    if repo.host_id and repo.host_id != data.host_id:
        error = f"re-registered: {repo.slug} was repository {repo.host_id} and is {data.host_id} now"
    return RepoAnswer(asked_slug=repo.slug, state="found", repo=data, etag=etag, error=error)


def failed(repo: AskedRepo, error: str) -> RepoAnswer:
    """It could not be answered now."""
    return RepoAnswer(asked_slug=repo.slug, state="failed", error=error)


def not_a_name(repo: AskedRepo, host: str) -> RepoAnswer:
    """No repository can be called so."""
    return RepoAnswer(asked_slug=repo.slug, state="missing", error=f"not a name that {host} allows")
