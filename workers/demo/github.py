"""GitHub's REST and GraphQL interfaces, replayed for repositories."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from workers.demo.content import Content, DemoRepo
from workers.demo.exchange import Answer, Ask, conditional, digest, http_date, iso, json_answer, text_answer
from workers.demo.graphql import Document, Field, GraphQLError, bind, parse_document, pick, resolve

REVOKED_TOKEN = "revoked"  # noqa: S105 - the one token this replay refuses
TOKEN_LIMIT = 5000
_DOCS = "https://docs.github.com/rest/repos/repos#get-a-repository"
_LICENSE_NAMES = {
    "Apache-2.0": "Apache License 2.0",
    "MIT": "MIT License",
    "BSD-3-Clause": 'BSD 3-Clause "New" or "Revised" License',
    "GPL-3.0": "GNU General Public License v3.0",
    "MPL-2.0": "Mozilla Public License 2.0",
    "CC-BY-4.0": "Creative Commons Attribution 4.0 International",
    "NOASSERTION": "Other",
}
_WINDOW = timedelta(hours=1)


class GitHub:
    """The service with its quotas: `anonymous_limit` calls an hour without a token, `token_limit` with one."""

    def __init__(self, anonymous_limit: int, token_limit: int = TOKEN_LIMIT) -> None:
        self._limits = {"anonymous": anonymous_limit, "core": token_limit, "graphql": token_limit}
        self._used = dict.fromkeys(self._limits, 0)
        self._reset_at: datetime | None = None
        self._lock = threading.Lock()

    def answer(self, ask: Ask, content: Content) -> Answer:
        """The answer to a request under `/github`; the path is relative to it."""
        if not ask.headers.get("user-agent"):
            return text_answer("Missing or invalid User Agent string. All requests need one.", 403)
        scheme, _, token = ask.headers.get("authorization", "").partition(" ")
        signed = scheme.lower() in ("bearer", "token") and bool(token.strip())
        if token.strip() == REVOKED_TOKEN:
            return json_answer({"message": "Bad credentials", "status": "401"}, 401)
        if ask.path == "/graphql":
            return self._answer_graphql(ask, content, signed)
        bucket = "core" if signed else "anonymous"
        if self._spent(bucket, ask.now):
            message = "API rate limit exceeded. (Authenticated requests get a higher rate limit.)"
            return self._counted(json_answer({"message": message}, 403), bucket, ask.now, 0)
        reply = conditional(ask, _rest(ask, content, signed))
        # A 304 is free, but only on requests with a valid token.
        return self._counted(reply, bucket, ask.now, 0 if signed and reply.status == 304 else 1)

    def _answer_graphql(self, ask: Ask, content: Content, signed: bool) -> Answer:
        if not signed:
            return json_answer({"message": "This endpoint requires you to be authenticated."}, 401)
        try:
            request = json.loads(ask.body)
            document = parse_document(request["query"])
        except GraphQLError as error:
            return json_answer({"errors": [error.entry]})
        except (ValueError, KeyError, TypeError):
            return json_answer({"message": "Problems parsing JSON"}, 400)
        if self._spent("graphql", ask.now):
            spent = {"type": "RATE_LIMITED", "message": "API rate limit exceeded"}
            return self._counted(json_answer({"errors": [spent]}), "graphql", ask.now, 0)
        try:
            result = self._execute(document, request, content, ask.now)
        except GraphQLError as error:
            result = {"errors": [error.entry]}
        return self._counted(json_answer(result), "graphql", ask.now, 1)

    def _execute(
        self, document: Document, request: Mapping[str, Any], content: Content, now: datetime
    ) -> dict[str, Any]:
        operation = document.operation(request.get("operationName"))
        variables = bind(operation, request.get("variables") or {})
        data: dict[str, Any] = {}
        errors: list[dict[str, Any]] = []
        asked = document.fields(operation.selections, variables)
        for one in asked:
            if one.name == "repository":
                data[one.key] = _graphql_repository(document, one, variables, content, errors)
            elif one.name == "rateLimit":
                value = self._rate_limit(now, len(asked))
                data[one.key] = pick(document, one.selections, value, variables, ("query", "rateLimit"))
            else:
                raise GraphQLError(
                    f"Field '{one.name}' doesn't exist on type 'Query'",
                    path=["query", one.name],
                    extensions={"code": "undefinedField", "typeName": "Query", "fieldName": one.name},
                )
        return {"data": data, "errors": errors} if errors else {"data": data}

    def _rate_limit(self, now: datetime, nodes: int) -> dict[str, Any]:
        with self._lock:
            self._roll(now)
            used = self._used["graphql"] + 1
            return {
                "__typename": "RateLimit",
                "cost": 1,
                "limit": self._limits["graphql"],
                "used": used,
                "remaining": self._limits["graphql"] - used,
                "nodeCount": nodes * 25,
                "resetAt": iso(self._reset_at or now),
            }

    def _spent(self, bucket: str, now: datetime) -> bool:
        with self._lock:
            self._roll(now)
            return self._used[bucket] >= self._limits[bucket]

    def _counted(self, reply: Answer, bucket: str, now: datetime, cost: int) -> Answer:
        with self._lock:
            self._roll(now)
            self._used[bucket] += cost
            used, limit = self._used[bucket], self._limits[bucket]
            reset_at = self._reset_at or now
        return reply.with_headers(
            X_RateLimit_Limit=str(limit),
            X_RateLimit_Remaining=str(max(limit - used, 0)),
            X_RateLimit_Used=str(used),
            X_RateLimit_Reset=str(int(reset_at.timestamp())),
            X_RateLimit_Resource="graphql" if bucket == "graphql" else "core",
        )

    def _roll(self, now: datetime) -> None:
        if self._reset_at is None or now >= self._reset_at:
            self._reset_at = now + _WINDOW
            self._used = dict.fromkeys(self._limits, 0)


def _rest(ask: Ask, content: Content, signed: bool) -> Answer:
    parts = ask.path.strip("/").split("/")
    repo = None
    if len(parts) == 3 and parts[0] == "repos":
        slug = f"{parts[1]}/{parts[2]}".lower()
        repo = content.repos_by_slug.get(slug)
        if repo is not None and slug != repo.slug.lower():
            address = f"{ask.base_url}/github/repositories/{repo.id}"
            moved = {"message": "Moved Permanently", "url": address, "documentation_url": _DOCS}
            return json_answer(moved, 301).with_headers(Location=address)
    elif len(parts) == 2 and parts[0] == "repositories":
        repo = next((repo for repo in content.repos if str(repo.id) == parts[1]), None)
    if repo is None:
        return json_answer({"message": "Not Found", "documentation_url": _DOCS, "status": "404"}, 404)
    reply = json_answer(_rest_repository(repo, ask.base_url))
    scope = "private" if signed else "public"
    return reply.with_headers(
        # The real tag differs between signed and anonymous requests as well.
        ETag=f'W/"{digest(scope.encode() + reply.body)}"',
        Last_Modified=http_date(repo.pushed_at),
        Cache_Control=f"{scope}, max-age=60, s-maxage=60",
        Vary="Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding",
        X_GitHub_Media_Type="github.v3; format=json",
    )


def _rest_repository(repo: DemoRepo, base_url: str) -> dict[str, Any]:
    owner, name = repo.slug.split("/")
    owner_id = zlib.crc32(owner.encode()) % 200_000_000
    license_ = None
    if repo.license:
        license_ = {
            "key": repo.license.lower() if repo.license != "NOASSERTION" else "other",
            "name": _LICENSE_NAMES[repo.license],
            "spdx_id": repo.license,
            "url": None,
        }
    return {
        "id": repo.id,
        "node_id": f"R_kgDO{zlib.crc32(repo.slug.encode()):08x}",
        "name": name,
        "full_name": repo.slug,
        "private": False,
        "owner": {
            "login": owner,
            "id": owner_id,
            "avatar_url": f"https://avatars.githubusercontent.com/u/{owner_id}?v=4",
            "html_url": f"https://github.com/{owner}",
            "type": "Organization",
        },
        "html_url": f"https://github.com/{repo.slug}",
        "description": repo.description,
        "fork": False,
        "url": f"{base_url}/github/repos/{repo.slug}",
        "created_at": iso(repo.created_at),
        "updated_at": iso(repo.pushed_at),
        "pushed_at": iso(repo.pushed_at),
        "homepage": repo.homepage,
        "size": 400 + repo.id % 90_000,
        "stargazers_count": repo.stars,
        "watchers_count": repo.stars,
        "language": repo.language,
        "forks_count": repo.forks,
        "archived": repo.archived,
        "disabled": False,
        "open_issues_count": repo.open_issues,
        "license": license_,
        "is_template": False,
        "topics": list(repo.topics),
        "visibility": "public",
        "forks": repo.forks,
        "open_issues": repo.open_issues,
        "watchers": repo.stars,
        "default_branch": "main",
        "network_count": repo.forks,
        "subscribers_count": 3 + repo.stars // 60,
    }


def _graphql_repository(
    document: Document,
    asked: Field,
    variables: Mapping[str, Any],
    content: Content,
    errors: list[dict[str, Any]],
) -> Any:
    arguments = resolve(dict(asked.arguments), variables)
    if not isinstance(arguments.get("owner"), str) or not isinstance(arguments.get("name"), str):
        message = "Field 'repository' is missing required arguments: owner, name"
        raise GraphQLError(message, path=["query", asked.key])
    slug = f"{arguments['owner']}/{arguments['name']}"
    repo = content.repos_by_slug.get(slug.lower())
    if repo is not None and slug.lower() != repo.slug.lower() and arguments.get("followRenames") is False:
        repo = None
    if repo is None:
        errors.append(
            {
                "type": "NOT_FOUND",
                "path": [asked.key],
                "locations": [{"line": asked.line, "column": asked.column}],
                "message": f"Could not resolve to a Repository with the name '{slug}'.",
            }
        )
        return None
    return pick(document, asked.selections, _graphql_fields(repo), variables, ("query", "repository"))


def _graphql_fields(repo: DemoRepo) -> dict[str, Any]:
    """Every field this replay knows of a repository; connections are functions of their arguments."""
    owner, name = repo.slug.split("/")
    code = 60_000 + repo.id % 900_000

    def topics(arguments: Mapping[str, Any]) -> dict[str, Any]:
        nodes = [{"topic": {"name": topic}} for topic in repo.topics[: arguments.get("first", 0)]]
        return {"__typename": "RepositoryTopicConnection", "nodes": nodes, "totalCount": len(repo.topics)}

    def languages(arguments: Mapping[str, Any]) -> dict[str, Any]:
        edges = [
            {"size": code, "node": {"name": repo.language}},
            {"size": code // 40, "node": {"name": "Shell"}},
        ][: arguments.get("first", 0)]
        total = code + code // 40
        return {"__typename": "LanguageConnection", "totalSize": total, "edges": edges, "totalCount": 2}

    return {
        "__typename": "Repository",
        "id": f"R_kgDO{zlib.crc32(repo.slug.encode()):08x}",
        "databaseId": repo.id,
        "name": name,
        "nameWithOwner": repo.slug,
        "owner": {"__typename": "Organization", "login": owner},
        "url": f"https://github.com/{repo.slug}",
        "description": repo.description,
        "homepageUrl": repo.homepage,
        "stargazerCount": repo.stars,
        "forkCount": repo.forks,
        "isArchived": repo.archived,
        "isDisabled": False,
        "isFork": False,
        "isEmpty": False,
        "isPrivate": False,
        "isTemplate": False,
        "visibility": "PUBLIC",
        "createdAt": iso(repo.created_at),
        "pushedAt": iso(repo.pushed_at),
        "updatedAt": iso(repo.pushed_at),
        "primaryLanguage": {"__typename": "Language", "name": repo.language},
        "licenseInfo": _graphql_license(repo),
        "issues": lambda _: {"__typename": "IssueConnection", "totalCount": repo.open_issues},
        "watchers": lambda _: {"__typename": "UserConnection", "totalCount": 3 + repo.stars // 60},
        "defaultBranchRef": {"__typename": "Ref", "name": "main"},
        "latestRelease": _graphql_release(repo),
        "object": lambda _: {"__typename": "Blob", "text": f"# {name}\n\n{repo.description}\n"},
        "repositoryTopics": topics,
        "languages": languages,
    }


def _graphql_release(repo: DemoRepo) -> dict[str, Any] | None:
    if not repo.releases:
        return None
    tag, published_at = repo.releases[0]
    url = f"https://github.com/{repo.slug}/releases/tag/{tag}"
    return {"__typename": "Release", "tagName": tag, "name": tag, "url": url, "publishedAt": iso(published_at)}


def _graphql_license(repo: DemoRepo) -> dict[str, Any] | None:
    if repo.license is None:
        return None
    return {"__typename": "License", "spdxId": repo.license, "name": _LICENSE_NAMES[repo.license]}
