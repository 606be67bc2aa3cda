"""Hosts of repositories other than GitHub's API, replayed: GitLab, Codeberg, Hugging Face's hub, feeds of releases."""

from __future__ import annotations

import hashlib
from typing import Any
from xml.sax.saxutils import escape

from workers.demo.content import Content, DemoHosted
from workers.demo.exchange import Answer, Ask, digest, iso, json_answer, text_answer

_FOLDERS = {"models": "model", "datasets": "dataset", "spaces": "space"}


def answer_gitlab(ask: Ask, content: Content) -> Answer:
    """`/api/v4/projects/PATH`, or the number of one, and `…/releases`: below `/gitlab`."""
    name, releases = _split(ask.path.removeprefix("/api/v4/projects/"))
    found = _find(content, "gitlab", "code", name)
    if found is None or not ask.path.startswith("/api/v4/projects/"):
        reply = json_answer({"message": "404 Project Not Found"}, 404)
    elif name not in (found.slug, str(found.number)):
        reply = _moved(301, f"{ask.base_url}/gitlab/api/v4/projects/{found.number}{releases}")
    elif releases:
        page = f"https://gitlab.com/{found.slug}/-/releases"
        reply = _tagged(json_answer([
            {"tag_name": tag, "name": tag, "description": "Faster.", "created_at": _millis(iso(at)),
             "released_at": _millis(iso(at)), "upcoming_release": at > ask.now, "_links": {"self": f"{page}/{tag}"}}
            for tag, at in found.releases
        ]))  # fmt: skip
    else:
        reply = _tagged(json_answer(_project(found, licence=ask.param("license") == "true")))
    reset = str(int(ask.now.timestamp()) + 42)
    return reply.with_headers(RateLimit_Limit="400", RateLimit_Remaining="399", RateLimit_Reset=reset)


def answer_codeberg(ask: Ask, content: Content) -> Answer:
    """`/api/v1/repos/OWNER/NAME` and `…/releases`: below `/codeberg`."""
    name, releases = _split(ask.path.removeprefix("/api/v1/repos/"))
    found = _find(content, "codeberg", "code", name)
    if found is None or not ask.path.startswith("/api/v1/repos/"):
        return json_answer({"message": "The target couldn't be found.", "errors": None}, 404)
    if name.lower() != found.slug.lower():
        return _moved(307, f"{ask.base_url}/codeberg/api/v1/repos/{found.slug}{releases}")
    if releases:
        page = f"https://codeberg.org/{found.slug}/releases/tag"
        return json_answer([
            {"id": number, "tag_name": tag, "name": tag, "body": "Faster.", "html_url": f"{page}/{tag}",
             "draft": False, "prerelease": False, "created_at": iso(at), "published_at": iso(at)}
            for number, (tag, at) in enumerate(found.releases, 1)
        ])  # fmt: skip
    return json_answer({
        "id": found.number, "full_name": found.slug, "name": found.slug.partition("/")[2], "private": False,
        "description": found.description or "", "empty": False, "fork": False, "language": found.language or "",
        "html_url": f"https://codeberg.org/{found.slug}", "website": "", "stars_count": found.stars,
        "forks_count": found.forks, "open_issues_count": 2, "archived": False, "topics": list(found.topics),
        "created_at": iso(found.created_at), "updated_at": iso(found.pushed_at), "archived_at": "0001-01-01T00:00:00Z",
    })  # fmt: skip


def answer_hub(ask: Ask, content: Content) -> Answer | None:
    """`/api/models|datasets|spaces/OWNER/NAME`: below `/hf`; `None` for any other path."""
    parts = ask.path.split("/", 3)
    if len(parts) != 4 or parts[1] != "api" or parts[2] not in _FOLDERS:
        return None
    kind, name = _FOLDERS[parts[2]], parts[3]
    found = _find(content, "hub", kind, name)
    if found is None:
        return json_answer({"error": "Invalid username or password."}, 401)
    if name != found.slug:
        return _moved(307, f"{ask.base_url}/hf/api/{parts[2]}/{found.slug}")
    owned_id = hashlib.sha256(f"{kind} {found.number}".encode()).hexdigest()[:24]
    record: dict[str, Any] = {
        "_id": owned_id, "id": found.slug, "author": found.slug.partition("/")[0], "private": False, "disabled": False,
        "gated": found.gated or False, "likes": found.stars, "lastModified": _millis(iso(found.pushed_at)),
        "createdAt": _millis(iso(found.created_at)), "sha": digest(found.slug.encode())[:40],
        "tags": [*found.topics, *([f"license:{found.license}"] if found.license else []), "region:us"],
        "cardData": {"pretty_name": found.description} | ({"license": found.license} if found.license else {}),
    }  # fmt: skip
    if kind == "model":
        record |= {"modelId": found.slug, "pipeline_tag": found.topics[0], "library_name": found.topics[-1]}
    record |= {"downloads": found.downloads} if kind != "space" else {"sdk": found.topics[0]}
    return json_answer(record)


def answer_releases(ask: Ask, content: Content) -> Answer:
    """`/OWNER/NAME/releases.atom`: below the pages of GitHub."""
    slug, _, tail = ask.path.strip("/").rpartition("/")
    repo = content.repos_by_slug.get(slug.lower())
    if repo is None or tail != "releases.atom":
        return text_answer("Not Found", 404)
    base = f"https://github.com/{repo.slug}"
    entries = "".join(
        f"<entry><id>tag:github.com,2008:Repository/{repo.id}/{escape(tag)}</id><updated>{iso(at)}</updated>"
        f'<link rel="alternate" type="text/html" href="{base}/releases/tag/{escape(tag)}"/>'
        f'<title>{escape(tag)}</title><content type="html">Faster.</content></entry>'
        for tag, at in repo.releases
    )
    head = f"<id>tag:github.com,2008:{base}/releases</id><title>Release notes from {escape(repo.slug)}</title>"
    body = f'<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom">{head}{entries}</feed>'
    return _tagged(text_answer(body, 200, "application/atom+xml; charset=utf-8"))


def _split(path: str) -> tuple[str, str]:
    """`a/b/releases` into `a/b` and `/releases`."""
    name = path.removesuffix("/releases")
    return name, path[len(name) :]


def _find(content: Content, host: str, kind: str, name: str) -> DemoHosted | None:
    wanted = name.lower()
    for one in content.hosted:
        names = (one.slug.lower(), *(former.lower() for former in one.former), str(one.number))
        if one.host == host and one.kind == kind and wanted in names:
            return one
    return None


def _project(found: DemoHosted, *, licence: bool) -> dict[str, Any]:
    name = found.slug.rpartition("/")[2]
    project: dict[str, Any] = {
        "id": found.number, "description": found.description, "name": name, "path": name,
        "path_with_namespace": found.slug, "created_at": _millis(iso(found.created_at)), "default_branch": "main",
        "topics": list(found.topics), "tag_list": list(found.topics), "web_url": f"https://gitlab.com/{found.slug}",
        "forks_count": found.forks, "star_count": found.stars, "last_activity_at": _millis(iso(found.pushed_at)),
    }  # fmt: skip
    if licence:
        key = found.license
        project["license"] = {"key": key, "name": f"{key} licence"} if key else None
    return project


def _moved(status: int, address: str) -> Answer:
    return json_answer({"message": "moved"}, status).with_headers(Location=address)


def _tagged(reply: Answer) -> Answer:
    return reply.with_headers(ETag=f'W/"{digest(reply.body)[:32]}"')


def _millis(moment: str) -> str:
    return moment.replace("Z", ".000Z")
