"""GitHub: facts about repositories.

With a token, up to 50 repositories are asked for by one GraphQL query (about one of 5,000 points an hour).
Without one, each is a conditional REST request; 60 an hour are allowed for an IP address. Requests are serial
in both cases, as GitHub asks for.

Sources: docs.github.com "Rate limits for the REST API", "Rate limits and query limits for the GraphQL API",
"Best practices for using the REST API", "Get a repository".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.domain.errors import (
    MalformedDocument,
    RateLimited,
    UpstreamError,
    UpstreamRejected,
    UpstreamUnavailable,
)
from services.domain.repos import AskedRepo, Quota, RepoAnswer, RepoAnswers
from services.domain.text import clean
from services.upstreams.github_answers import is_slug, parse_graphql, parse_rest, quota_of_query
from services.upstreams.headers import parse_quota
from services.upstreams.http import Fetched, HttpClient, NotModified, Validators
from services.upstreams.json_values import as_list, inside, read_json
from services.upstreams.repo_requests import RATE_LIMITED, RepoHost, ask_each, failed, found, not_a_name, utc_now

BATCH = 50
"""Repositories in one GraphQL query; larger ones ran into RESOURCE_LIMITS_EXCEEDED."""
MAX_QUERIES = 16
"""GraphQL queries spent on halving: enough to get from a whole batch down to the one that is at fault."""
GATE = "api.github.com"
HOUR = timedelta(hours=1)
POINTS_WITH_TOKEN, CALLS_WITHOUT = 5_000, 60
"""What an hour allows, until the first answer tells it."""

_REST_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_TOO_HEAVY = frozenset({502, 504})
_TOO_HEAVY_TYPES = frozenset({"RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED"})
_RATE_TYPES = frozenset({"RATE_LIMITED", "RATE_LIMIT", "GRAPHQL_RATE_LIMIT"})
_FRAGMENT = """fragment F on Repository { databaseId nameWithOwner url description homepageUrl stargazerCount
 forkCount isArchived isFork createdAt pushedAt primaryLanguage { name } licenseInfo { spdxId }
 latestRelease { tagName url publishedAt } repositoryTopics(first: 20) { nodes { topic { name } } } }"""

_README = """fragment R on Repository { readme: object(expression: "HEAD:README.md") { ... on Blob { text } } }"""
"""Asked only of those of which it could tell something: a README may be long."""


class GitHub:
    """A GitHub host. `api_url` is its REST base: `https://api.github.com`, or `https://HOST/api/v3`."""

    def __init__(
        self,
        http: HttpClient,
        *,
        api_url: str,
        token: str | None,
        spend: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`spend` is called before each request; what it raises (`RateLimited`) is taken for the host's answer."""
        self._http = http
        self._api_url = api_url.rstrip("/")
        self._token = token or None
        self._spend = spend
        self._clock = clock

    def get_repos(self, asked: Sequence[AskedRepo], *, may_go_on: Callable[[], bool] = lambda: True) -> RepoAnswers:
        """One answer for each repository asked, in their order.

        What goes wrong with one repository, or midway, is told in the answers. Raises only when nothing at
        all could be answered: `RateLimited`, `UpstreamUnavailable`, `UpstreamRejected` (we or our token are
        refused), `MalformedDocument`.
        """
        if self._token is None:
            return ask_each(rest_host(self._api_url), asked, self._get, may_go_on=may_go_on, clock=self._clock)
        valid = [repo for repo in asked if is_slug(repo.slug)]
        url = graphql_url(self._api_url)
        reached = _GraphQL(self._http, url, self._token, spend=self._spend, clock=self._clock).ask(valid)
        answers = iter(reached.answers)
        return RepoAnswers(
            answers=tuple(next(answers) if is_slug(repo.slug) else not_a_name(repo, "GitHub") for repo in asked),
            quota=reached.quota,
            retry_after=reached.retry_after,
        )

    def _get(
        self, url: str, *, validators: Validators | None, headers: Mapping[str, str], expect_statuses: Collection[int]
    ) -> Fetched | NotModified:
        self._spend()
        return self._http.get(url, validators=validators, headers=headers, expect_statuses=expect_statuses)


