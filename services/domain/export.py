"""Export: a paper as scripts get it. Names in these shapes are a contract: extended freely, never renamed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.domain.identifiers import paper_url, pdf_url
from services.domain.links import LinkData, standing
from services.domain.organizations import organizations_of
from services.domain.papers import PaperFacts, RepoFacts
from services.domain.text import safe_url


def paper_json(paper: PaperFacts) -> dict[str, Any]:
    """One paper, JSON-able: times ISO 8601 in UTC, `None` where nothing is known."""
    return {
        "key": paper.key,
        "title": paper.title,
        "abstract": paper.abstract,
        "authors": [author.name for author in paper.authors],
        "authors_count": paper.authors_count if paper.authors_count is not None else (len(paper.authors) or None),
        "organization": paper.organization,
        "organizations": [one.name for one in organizations_of(paper)],
        "published_at": _time(paper.published_at),
        "updated_at": _time(paper.updated_at),
        "announced_on": paper.announced_on.isoformat() if paper.announced_on else None,
        "first_seen_at": _time(paper.first_seen_at),
        "version": paper.version,
        "comments_count": paper.comments_count,
        "upvotes": paper.upvotes,
        "citations": paper.citations,
        "categories": list(paper.categories),
        "identifiers": [str(identifier) for identifier in paper.identifiers],
        "links": [link_json(link) for link in paper.links if safe_url(link.url)],
        "repos": [repo_json(repo) for repo in paper.repos],
        "artifacts": [artifact_json(one) for one in paper.artifacts],
        "feeds": list(paper.feeds),
        "url": paper_url(paper.key) or None,
        "pdf_url": pdf_url(paper.key),
        "comment": paper.comment,
        "journal_ref": paper.journal_ref,
        "license": paper.license,
        "withdrawn": paper.withdrawn,
        "ai_summary": paper.ai_summary,
        "ai_keywords": list(paper.ai_keywords),
    }


def link_json(link: LinkData) -> dict[str, Any]:
    """One link; `slug` is `owner/name` for code, model, dataset and space, the name for an organization. `standing` is
    official, claimed or unrelated, by where it was seen (`links.standing`)."""
    return {
        "url": link.url, "kind": link.kind, "slug": link.slug, "evidence": link.evidence,
        "standing": standing(link.evidence),
    }  # fmt: skip


def repo_json(repo: RepoFacts) -> dict[str, Any]:
    """One repository with its counts; they are `None` until its host has been asked (`state` is `new`)."""
    return {
        "slug": repo.slug,
        "url": repo.url,
        "state": repo.state,
        "stars": repo.stars,
        "stars_gained_24h": repo.stars_gained_24h,
        "forks": repo.forks,
        "license": repo.license,
        "language": repo.language,
        "description": repo.description,
        "topics": list(repo.topics),
        "pushed_at": _time(repo.pushed_at),
        "release": repo.release,
        "released_at": _time(repo.released_at),
        "archived": repo.archived,
        "checked_at": _time(repo.checked_at),
        "evidence": repo.evidence,
        "standing": standing(repo.evidence),
    }


def artifact_json(one: RepoFacts) -> dict[str, Any]:
    """A model, data set or space on a hub; `downloads` are those of the last 30 days."""
    return {
        "kind": one.kind,
        "slug": one.slug,
        "url": one.url,
        "state": one.state,
        "likes": one.stars,
        "downloads": one.downloads,
        "gated": one.gated,
        "license": one.license,
        "tags": list(one.topics),
        "updated_at": _time(one.pushed_at),
        "checked_at": _time(one.checked_at),
        "evidence": one.evidence,
        "standing": standing(one.evidence),
    }


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at is not None else None
