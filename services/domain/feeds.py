"""Feeds: what is polled, and how a poll is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from services.domain.batches import Page, add_up, judge


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


def batch_is_closed(day: date, pages: Sequence[tuple[str, datetime, str | None]], *, settles_days: int = 0) -> bool:
    """Whether a day's batch needs no more asking: its last page was read after the day had settled (UTC).

    `pages` are the ledger's rows of that batch: (state, fetched at, next cursor). A page read while the day
    was still running may have grown since, and some sources add to a day for `settles_days` more.
    """
    settled = day + timedelta(days=settles_days)
    return any(
        state == "parsed" and next_cursor is None and fetched_at.date() > settled
        for state, fetched_at, next_cursor in pages
    )


def batch_state(
    pages: Sequence[tuple[str, int | None, int, int, str | None, str]],
) -> str:
    """What one batch came to, from its ledger rows, oldest first: `complete`, `partial`, `quiet`, `failed`, `late`.

    A row is (state, announced, seen, rejected, next cursor, cursor); of several tries at one page the newest
    counts. `late`: nothing has arrived yet. `partial`: a page is missing, or the source announced more than we
    saw. Entries refused with a reason are accounted for.
    """
    if not pages:
        return "late"
    figures = add_up(
        [
            Page(state=state, announced=announced, seen=seen, rejected=rejected, next_cursor=following, cursor=cursor)
            for state, announced, seen, rejected, following, cursor in pages
        ]
    )
    return judge(figures, expected_quiet=True, overdue=False)[0]