def rest_host(api_url: str) -> RepoHost:
    """GitHub as asked without a token: one conditional request for each repository."""

    def address(asked: AskedRepo) -> str | None:
        return f"{api_url}/repos/{asked.slug}" if is_slug(asked.slug) else None

    return RepoHost(
        name="GitHub",
        gate=GATE,
        interval_s=0,
        address=address,
        parse=lambda body, _: parse_rest(body),
        headers=_REST_HEADERS,
        # Without its words on a block, a 403 is about us: a missing User-Agent, an address they turn away.
        about_it=lambda answer: answer.status == 403 and _says_blocked(answer.body),
    )


def graphql_url(api_url: str) -> str:
    """The GraphQL address that belongs to a REST base."""
    base = api_url.rstrip("/")
    return f"{base.removesuffix('/v3')}/graphql" if base.endswith("/api/v3") else f"{base}/graphql"


class _GraphQL:
    """Queries of many repositories each; what a query leaves open is asked again in halves."""

    def __init__(
        self, http: HttpClient, url: str, token: str, *, spend: Callable[[], None], clock: Callable[[], datetime]
    ) -> None:
        self._http = http
        self._spend = spend
        self._clock = clock
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._quota: Quota | None = None

    def ask(self, asked: Sequence[AskedRepo]) -> RepoAnswers:
        answers: dict[int, RepoAnswer] = {}
        waiting = [list(range(i, min(i + BATCH, len(asked)))) for i in range(0, len(asked), BATCH)]
        allowed = MAX_QUERIES + len(waiting)
        stopped = f"not answered within {allowed} queries"
        retry_after: timedelta | None = None
        while waiting and allowed:
            batch = waiting.pop(0)
            allowed -= 1
            try:
                done, reason = self._query([asked[place] for place in batch])
            except UpstreamError as error:
                if not isinstance(error, UpstreamUnavailable) or error.status not in _TOO_HEAVY:
                    if not _any_answered(answers):
                        raise
                    stopped = RATE_LIMITED if isinstance(error, RateLimited) else str(error)
                    retry_after = error.retry_after
                    break
                done, reason = {}, str(error)
            answers |= {batch[index]: answer for index, answer in done.items()}
            left = [place for index, place in enumerate(batch) if index not in done]
            if left and len(batch) == 1:
                answers[left[0]] = failed(asked[left[0]], reason)
                # Two in a row that fail alone are not too much to ask for: the host is in trouble.
                if len(answers) > 1 and not _any_answered(answers):
                    break
            else:
                half = (len(left) + 1) // 2
                waiting[:0] = [part for part in (left[:half], left[half:]) if part]
        if answers and not _any_answered(answers):
            raise UpstreamUnavailable(f"GitHub answers nothing: {next(iter(answers.values())).error}", url=self._url)
        return RepoAnswers(
            answers=tuple(answers.get(i) or failed(repo, stopped) for i, repo in enumerate(asked)),
            quota=self._quota,
            retry_after=retry_after,
        )

    def _query(self, batch: Sequence[AskedRepo]) -> tuple[dict[int, RepoAnswer], str]:
        """Answers by place in the batch, and why there is none for the rest."""
        self._spend()
        try:
            answer = self._http.post(self._url, json=make_query(batch), headers=self._headers)
        except UpstreamRejected as error:
            if error.status == 401:
                raise UpstreamRejected(
                    "GitHub refuses the token; check BROADSHEET_GITHUB_TOKEN", url=self._url, status=401
                ) from error
            raise
        self._quota = parse_quota(answer.headers, now=self._clock()) or self._quota
        document = read_json(answer.body, who="GitHub", url=self._url)
        data = document.get("data")
        self._quota = quota_of_query(data) or self._quota
        errors = [error for error in as_list(document.get("errors")) if isinstance(error, dict)]
        if any(_is_rate_limit(error) for error in errors):
            raise RateLimited("GitHub's GraphQL quota is spent", url=self._url, retry_after=self._wait())
        general = [error for error in errors if not error.get("path")]
        too_heavy = next((_message(error) for error in errors if _is_too_heavy(error)), "")
        if not isinstance(data, dict):
            if too_heavy:
                return {}, too_heavy
            if any(repo.readme for repo in batch):  # a server that knows no such field still tells the rest
                return self._query([replace(repo, readme=False) for repo in batch])
            said = _message(general[0]) if general else "neither data nor errors"
            raise UpstreamRejected(f"GitHub does not accept the query: {said}", url=self._url)
        done = {}
        for index, repo in enumerate(batch):
            own = [error for error in errors if as_list(error.get("path"))[:1] == [f"r{index}"]]
            answered = _read_alias(repo, data.get(f"r{index}"), own, general)
            if answered is not None:
                done[index] = answered
        return done, too_heavy or "GitHub left it out of its answer"

    def _wait(self) -> timedelta | None:
        if self._quota is None:
            return None
        return max(self._quota.reset_at - self._clock(), timedelta(0))


