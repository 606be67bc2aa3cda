"""Hugging Face's hub: facts about models, data sets and spaces.

`GET /api/models|datasets|spaces/OWNER/NAME`. A renamed one answers with a redirect (307) to its present name. To
those who are not signed in, 401 is said of what does not exist as well as of what is private: it is taken for
missing. Gated ones are described to everybody. `downloads` are those of the last 30 days; spaces have none. There is
no number, but `_id` stays when it is renamed. Calls share the allowance of Daily Papers (`RateLimit: "api"`).

Sources: huggingface.co/docs/hub/api, huggingface_hub's `ModelInfo`, `DatasetInfo`, `SpaceInfo`, hub-docs
`rate-limits.md`.
"""

from __future__ import annotations

import re
from typing import Any

from services.domain.errors import MalformedDocument
from services.domain.identifiers import parse_arxiv
from services.domain.repos import HUB, AskedRepo, RepoData
from services.upstreams.json_values import as_count, as_list, as_text, as_time, inside, read_json
from services.upstreams.repo_requests import GONE, RepoHost

GATE = HUB
"""The same as that of Daily Papers: one allowance for all of the API."""
INTERVAL_S = 0.2

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9._-]{1,96}")
_ID = re.compile(r"[0-9a-f]{24}")
_FOLDERS = {"model": "models", "dataset": "datasets", "space": "spaces"}


def repo_host(host: str, base_url: str) -> RepoHost:
    """The hub at `base_url`, whose pages are on `host`."""

    def address(asked: AskedRepo) -> str | None:
        folder = _FOLDERS.get(asked.kind)
        return f"{base_url}/api/{folder}/{asked.slug}" if folder and _SLUG.fullmatch(asked.slug) else None

    def parse(body: bytes, asked: AskedRepo) -> RepoData:
        return parse_hub_repo(body, kind=asked.kind, host=host)

    return RepoHost(
        name="Hugging Face", gate=GATE, interval_s=INTERVAL_S, address=address, parse=parse, missing=GONE | {401}
    )


def parse_hub_repo(body: bytes, *, kind: str, host: str = HUB) -> RepoData:
    """A model's, data set's or space's record. Raises `MalformedDocument` when it is none."""
    raw = read_json(body, who="Hugging Face")
    own_id, slug, likes = raw.get("_id"), raw.get("id"), as_count(raw.get("likes"))
    if not isinstance(own_id, str) or not _ID.fullmatch(own_id) or likes is None:
        raise MalformedDocument(f"Hugging Face's answer is no {kind}: id or likes are missing")
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        raise MalformedDocument(f"Hugging Face's answer is no {kind}: its name is not owner/name")
    return RepoData(
        host=host,
        host_id=own_id,
        kind=kind,
        slug=slug,
        description=_description(raw),
        stars=likes,
        downloads=as_count(raw.get("downloads")) if kind != "space" else None,
        gated=raw.get("gated") in (True, "auto", "manual"),
        license=_license(raw),
        topics=_topics(raw),
        created_at=as_time(raw.get("createdAt")),
        pushed_at=as_time(raw.get("lastModified")),
        archived=raw.get("disabled") is True,
        mentions=_mentions(raw),
    )


def _mentions(raw: dict[str, Any]) -> tuple[str, ...]:
    """The papers its card names: the hub makes a tag of each, `arxiv:2601.01234`."""
    tags = [tag for tag in as_list(raw.get("tags"))[:500] if isinstance(tag, str)]
    named = (parse_arxiv(tag) for tag in tags if tag.startswith("arxiv:"))
    return tuple(dict.fromkeys(f"arxiv:{one.base}" for one in named if one))


def _description(raw: dict[str, Any]) -> str | None:
    for said in (inside(raw, "cardData", "short_description"), inside(raw, "cardData", "pretty_name")):
        if text := as_text(said, 300):
            return text
    return None


def _license(raw: dict[str, Any]) -> str | None:
    """Its card's licence, else the one among its tags; several make an expression."""
    said = inside(raw, "cardData", "license")
    names = [as_text(one, 60) for one in (said if isinstance(said, list) else [said])]
    named = [name for name in names if name and name != "unknown"]
    if named == ["other"]:  # their own words: the name of a licence that has no short one
        named = [as_text(inside(raw, "cardData", "license_name"), 60) or "other"]
    if not named:
        tags = [tag for tag in as_list(raw.get("tags"))[:500] if isinstance(tag, str)]
        named = [tag.removeprefix("license:")[:60] for tag in tags if tag.startswith("license:")]
    return " OR ".join(named[:3]) or None


def _topics(raw: dict[str, Any]) -> tuple[str, ...]:
    """What it does, what it is made with, and tags that are plain words."""
    said = [raw.get("pipeline_tag"), raw.get("library_name"), raw.get("sdk"), *as_list(raw.get("tags"))[:100]]
    words = (as_text(one, 60) for one in said)
    return tuple(dict.fromkeys(word for word in words if word and ":" not in word))[:20]
