"""Asking for repositories one by one: what each status means, and when to stop."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from services.domain.errors import RateLimited, UpstreamError, UpstreamRejected, UpstreamUnavailable
from services.domain.feeds import UpstreamUrls
from services.domain.repos import AskedRepo, RepoAnswers
from services.upstreams.answers import Fetched, NotModified, Validators
from services.upstreams.repo_hosts import for_host
from services.upstreams.repo_requests import ask_each

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}
Scripted = Fetched | NotModified | UpstreamError


def answer(status: int, body: object = None, **headers: str) -> Fetched:
    raw = body if isinstance(body, bytes) else json.dumps(body or {"message": str(status)}).encode()
    found = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return Fetched("u", "u", status, found, raw, Validators(etag='"e"'))


def there(number: int) -> Fetched:
    return answer(200, {"id": number, "full_name": f"a/r{number}", "stars_count": number})


class Site:
    """Answers in the order scripted; keeps what it was asked."""

    def __init__(self, *script: Scripted) -> None:
        self.script = list(script)
        self.asked: list[tuple[str, Validators | None]] = []

    def get(
        self, url: str, *, validators: Validators | None, headers: Mapping[str, str], expect_statuses: Collection[int]
    ) -> Fetched | NotModified:
        self.asked.append((url, validators))
        reply = self.script.pop(0)
        if isinstance(reply, UpstreamError):
            raise reply
        if reply.status >= 400 and reply.status not in expect_statuses:
            raise UpstreamRejected(str(reply.status), status=reply.status)
        return reply


def ask(site: Site, *asked: AskedRepo | str, host: str = "codeberg.org", minutes: int = 99) -> RepoAnswers:
    how = for_host(host, UpstreamUrls(), {})
    assert how is not None
    repos = [AskedRepo(slug=one, kind="model" if host == "huggingface.co" else "code") if isinstance(one, str) else one
             for one in asked]  # fmt: skip
    left = iter([True] * minutes)
    return ask_each(how, repos, site.get, may_go_on=lambda: next(left, False), clock=lambda: NOW)


def states(found: RepoAnswers) -> list[str]:
    return [one.state for one in found.answers]


@pytest.mark.parametrize(
    ("host", "status", "state"),
    [
        ("codeberg.org", 404, "missing"), ("codeberg.org", 410, "missing"), ("codeberg.org", 403, "blocked"),
        ("codeberg.org", 401, "blocked"), ("codeberg.org", 451, "blocked"), ("gitlab.com", 404, "missing"),
        ("gitlab.com", 403, "blocked"), ("huggingface.co", 401, "missing"), ("huggingface.co", 404, "missing"),
        ("huggingface.co", 403, "blocked"),
    ],
)  # fmt: skip
def test_what_a_status_says_of_a_repository(host: str, status: int, state: str) -> None:
    found = ask(Site(answer(status)), "a/b", host=host)
    assert states(found) == [state]
    assert str(status) in (found.answers[0].error or "")


def test_a_wall_before_the_host_says_nothing_of_the_repository() -> None:
    wall = answer(403, b"<html>Are you human?</html>", content_type="text/html; charset=utf-8")
    with pytest.raises(UpstreamRejected, match="Codeberg refuses us"):
        ask(Site(wall), "a/b")
    found = ask(Site(there(1), wall), "a/r1", "a/b")
    assert states(found) == ["found", "failed"]


def test_what_is_unchanged_is_told_with_what_to_ask_next_time() -> None:
    site = Site(NotModified("u", "u", 304, {}, b"", Validators(etag='"new"')))
    found = ask(site, AskedRepo(slug="a/b", etag='"old"'))
    assert (states(found), found.answers[0].etag) == (["not_modified"], '"new"')
    assert site.asked[0][1] == Validators(etag='"old"')


def test_a_limit_is_a_wait_and_no_failure() -> None:
    wait = RateLimited("slow down", retry_after=timedelta(seconds=90), status=429)
    with pytest.raises(RateLimited):
        ask(Site(wait), "a/b", "a/c")
    site = Site(there(1), wait)
    found = ask(site, "a/r1", "a/b", "a/c")
    assert (states(found), found.retry_after) == (["found", "failed", "failed"], timedelta(seconds=90))
    assert len(site.asked) == 2


def test_a_host_that_is_down_is_asked_three_times_at_most() -> None:
    down = [UpstreamUnavailable("no answer")] * 9
    site = Site(*down)
    with pytest.raises(UpstreamUnavailable):
        ask(site, *[f"a/b{n}" for n in range(9)])
    assert len(site.asked) == 3
    site = Site(there(1), *down)
    assert states(ask(site, "a/r1", *[f"a/b{n}" for n in range(9)])) == ["found", *["failed"] * 9]
    assert len(site.asked) == 4


def test_one_in_trouble_does_not_stop_the_others() -> None:
    site = Site(UpstreamUnavailable("no answer"), answer(200, b"<html>"), there(3), UpstreamRejected("too long"))
    assert states(ask(site, "a/r1", "a/r2", "a/r3", "a/r4")) == ["failed", "failed", "found", "failed"]


def test_what_there_is_no_time_for_is_left_for_later() -> None:
    site = Site(there(1), there(2), there(3))
    found = ask(site, "a/r1", "a/r2", "a/r3", minutes=1)
    assert states(found) == ["found", "found", "failed"]
    assert (found.answers[2].error, found.retry_after) == ("left for a later run", None)


def test_impossible_names_are_missing_and_never_sent() -> None:
    site = Site(there(1))
    assert states(ask(site, "../etc", "a/r1")) == ["missing", "found"]
    assert len(site.asked) == 1


def test_a_name_taken_over_by_another_is_noted_and_the_allowance_told() -> None:
    told = {"ratelimit_limit": "400", "ratelimit_remaining": "12", "ratelimit_reset": "30"}
    site = Site(answer(200, {"id": 2, "full_name": "a/r", "stars_count": 1}, **told))
    found = ask(site, AskedRepo(slug="a/r", host_id="1"))
    assert (found.answers[0].error or "").startswith("re-registered")
    assert found.quota is not None
    assert (found.quota.limit, found.quota.remaining, found.quota.reset_at) == (400, 12, NOW + timedelta(seconds=30))