def make_query(batch: Sequence[AskedRepo]) -> dict[str, object]:
    """The GraphQL request: one alias `r0`, `r1`, … for each repository, names as variables only."""
    declared = ", ".join(f"$o{i}: String!, $n{i}: String!" for i in range(len(batch)))
    aliases = " ".join(
        f"r{i}: repository(owner: $o{i}, name: $n{i}) {{ ...F{' ...R' * repo.readme} }}" for i, repo in enumerate(batch)
    )
    variables: dict[str, str] = {}
    for i, repo in enumerate(batch):
        variables[f"o{i}"], _, variables[f"n{i}"] = repo.slug.partition("/")
    fragments = f"{_FRAGMENT} {_README}" if any(repo.readme for repo in batch) else _FRAGMENT
    query = f"query({declared}) {{ {aliases} rateLimit {{ limit remaining resetAt }} }} {fragments}"
    return {"query": query, "variables": variables}


def _any_answered(answers: Mapping[int, RepoAnswer]) -> bool:
    return any(answer.state != "failed" for answer in answers.values())


def _read_alias(
    repo: AskedRepo, node: object, own: list[dict[str, Any]], general: list[dict[str, Any]]
) -> RepoAnswer | None:
    """The answer for one alias, or `None` when it should be asked for again in a smaller query."""
    if isinstance(node, dict):
        # A query cut short by its cost leaves holes in nodes as well.
        if any(_is_too_heavy(error) for error in own):
            return None
        try:
            return found(repo, parse_graphql(node))
        except MalformedDocument as error:
            return failed(repo, str(error))
    for problem in own:
        message = _message(problem)
        if _kind(problem) == "NOT_FOUND":
            return RepoAnswer(asked_slug=repo.slug, state="missing", error=message)
        if _kind(problem) == "FORBIDDEN" or _says_blocked(message.encode()):
            return RepoAnswer(asked_slug=repo.slug, state="blocked", error=message)
        if not _is_too_heavy(problem):
            return failed(repo, message)
    plain = next((_message(error) for error in general if not _is_too_heavy(error)), None)
    return failed(repo, plain) if plain and not own else None


def _kind(error: Mapping[str, Any]) -> str:
    return str(error.get("type") or error.get("code") or "").upper()


def _is_rate_limit(error: Mapping[str, Any]) -> bool:
    names = (error.get("type"), error.get("code"), inside(error, "extensions", "code"))
    return any(str(name).upper() in _RATE_TYPES for name in names)


def _message(error: Mapping[str, Any]) -> str:
    return clean(str(error.get("message") or _kind(error) or "an error without a message"), limit=200)


def _is_too_heavy(error: Mapping[str, Any]) -> bool:
    return _kind(error) in _TOO_HEAVY_TYPES or "may be the result of a timeout" in _message(error)


def _says_blocked(body: bytes) -> bool:
    return b"blocked" in body.lower() or b"dmca" in body.lower()
