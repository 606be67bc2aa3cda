"""Records of GitLab, Forgejo and Hugging Face's hub, and which host is read by which module."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from services.domain.errors import MalformedDocument
from services.domain.feeds import UpstreamUrls
from services.domain.repos import AskedRepo, ReleaseData
from services.upstreams import forgejo, gitlab, hf_hub
from services.upstreams.github_releases import parse_releases, releases_request
from services.upstreams.repo_hosts import for_host, software_of

PROJECT: dict[str, Any] = {
    "id": 4711, "description": "Reads\n the <b>tide</b>", "path_with_namespace": "shore/sub/lanterns", "star_count": 31,
    "forks_count": 4, "topics": ["tides", "light"], "tag_list": ["tides", "light"],
    "created_at": "2026-03-01T08:00:00.000Z", "last_activity_at": "2026-11-20T10:30:00.000+01:00",
    "web_url": "https://gitlab.com/shore/sub/lanterns", "license": {"key": "gpl-3.0", "name": "GNU GPL v3"},
}  # fmt: skip
REPO: dict[str, Any] = {
    "id": 99, "full_name": "shore/lanterns", "description": "", "website": "https://lanterns.example/", "fork": True,
    "stars_count": 8, "forks_count": 2, "open_issues_count": 5, "language": "Rust", "archived": True, "empty": False,
    "topics": ["tides"], "created_at": "2026-03-01T08:00:00Z", "updated_at": "2026-11-20T09:30:00Z",
    "archived_at": "0001-01-01T00:00:00Z", "licenses": ["EUPL-1.2"],
}  # fmt: skip
MODEL: dict[str, Any] = {
    "_id": "65f0c0ffee65f0c0ffee65f0", "id": "shore/lantern-7b", "likes": 412, "downloads": 90_321, "gated": "manual",
    "lastModified": "2026-11-20T09:30:00.000Z", "createdAt": "2026-03-01T08:00:00.000Z",
    "pipeline_tag": "text-generation", "library_name": "transformers",
    "tags": ["safetensors", "arxiv:2611.90001", "license:apache-2.0", "text-generation"],
    "cardData": {"license": "apache-2.0"}, "private": False, "disabled": False,
}  # fmt: skip
PUSHED = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def body(record: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**record, **changes}).encode()


def test_a_gitlab_project_is_read_with_its_groups() -> None:
    repo = gitlab.parse_project(body(PROJECT), host="gitlab.com")
    assert (repo.host, repo.host_id, repo.slug, repo.kind) == ("gitlab.com", "4711", "shore/sub/lanterns", "code")
    assert (repo.stars, repo.forks, repo.license, repo.topics) == (31, 4, "GPL-3.0", ("tides", "light"))
    assert (repo.description, repo.pushed_at) == ("Reads the <b>tide</b>", PUSHED)
    assert (repo.archived, repo.fork) == (False, False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"license": None}, None),
        ({"license": {"key": "other"}}, None),
        ({"license": {"key": "artistic-2.0"}}, "artistic-2.0"),
        ({"license": "MIT"}, None),
    ],
)
def test_a_licence_gitlab_has_no_name_for_is_not_guessed(changes: dict[str, Any], said: str | None) -> None:
    assert gitlab.parse_project(body(PROJECT, **changes), host="gitlab.com").license == said


def test_a_forgejo_repository_is_read() -> None:
    repo = forgejo.parse_repo(body(REPO), host="codeberg.org")
    assert (repo.host_id, repo.slug, repo.stars, repo.language) == ("99", "shore/lanterns", 8, "Rust")
    assert (repo.license, repo.homepage, repo.description) == ("EUPL-1.2", "https://lanterns.example/", None)
    assert (repo.archived, repo.fork, repo.pushed_at, repo.open_issues) == (True, True, PUSHED, 5)


def test_nothing_was_pushed_to_an_empty_repository() -> None:
    assert forgejo.parse_repo(body(REPO, empty=True), host="codeberg.org").pushed_at is None
    assert forgejo.parse_repo(body(REPO, updated_at="0001-01-01T00:00:00Z"), host="codeberg.org").pushed_at is None


def test_a_model_is_read_with_likes_downloads_and_what_it_is_for() -> None:
    model = hf_hub.parse_hub_repo(body(MODEL), kind="model")
    assert (model.host, model.kind, model.slug, model.host_id) == (
        "huggingface.co", "model", "shore/lantern-7b", "65f0c0ffee65f0c0ffee65f0"
    )  # fmt: skip
    assert (model.stars, model.downloads, model.gated, model.license) == (412, 90_321, True, "apache-2.0")
    assert model.topics == ("text-generation", "transformers", "safetensors")
    assert model.pushed_at == PUSHED


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cardData": None}, "apache-2.0"),  # from its tags
        ({"cardData": {"license": "other", "license_name": "llama3.1"}}, "llama3.1"),
        ({"cardData": {"license": ["mit", "apache-2.0"]}}, "mit OR apache-2.0"),
        ({"cardData": {"license": "unknown"}, "tags": []}, None),
    ],
)
def test_the_licence_of_a_model(changes: dict[str, Any], said: str | None) -> None:
    assert hf_hub.parse_hub_repo(body(MODEL, **changes), kind="model").license == said


def test_a_space_has_no_downloads() -> None:
    space = hf_hub.parse_hub_repo(body(MODEL, sdk="gradio", gated=False), kind="space")
    assert (space.downloads, space.gated) == (None, False)


@pytest.mark.parametrize(
    "damage",
    [
        b"<html>", b"[]", b"\xff\xfe", body(PROJECT, id="x"), body(PROJECT, star_count=None),
        body(PROJECT, path_with_namespace="../../etc"), body(PROJECT, path_with_namespace="alone"),
        body(REPO, full_name="a/b/c"), body(REPO, full_name="../x"), body(REPO, stars_count=-1),
        body(MODEL, _id=7), body(MODEL, id="alone"), body(MODEL, likes="many"), body(MODEL, id="a/b<script>"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_malformed(damage: bytes) -> None:
    with pytest.raises(MalformedDocument):
        gitlab.parse_project(damage, host="gitlab.com")
    with pytest.raises(MalformedDocument):
        forgejo.parse_repo(damage, host="codeberg.org")
    with pytest.raises(MalformedDocument):
        hf_hub.parse_hub_repo(damage, kind="model")


@pytest.mark.parametrize("field", ["topics", "description", "license", "created_at", "last_activity_at", "forks_count"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "x" * 5_000, [{}], -3, "9999-99-99"])
def test_other_fields_of_another_kind_are_left_out(field: str, value: object) -> None:
    assert gitlab.parse_project(body(PROJECT, **{field: value}), host="gitlab.com").stars == 31


@pytest.mark.parametrize(
    ("host", "software"),
    [
        ("github.com", "github"), ("gitlab.com", "gitlab"), ("gitlab.lab.example", "gitlab"),
        ("codeberg.org", "forgejo"), ("forgejo.lab.example", "forgejo"), ("gitea.com", "forgejo"),
        ("huggingface.co", "hf_hub"), ("bitbucket.org", None), ("git.lab.example", "gitlab"),
        ("git.other.example", None), ("notgitlab.com", None),
    ],
)  # fmt: skip
def test_each_host_is_read_by_the_module_that_knows_it(host: str, software: str | None) -> None:
    further = {"git.lab.example": "gitlab"}
    assert software_of(host, further) == software
    found = for_host(host, UpstreamUrls(), further)
    assert (found is None) == (software in (None, "github"))
    if found is not None:
        assert found.gate == host


@pytest.mark.parametrize(
    ("host", "kind", "slug", "address"),
    [
        ("gitlab.com", "code", "a/b/c", "https://gitlab.com/api/v4/projects/a%2Fb%2Fc?license=true"),
        ("gitlab.com", "code", "alone", None),
        ("gitlab.com", "code", "a/b?x=1", None),
        ("codeberg.org", "code", "a/b", "https://codeberg.org/api/v1/repos/a/b"),
        ("codeberg.org", "code", "../admin", None),
        ("huggingface.co", "model", "a/b", "https://huggingface.co/api/models/a/b"),
        ("huggingface.co", "dataset", "a/b", "https://huggingface.co/api/datasets/a/b"),
        ("huggingface.co", "space", "a/b", "https://huggingface.co/api/spaces/a/b"),
        ("huggingface.co", "space", "a/../b", None),
        ("huggingface.co", "code", "a/b", None),
    ],
)
def test_only_possible_names_are_sent(host: str, kind: str, slug: str, address: str | None) -> None:
    found = for_host(host, UpstreamUrls(), {})
    assert found is not None
    assert found.address(AskedRepo(slug=slug, kind=kind)) == address


ATOM = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Release notes from lanterns</title>
<entry><id>tag:github.com,2008:Repository/7/v2.0</id><updated>2026-11-20T09:30:00Z</updated><title>Two</title>
<link rel="alternate" type="text/html" href="https://github.com/quill/lanterns/releases/tag/v2.0"/></entry>
<entry><id>tag:github.com,2008:Repository/7/r%2F1</id><updated>yesterday</updated>
<link rel="alternate" type="text/html" href="https://github.com/quill/lanterns/releases/tag/r%2F1"/></entry>
<entry><id>x</id><link rel="alternate" href="javascript:alert(1)//releases/tag/v1"/></entry>
<entry><id>y</id></entry></feed>"""


