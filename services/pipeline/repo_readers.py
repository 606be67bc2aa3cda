"""Readers: how each host's repositories are asked for, within our share of what it allows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from services.domain.feeds import FeedRequest
from services.domain.jobs import REPOS_A_JOB
from services.domain.repos import AskedRepo, RepoAnswers
from services.runtime import Runtime
from services.storage import quotas
from services.upstreams import github, repo_hosts
from services.upstreams.github_releases import release_list
from services.upstreams.http import Fetched, NotModified, Validators
from services.upstreams.repo_requests import ReleaseList, RepoHost, ask_each

ONE_BY_ONE = 25
"""Repositories a job reads at hosts that are asked for one at a time, a pause between."""

Ask = Callable[[Sequence[AskedRepo], Callable[[], bool]], RepoAnswers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How a host is read."""

    gate: str
    quota: str
    """The name of its allowance."""
    batch: int
    """Repositories a job."""
    per_call: int
    """Repositories a call of the allowance brings."""
    ask: Ask
    """Repositories asked for, and whether there is time for another, to one answer each."""
    releases: ReleaseList | None = None
    """Where releases are listed; `None` where there are none, or answers bring them along."""


def reader_of(rt: Runtime, host: str) -> Reader | None:
    """The reader of a host; `None` where nobody knows how to ask it."""
    software = repo_hosts.software_of(host, rt.settings.software_of_host)
    if software == "github":
        return _github(rt)
    found = repo_hosts.for_host(host, rt.urls, rt.settings.software_of_host)
    return _one_by_one(rt, found) if found else None


def _github(rt: Runtime) -> Reader:
    token = rt.settings.github_token.get_secret_value()
    # Which token it was must show when it is changed; what it is must not.
    name = f"{github.GATE} token {hashlib.sha256(token.encode()).hexdigest()[:6]}" if token else github.GATE
    assumed = (github.POINTS_WITH_TOKEN if token else github.CALLS_WITHOUT, github.HOUR)

    def ask(asked: Sequence[AskedRepo], may_go_on: Callable[[], bool]) -> RepoAnswers:
        calls = 0

        def spend() -> None:
            nonlocal calls
            rt.spend(name, assumed=assumed)
            calls += 1

        client = github.GitHub(
            rt.http, api_url=rt.settings.github_api_url, token=token or None, spend=spend, clock=rt.now
        )
        with rt.gate(github.GATE):
            result = client.get_repos(asked, may_go_on=may_go_on)
        if result.quota is not None:
            with rt.writing() as session:
                quotas.record(session, name, result.quota, now=rt.now(), settled=calls)
        if result.retry_after is not None:
            rt.close_gate(github.GATE, result.retry_after)
        return result

    per_call = REPOS_A_JOB if token else 1
    releases = None if token else release_list(rt.urls)
    return Reader(gate=github.GATE, quota=name, batch=REPOS_A_JOB, per_call=per_call, ask=ask, releases=releases)


def _one_by_one(rt: Runtime, host: RepoHost) -> Reader:
    token = rt.settings.token_of_host.get(host.gate)
    name, form = host.token_as
    # A redirect to another host leaves it behind (`upstreams.http`).
    entry = {name: form.format(token)} if token else {}

    def get(
        url: str, *, validators: Validators | None, headers: Mapping[str, str], expect_statuses: Collection[int]
    ) -> Fetched | NotModified:
        request = FeedRequest(url=url, headers={**headers, **entry}, gate=host.gate, interval_s=host.interval_s)
        return rt.get(request, validators, expect_statuses=expect_statuses)

    def ask(asked: Sequence[AskedRepo], may_go_on: Callable[[], bool]) -> RepoAnswers:
        return ask_each(host, asked, get, may_go_on=may_go_on)

    def list_releases(slug: str) -> FeedRequest | None:
        request = host.releases.request(slug) if host.releases else None
        return replace(request, headers={**request.headers, **entry}) if request else None

    releases = ReleaseList(list_releases, host.releases.parse) if host.releases else None
    return Reader(gate=host.gate, quota=host.gate, batch=ONE_BY_ONE, per_call=1, ask=ask, releases=releases)
