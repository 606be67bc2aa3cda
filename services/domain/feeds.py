"""Feeds: what is polled, and how a poll is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedInfo:
    """A feed as an upstream module needs to know it.

    `kind` names the upstream module (`hf_papers`, `arxiv_api`, `arxiv_rss`, `arxiv_oai`, `rss`, `listing`);
    `url` is the address (`rss`) or empty; `params` are the kind's own settings (`query`, `category`, …).
    """

    name: str
    kind: str
    url: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamUrls:
    """Where each upstream lives; a mirror or a test can stand in. No trailing slashes."""

    hf: str = "https://huggingface.co"
    arxiv_api: str = "https://export.arxiv.org/api"
    arxiv_rss: str = "https://rss.arxiv.org"
    arxiv_oai: str = "https://oaipmh.arxiv.org/oai"
    github_api: str = "https://api.github.com"
    github: str = "https://github.com"
    gitlab: str = "https://gitlab.com"
    codeberg: str = "https://codeberg.org"
    biorxiv: str = "https://api.biorxiv.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRequest:
    """One HTTP GET to make. `gate` is the name under which calls are spaced, `interval_s` by how much; `alone`
    where the host wants no two calls at once."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: str
    interval_s: float = 0.0
    alone: bool = False
    fresh: bool = False
    """Ask for the whole answer, whatever is held: the last one was not whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentInfo:
    """What is known about bytes to be parsed, beside the bytes.

    `batch` is the day (`2026-11-24`) for sources that list by day, else empty. `as_of` overrides the
    date a saved listing was taken.
    """

    feed: str
    kind: str
    url: str = ""
    content_type: str = ""
    fetched_at: datetime
    batch: str = ""
    cursor: str | None = None
    as_of: date | None = None