def test_a_feed_of_releases_names_tags_newest_first() -> None:
    found = parse_releases(ATOM.encode())
    assert [(one.tag, one.published_at) for one in found] == [("v2.0", PUSHED), ("r/1", None)]
    with pytest.raises(MalformedDocument):
        parse_releases(b"<rss/>")
    assert releases_request("../x", UpstreamUrls()) is None
    asked = releases_request("quill/lanterns", UpstreamUrls())
    assert asked is not None
    assert (asked.url, asked.gate) == ("https://github.com/quill/lanterns/releases.atom", "github.com")


@pytest.mark.parametrize("parse", [gitlab.parse_releases, partial(forgejo.parse_releases, host="codeberg.org")])
def test_lists_of_releases_are_read_with_caution(parse: Callable[[bytes], tuple[ReleaseData, ...]]) -> None:
    page = "https://gitlab.com/q/l/-/releases/v2.0"
    raw = [
        {"tag_name": "v3", "upcoming_release": True, "draft": True},
        {"tag_name": "v2.0", "released_at": "2026-11-20T09:30:00.000Z", "published_at": "2026-11-20T10:30:00+01:00",
         "_links": {"self": page}, "html_url": page},
        {"tag_name": "v1", "released_at": "soon", "published_at": 7, "_links": {"self": "javascript:x"}, "html_url": 1},
        {"name": "no tag"}, "v0", None,
    ]  # fmt: skip
    assert parse(json.dumps(raw).encode()) == (
        ReleaseData(tag="v2.0", url=page, published_at=PUSHED),
        ReleaseData(tag="v1"),
    )
    for damage in (b"{}", b"<html>", b"7"):
        with pytest.raises(MalformedDocument):
            parse(damage)


@pytest.mark.parametrize(
    ("host", "slug", "address"),
    [
        ("gitlab.com", "a/b/c", "https://gitlab.com/api/v4/projects/a%2Fb%2Fc/releases?per_page=10"),
        ("gitlab.com", "a/../b", None),
        ("codeberg.org", "a/b", "https://codeberg.org/api/v1/repos/a/b/releases?draft=false&limit=10"),
        ("codeberg.org", "a", None),
    ],
)
def test_releases_are_asked_of_possible_names(host: str, slug: str, address: str | None) -> None:
    found = for_host(host, UpstreamUrls(), {})
    assert found is not None
    assert found.releases is not None
    request = found.releases.request(slug)
    assert (request.url if request else None) == address


def test_the_hub_has_no_releases() -> None:
    found = for_host("huggingface.co", UpstreamUrls(), {})
    assert found is not None
    assert found.releases is None
