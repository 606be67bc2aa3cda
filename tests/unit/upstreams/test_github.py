from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from services.domain.errors import MalformedDocument, RateLimited, UpstreamRejected, UpstreamUnavailable
from services.domain.repos import AskedRepo, Quota, RepoAnswer
from services.upstreams.github import BATCH, GitHub, graphql_url, make_query
from services.upstreams.github_answers import is_slug, parse_graphql, parse_rest
from services.upstreams.http import HttpClient

RESET_AT = int(time.time()) + 1_800
Raw = tuple[int, dict[str, str], bytes]


class FakeGitHub:
    """A stand-in on loopback that knows some repositories, and can be told to misbehave."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Any]] = {}
        self.moved: dict[str, int] = {}
        self.blocked: dict[str, int] = {}
        self.remaining = 60
        self.scripted: list[Raw] = []
        """Answers given before anything else."""
        self.too_heavy: set[str] = set()
        """A query with one of these among others fails, and alone too."""
        self.most_at_once = 10_000
        self.heavy_status = 502
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply({})

            def do_POST(self) -> None:
                self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _reply(self, body: dict[str, Any]) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                fake.requests.append((self.path, headers, body))
                if fake.scripted:
                    status, extra, content = fake.scripted.pop(0)
                elif body:
                    status, extra, content = fake.query(body)
                else:
                    status, extra, content = fake.read(self.path, headers)
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                if status != 304:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if status != 304:
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def has(self, slug: str, number: int, **more: Any) -> None:
        self.repos[slug] = repo_json(slug, number, **more)

    def read(self, path: str, headers: dict[str, str]) -> Raw:
        if self.remaining == 0:
            return 403, self._quota_headers(), b'{"message": "API rate limit exceeded"}'
        self.remaining -= 1
        if path.startswith("/repositories/"):
            found = [repo for repo in self.repos.values() if path == f"/repositories/{repo['id']}"]
            return self._one(found[0], headers)
        slug = path.removeprefix("/repos/")
        if slug in self.moved:
            return 301, {"Location": f"{self.url}/repositories/{self.moved[slug]}"}, b"{}"
        if slug in self.blocked:
            return self.blocked[slug], {}, b'{"message": "Repository access blocked"}'
        if slug not in self.repos:
            return 404, self._quota_headers(), b'{"message": "Not Found"}'
        return self._one(self.repos[slug], headers)

    def query(self, body: dict[str, Any]) -> Raw:
        names = body["variables"]
        slugs = {f"r{i}": f"{names[f'o{i}']}/{names[f'n{i}']}" for i in range(len(names) // 2)}
        if len(slugs) > self.most_at_once or self.too_heavy & set(slugs.values()):
            return self.heavy_status, {"Content-Type": "text/html"}, b"<html>Unicorn!</html>"
        data: dict[str, Any] = {"rateLimit": {"limit": 5000, "remaining": 4990, "resetAt": "2026-11-24T13:00:00Z"}}
        errors = []
        for alias, slug in slugs.items():
            slug = next((new for new in self.repos if self.repos[new]["id"] == self.moved.get(slug)), slug)
            repo = self.repos.get(slug)
            data[alias] = node_of(repo) if repo else None
            if repo is None:
                message = f"Could not resolve to a Repository with the name '{slug}'."
                errors.append({"type": "NOT_FOUND", "path": [alias], "message": message})
        return 200, {}, json.dumps({"data": data} | ({"errors": errors} if errors else {})).encode()

    def _one(self, repo: dict[str, Any], headers: dict[str, str]) -> Raw:
        etag = f'W/"{repo["id"]}-{repo["stargazers_count"]}"'
        extra = {"ETag": etag, **self._quota_headers()}
        if headers.get("if-none-match") == etag:
            return 304, extra, b""
        return 200, extra, json.dumps(repo).encode()

    def _quota_headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": "60",
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(RESET_AT),
        }


def repo_json(slug: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "full_name": slug,
        "html_url": f"https://GitHub.com/{slug}",
        "description": "Code for\n the <b>paper</b> \u202e",
        "homepage": "https://demo.example/",
        "stargazers_count": 42,
        "forks_count": 7,
        "open_issues_count": 3,
        "language": "Python",
        "license": {"key": "mit", "spdx_id": "MIT"},
        "topics": ["diffusion", "vision"],
        "created_at": "2026-11-01T10:00:00Z",
        "pushed_at": "2026-11-23T10:00:00Z",
        "archived": False,
        "fork": False,
    } | more


def node_of(repo: dict[str, Any]) -> dict[str, Any]:
    licence = repo["license"]
    return {
        "databaseId": repo["id"],
        "nameWithOwner": repo["full_name"],
        "url": repo["html_url"],
        "description": repo["description"],
        "homepageUrl": repo["homepage"],
        "stargazerCount": repo["stargazers_count"],
        "forkCount": repo["forks_count"],
        "isArchived": repo["archived"],
        "isFork": repo["fork"],
        "createdAt": repo["created_at"],
        "pushedAt": repo["pushed_at"],
        "primaryLanguage": {"name": repo["language"]} if repo["language"] else None,
        "licenseInfo": {"spdxId": licence["spdx_id"]} if licence else None,
        "repositoryTopics": {"nodes": [{"topic": {"name": topic}} for topic in repo["topics"]]},
    }


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    github = FakeGitHub()
    yield github
    github.close()


@pytest.fixture
def http() -> Iterator[HttpClient]:
    with HttpClient(
        user_agent="x", allowed_private_hosts={"127.0.0.1"}, deadline_s=5, sleep=lambda seconds: None
    ) as client:
        yield client


@pytest.fixture(params=["token", None], ids=["GraphQL", "REST"])
def either(request: pytest.FixtureRequest, fake: FakeGitHub, http: HttpClient) -> GitHub:
    return GitHub(http, api_url=fake.url, token=request.param)


@pytest.fixture
def rest(fake: FakeGitHub, http: HttpClient) -> GitHub:
    return GitHub(http, api_url=fake.url + "/", token=None)


@pytest.fixture
def graphql(fake: FakeGitHub, http: HttpClient) -> GitHub:
    return GitHub(http, api_url=fake.url, token="ghp_token")


def ask(*slugs: str) -> list[AskedRepo]:
    return [AskedRepo(slug=slug) for slug in slugs]


def states(answers: tuple[RepoAnswer, ...]) -> list[str]:
    return [answer.state for answer in answers]


# The same by either way


def test_facts_of_a_repository(fake: FakeGitHub, either: GitHub) -> None:
    fake.has("lab/model", 1234567)
    answer = either.get_repos(ask("lab/model")).answers[0]
    assert (answer.state, answer.error, answer.asked_slug) == ("found", None, "lab/model")
    repo = answer.repo
    assert repo is not None
    assert (repo.host, repo.host_id, repo.slug) == ("github.com", "1234567", "lab/model")
    assert (repo.stars, repo.forks, repo.language, repo.license) == (42, 7, "Python", "MIT")
    assert repo.description == "Code for the <b>paper</b>"
    assert repo.homepage == "https://demo.example/"
    assert repo.topics == ("diffusion", "vision")
    assert repo.created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert repo.pushed_at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert (repo.archived, repo.fork) == (False, False)


def test_fields_may_be_empty(fake: FakeGitHub, either: GitHub) -> None:
    fake.has("lab/empty", 5, description=None, homepage="", language=None, license=None, topics=[], pushed_at=None)
    fake.has("lab/odd", 6, license={"spdx_id": "NOASSERTION"}, homepage="javascript:alert(1)", archived=True)
    empty, odd = (answer.repo for answer in either.get_repos(ask("lab/empty", "lab/odd")).answers)
    assert empty is not None
    assert (empty.description, empty.homepage, empty.language, empty.license) == (None, None, None, None)
    assert (empty.topics, empty.pushed_at) == ((), None)
    assert odd is not None
    assert (odd.license, odd.homepage, odd.archived) == (None, None, True)


def test_answers_come_in_the_order_asked(fake: FakeGitHub, either: GitHub) -> None:
    fake.has("a/one", 1)
    fake.has("a/two", 2)
    asked = ask("a/two", "../etc", "a/gone", "a/one", "a/b/c", "a/two")
    answers = either.get_repos(asked).answers
    assert [answer.asked_slug for answer in answers] == [repo.slug for repo in asked]
    assert states(answers) == ["found", "missing", "missing", "found", "missing", "found"]
    assert answers[1].error == "not a name that GitHub allows"
    assert not any("etc" in path or "etc" in str(body) for path, _, body in fake.requests)


def test_a_renamed_repository_is_found_under_its_present_name(fake: FakeGitHub, either: GitHub) -> None:
    fake.has("lab/new-name", 77)
    fake.moved["lab/old-name"] = 77
    answer = either.get_repos([AskedRepo(slug="lab/old-name", host_id="77")]).answers[0]
    assert (answer.state, answer.error) == ("found", None)
    assert answer.repo is not None
    assert answer.repo.slug == "lab/new-name"


def test_a_name_taken_over_by_another_repository_is_noted(fake: FakeGitHub, either: GitHub) -> None:
    fake.has("lab/model", 99)
    answer = either.get_repos([AskedRepo(slug="lab/model", host_id="42")]).answers[0]
    assert answer.state == "found"
    assert answer.repo is not None
    assert answer.repo.host_id == "99"
    assert answer.error is not None
    assert "re-registered" in answer.error


def test_nothing_asked_is_nothing_sent(fake: FakeGitHub, either: GitHub) -> None:
    assert either.get_repos([]).answers == ()
    assert states(either.get_repos(ask("no slug")).answers) == ["missing"]
    assert fake.requests == []


@pytest.mark.parametrize(
    ("slug", "good"),
    [
        ("owner/name", True),
        ("Owner-1/na.me_x-1", True),
        ("o/.github", True),
        ("o/..", False),
        ("o/.", False),
        ("owner", False),
        ("owner/", False),
        ("/name", False),
        ("o/n/m", False),
        ("o/n?x", False),
        ("o/n#x", False),
        ("o/n%2f", False),
        ("o /n", False),
        ("o/n\n", False),
        ("o.o/n", False),
        ("ö/n", False),
        ("o/" + "n" * 101, False),
        ("", False),
    ],
)
def test_only_possible_names_are_sent(slug: str, good: bool) -> None:
    assert is_slug(slug) is good


# REST


def test_unchanged_repositories_cost_no_body(fake: FakeGitHub, rest: GitHub) -> None:
    fake.has("lab/model", 1)
    first = rest.get_repos(ask("lab/model")).answers[0]
    assert first.etag == 'W/"1-42"'
    second = rest.get_repos([AskedRepo(slug="lab/model", etag=first.etag)]).answers[0]
    assert (second.state, second.repo, second.etag) == ("not_modified", None, first.etag)
    fake.has("lab/model", 1, stargazers_count=43)
    third = rest.get_repos([AskedRepo(slug="lab/model", etag=first.etag)]).answers[0]
    assert third.repo is not None
    assert third.repo.stars == 43


def test_rest_requests_say_which_api_they_mean(fake: FakeGitHub, rest: GitHub) -> None:
    fake.has("lab/model", 1)
    rest.get_repos(ask("lab/model"))
    path, headers, _ = fake.requests[0]
    assert path == "/repos/lab/model"
    assert headers["accept"] == "application/vnd.github+json"
    assert headers["x-github-api-version"] == "2022-11-28"
    assert "authorization" not in headers


@pytest.mark.parametrize("status", [403, 451])
def test_a_blocked_repository_is_blocked(fake: FakeGitHub, rest: GitHub, status: int) -> None:
    fake.has("lab/model", 1)
    fake.blocked["lab/taken-down"] = status
    answers = rest.get_repos(ask("lab/taken-down", "lab/model")).answers
    assert states(answers) == ["blocked", "found"]


def test_the_quota_is_told(fake: FakeGitHub, rest: GitHub) -> None:
    answers = rest.get_repos(ask("lab/gone"))
    assert states(answers.answers) == ["missing"]
    assert answers.quota == Quota(limit=60, remaining=59, reset_at=datetime.fromtimestamp(RESET_AT, UTC))


def test_a_quota_that_ends_midway_leaves_the_rest_for_later(fake: FakeGitHub, rest: GitHub) -> None:
    for number in range(5):
        fake.has(f"lab/m{number}", number)
    fake.remaining = 3
    found = rest.get_repos(ask(*(f"lab/m{number}" for number in range(5))))
    assert states(found.answers) == ["found", "found", "found", "failed", "failed"]
    assert [answer.error for answer in found.answers[3:]] == ["rate limited"] * 2
    assert found.retry_after is not None
    assert timedelta(minutes=10) < found.retry_after <= timedelta(minutes=30)
    assert found.quota is not None
    assert found.quota.remaining == 0
    assert len(fake.requests) == 4, "no request is made against a spent quota"


def test_a_quota_that_is_spent_from_the_start_is_raised(fake: FakeGitHub, rest: GitHub) -> None:
    fake.remaining = 0
    with pytest.raises(RateLimited) as caught:
        rest.get_repos(ask("lab/a", "lab/b"))
    assert caught.value.retry_after is not None


def test_one_repository_in_trouble_does_not_stop_the_others(fake: FakeGitHub, rest: GitHub) -> None:
    fake.has("lab/model", 1)
    fake.scripted = [(500, {}, b"<html>"), (200, {}, b"not json"), (200, {}, b"[]"), (200, {}, b'{"id": 1}')]
    answers = rest.get_repos(ask("l/a", "l/b", "l/c", "l/d", "lab/model")).answers
    assert states(answers) == ["failed", "failed", "failed", "failed", "found"]
    assert "answered 500" in (answers[0].error or "")
    assert "no JSON" in (answers[1].error or "")
    assert "no repository" in (answers[3].error or "")


def test_a_host_that_is_down_is_not_asked_fifty_times(fake: FakeGitHub, rest: GitHub) -> None:
    fake.scripted = [(503, {"Retry-After": "30"}, b"")] * 50
    with pytest.raises(UpstreamUnavailable):
        rest.get_repos(ask(*(f"l/r{number}" for number in range(50))))
    assert len(fake.requests) == 3


def test_a_host_that_goes_down_midway_ends_the_run(fake: FakeGitHub, rest: GitHub) -> None:
    fake.has("lab/model", 1)
    fake.scripted = [(404, {}, b"{}")] + [(503, {"Retry-After": "30"}, b"")] * 50
    found = rest.get_repos(ask(*(f"l/r{number}" for number in range(20))))
    assert states(found.answers) == ["missing"] + ["failed"] * 19
    assert found.retry_after == timedelta(seconds=30)
    assert len(fake.requests) == 4


def test_being_refused_ourselves_is_raised(fake: FakeGitHub, rest: GitHub) -> None:
    fake.scripted = [(403, {}, b'{"message": "Missing or invalid User Agent string"}')]
    with pytest.raises(UpstreamRejected, match="User Agent"):
        rest.get_repos(ask("lab/model"))


# GraphQL


def test_one_query_asks_for_fifty(fake: FakeGitHub, graphql: GitHub) -> None:
    for number in range(120):
        fake.has(f"lab/m{number}", number)
    found = graphql.get_repos(ask(*(f"lab/m{number}" for number in range(120))))
    assert states(found.answers) == ["found"] * 120
    assert [answer.repo.slug for answer in found.answers if answer.repo] == [f"lab/m{i}" for i in range(120)]
    assert [len(body["variables"]) // 2 for _, _, body in fake.requests] == [50, 50, 20]
    path, headers, _ = fake.requests[0]
    assert path == "/graphql"
    assert headers["authorization"] == "Bearer ghp_token"
    assert found.quota == Quota(limit=5000, remaining=4990, reset_at=datetime(2026, 11, 24, 13, tzinfo=UTC))


def test_names_travel_as_variables_only() -> None:
    sent = make_query(ask("own-er/na.me"))
    assert "own-er" not in str(sent["query"])
    assert "na.me" not in str(sent["query"])
    assert sent["variables"] == {"o0": "own-er", "n0": "na.me"}


@pytest.mark.parametrize("status", [502, 504])
def test_a_query_that_is_too_heavy_is_halved(fake: FakeGitHub, graphql: GitHub, status: int) -> None:
    for number in range(BATCH):
        fake.has(f"lab/m{number}", number)
    fake.most_at_once, fake.heavy_status = 13, status
    found = graphql.get_repos(ask(*(f"lab/m{number}" for number in range(BATCH))))
    assert states(found.answers) == ["found"] * BATCH
    assert len(fake.requests) == 7


def test_one_poisonous_repository_fails_alone(fake: FakeGitHub, graphql: GitHub) -> None:
    for number in range(BATCH):
        fake.has(f"lab/m{number}", number)
    fake.too_heavy = {"lab/m31"}
    answers = graphql.get_repos(ask(*(f"lab/m{number}" for number in range(BATCH)))).answers
    assert [answer.asked_slug for answer in answers if answer.state != "found"] == ["lab/m31"]
    assert answers[31].state == "failed"
    assert "answered 502" in (answers[31].error or "")
    assert len(fake.requests) <= 14


def test_a_host_that_fails_every_query_is_unavailable(fake: FakeGitHub, graphql: GitHub) -> None:
    fake.most_at_once = 0
    with pytest.raises(UpstreamUnavailable, match="answered 502"):
        graphql.get_repos(ask(*(f"lab/m{number}" for number in range(BATCH))))
    assert len(fake.requests) < 10


def test_partial_answers_are_kept_and_the_rest_asked_again(fake: FakeGitHub, graphql: GitHub) -> None:
    for number in range(4):
        fake.has(f"lab/m{number}", number)
    fake.scripted = [
        (
            200,
            {},
            json.dumps(
                {
                    "data": {"r0": node_of(fake.repos["lab/m0"]), "r1": None, "r2": None, "r3": None},
                    "errors": [
                        {"type": "RESOURCE_LIMITS_EXCEEDED", "path": [f"r{i}"], "message": "Resource limits"}
                        for i in (1, 2, 3)
                    ],
                }
            ).encode(),
        )
    ]
    answers = graphql.get_repos(ask("lab/m0", "lab/m1", "lab/m2", "lab/m3")).answers
    assert states(answers) == ["found"] * 4
    again = [body["variables"] for _, _, body in fake.requests[1:]]
    assert again == [{"o0": "lab", "n0": "m1", "o1": "lab", "n1": "m2"}, {"o0": "lab", "n0": "m3"}]


@pytest.mark.parametrize(
    "error",
    [
        {"type": "RATE_LIMITED", "message": "API rate limit exceeded"},
        {"type": "RATE_LIMIT", "message": "API rate limit exceeded"},
        {"message": "x", "extensions": {"code": "graphql_rate_limit"}},
        {"message": "x", "code": "graphql_rate_limit"},
    ],
)
def test_a_spent_quota_comes_with_status_200(fake: FakeGitHub, graphql: GitHub, error: dict[str, Any]) -> None:
    quota = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(RESET_AT)}
    fake.scripted = [(200, quota, json.dumps({"errors": [error]}).encode())]
    with pytest.raises(RateLimited) as caught:
        graphql.get_repos(ask("lab/model"))
    assert caught.value.retry_after is not None
    assert timedelta(minutes=10) < caught.value.retry_after <= timedelta(minutes=30)


def test_a_quota_spent_between_two_queries_keeps_what_was_found(fake: FakeGitHub, graphql: GitHub) -> None:
    for number in range(60):
        fake.has(f"lab/m{number}", number)
    asked = ask(*(f"lab/m{number}" for number in range(60)))
    first = fake.query(make_query(asked[:BATCH]))
    fake.scripted = [first, (403, {"Retry-After": "61"}, b"secondary rate limit")]
    found = graphql.get_repos(asked)
    assert states(found.answers) == ["found"] * 50 + ["failed"] * 10
    assert found.answers[-1].error == "rate limited"
    assert found.retry_after == timedelta(seconds=61)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        ({"type": "FORBIDDEN", "message": "Resource protected by organization SAML enforcement."}, "blocked"),
        ({"type": "SERVICE_UNAVAILABLE", "message": "Repository access blocked"}, "blocked"),
        ({"type": "INTERNAL", "message": "Something went wrong"}, "failed"),
        ({"message": None}, "failed"),
    ],
)
def test_other_errors_of_one_repository(fake: FakeGitHub, graphql: GitHub, error: dict[str, Any], state: str) -> None:
    fake.has("lab/model", 1)
    document = {
        "data": {"r0": None, "r1": node_of(fake.repos["lab/model"])},
        "errors": [error | {"path": ["r0"]}],
    }
    fake.scripted = [(200, {}, json.dumps(document).encode())]
    assert states(graphql.get_repos(ask("lab/odd", "lab/model")).answers) == [state, "found"]


def test_a_refused_token_says_which_setting_to_look_at(fake: FakeGitHub, graphql: GitHub) -> None:
    fake.scripted = [(401, {}, b'{"message": "Bad credentials"}')]
    with pytest.raises(UpstreamRejected, match="BROADSHEET_GITHUB_TOKEN"):
        graphql.get_repos(ask("lab/model"))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>a login page</html>", MalformedDocument),
        (b"[]", MalformedDocument),
        (b"{}", UpstreamRejected),
        (b'{"errors": "no"}', UpstreamRejected),
        (b'{"errors": [{"message": "Field \'x\' doesn\'t exist"}]}', UpstreamRejected),
        (b"[" * 100_000, MalformedDocument),
    ],
)
def test_an_answer_that_is_none_is_raised(
    fake: FakeGitHub, graphql: GitHub, body: bytes, error: type[Exception]
) -> None:
    fake.scripted = [(200, {}, body)]
    with pytest.raises(error):
        graphql.get_repos(ask("lab/model"))


@pytest.mark.parametrize(
    "damage",
    [
        {"databaseId": None},
        {"databaseId": "12"},
        {"databaseId": True},
        {"stargazerCount": None},
        {"stargazerCount": -1},
        {"stargazerCount": "many"},
        {"nameWithOwner": None},
        {"nameWithOwner": "../x"},
        {"nameWithOwner": ["a/b"]},
    ],
)
def test_a_repository_without_its_essentials_is_malformed(damage: dict[str, Any]) -> None:
    with pytest.raises(MalformedDocument, match="no repository"):
        parse_graphql(node_of(repo_json("a/b", 1)) | damage)


@pytest.mark.parametrize(
    "damage",
    [
        {"description": 5},
        {"homepageUrl": {}},
        {"primaryLanguage": []},
        {"licenseInfo": "MIT"},
        {"repositoryTopics": {"nodes": [None, {"topic": None}, {"topic": {"name": 5}}]}},
        {"repositoryTopics": None},
        {"createdAt": "yesterday"},
        {"pushedAt": 12},
        {"url": "http://[bad/"},
        {"url": 5},
        {"forkCount": "x"},
        {"isArchived": "yes"},
    ],
)
def test_other_fields_of_another_kind_are_left_out(damage: dict[str, Any]) -> None:
    repo = parse_graphql(node_of(repo_json("a/b", 1)) | damage)
    assert (repo.slug, repo.stars) == ("a/b", 42)


@pytest.mark.parametrize(
    ("api_url", "expected"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://api.github.com/", "https://api.github.com/graphql"),
        ("https://git.example.org/api/v3", "https://git.example.org/api/graphql"),
        ("https://git.example.org/api/v3/", "https://git.example.org/api/graphql"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/graphql"),
    ],
)
def test_the_graphql_address_follows_from_the_rest_base(api_url: str, expected: str) -> None:
    assert graphql_url(api_url) == expected


# Recorded answers


def recordings() -> list[Any]:
    """Recorded exchanges with api.github.com, each `{path, status, headers, body, …}`."""
    corpora = Path(os.environ.get("BROADSHEET_CORPORA", Path(__file__).parents[4] / "shared/corpora"))
    folder = corpora / "github/pygithub_replay"
    if not folder.is_dir():
        pytest.skip(f"no recorded answers in {folder}")
    exchanges = []
    for file in sorted(folder.glob("*.json")):
        exchanges += json.loads(file.read_text(encoding="utf-8"))
    return exchanges


def test_recorded_repositories_are_read() -> None:
    read = 0
    for exchange in recordings():
        path = exchange["path"].split("/")
        if exchange["status"] != 200 or path[1:2] not in (["repos"], ["repositories"]):
            continue
        raw = json.loads(exchange["body"])
        if not isinstance(raw, dict) or "stargazers_count" not in raw:
            continue
        repo = parse_rest(exchange["body"].encode())
        assert (repo.host, repo.host_id, repo.slug) == ("github.com", str(raw["id"]), raw["full_name"])
        assert (repo.stars, repo.forks) == (raw["stargazers_count"], raw["forks_count"])
        assert repo.license == ((raw.get("license") or {}).get("spdx_id"))
        assert repo.created_at is not None
        assert repo.created_at.strftime("%Y-%m-%dT%H:%M:%SZ") == raw["created_at"]
        assert repo.topics == tuple(raw.get("topics", ()))
        read += 1
    assert read >= 5


def test_a_recorded_rename_is_followed(fake: FakeGitHub, rest: GitHub) -> None:
    exchanges = recordings()
    at = next(i for i, x in enumerate(exchanges) if x["status"] == 301 and x["path"].count("/") == 3)
    moved = exchanges[at : at + 2]
    fake.scripted = [
        (
            exchange["status"],
            {
                name: value.replace("https://api.github.com", fake.url)
                for name, value in exchange["headers"].items()
                if name.lower()
                in {"location", "etag", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
            },
            exchange["body"].encode(),
        )
        for exchange in moved
    ]
    old = moved[0]["path"].removeprefix("/repos/")
    found = rest.get_repos(ask(old))
    assert states(found.answers) == ["found"]
    assert found.answers[0].repo is not None
    assert found.answers[0].repo.slug != old
    assert found.answers[0].repo.host_id == moved[1]["path"].rpartition("/")[2]
    assert found.quota is not None
