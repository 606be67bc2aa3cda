"""Enrich: repositories of papers are read at their host, in batches, and read again as time goes by."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from services.domain.events import RepoState, repo_events, stars_jumped
from services.domain.jobs import Claim
from services.domain.repos import AskedRepo, RepoAnswer, RepoData, next_check
from services.runtime import Runtime
from services.storage import events, repos, service
from services.storage.tables import Repo
from services.upstreams.github import GitHub

log = structlog.get_logger(__name__)

HOST = "github.com"
GATE = "api.github.com"
GONE = ("missing", "blocked")

STARS_SINCE = timedelta(days=60)
"""How far back a jump of stars is looked for."""


def enrich_repos(rt: Runtime, claim: Claim) -> None:
    """Read up to 50 repositories: payload `repo_ids`."""
    with rt.reading() as session:
        rows = [r for r in repos.list_by_ids(session, claim.payload["repo_ids"]) if r.host == HOST]
        seen_at = repos.youngest_paper_at(session, [r.id for r in rows if r.id is not None])
    if not rows:
        with rt.step(claim):
            log.info("repos.none", job=claim.job_id)
        return
    github = GitHub(
        rt.http, api_url=rt.settings.github_api_url, token=rt.settings.github_token.get_secret_value() or None
    )
    rt.checkpoint("enrich_repos.asking")
    with rt.gate(GATE):
        result = github.get_repos([AskedRepo(slug=r.slug, host_id=r.host_id, etag=r.etag) for r in rows])
    rt.checkpoint("enrich_repos.answered")
    by_slug = {answer.asked_slug: answer for answer in result.answers}
    counted: dict[str, int] = {}
    with rt.step(claim) as step:
        for row in rows:
            assert row.id is not None
            answer = by_slug[row.slug]
            age = step.now - seen_at[row.id] if row.id in seen_at else None
            state = _state(row.host_id, answer)
            counted[state] = counted.get(state, 0) + 1
            misses = row.misses + 1 if row.state == state else 1
            again = next_check(state, now=step.now, age_of_paper=age, stars=row.stars, failures=misses)
            if state == "found" and answer.repo is not None:
                before = _state_of(row)
                repo_id = repos.record_found(
                    step.session, row.id, answer.repo, etag=answer.etag, now=step.now, next_check_at=again
                )
                _tell(step.session, repo_id, before, answer.repo, now=step.now)
            elif state == "not_modified":
                repos.record_unchanged(step.session, row, now=step.now, next_check_at=again)
            else:
                if state == "failed" and result.retry_after is not None:
                    again = step.now + result.retry_after + timedelta(seconds=rt.jitter() * 60)
                repos.record_miss(
                    step.session, row.id, state=state if state in GONE else None, error=answer.error, now=step.now,
                    next_check_at=again,
                )  # fmt: skip
        if result.quota is not None:
            service.record_quota(
                step.session, GATE, limit=result.quota.limit, remaining=result.quota.remaining,
                reset_at=result.quota.reset_at, now=step.now,
            )  # fmt: skip
    if result.retry_after is not None:
        rt.close_gate(GATE, result.retry_after)
    log.info("repos.read", asked=len(rows), **counted)


def _state_of(row: Repo) -> RepoState:
    return RepoState(slug=row.slug, state=row.state, stars=row.stars, license=row.license, archived=row.archived)


def _tell(session: Session, repo_id: int, before: RepoState, repo: RepoData, *, now: datetime) -> None:
    """Record what has become of a repository with the papers whose code it is."""
    if before.state in GONE:
        events.record_code_appeared(session, repo_id, now=now)
    after = RepoState(slug=repo.slug, state="found", stars=repo.stars, license=repo.license, archived=repo.archived)
    happened = list(repo_events(before, after))
    if before.state == "found" and repo.stars != before.stars:
        stars = repos.readings(session, [repo_id], since=now - STARS_SINCE).get(repo_id, [])
        jumped = stars_jumped(repo.slug, stars, now)
        happened += [jumped] if jumped else []
    events.record_of_repo(session, repo_id, happened, now=now)


def _state(host_id: str | None, answer: RepoAnswer) -> str:
    """What an answer means for the repository asked for: one that bears its old name but another id is not it."""
    if answer.repo is not None and host_id is not None and answer.repo.host_id != host_id:
        return "missing"
    return answer.state


def enrich_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """Repositories whose job is given up are due again tomorrow, so that none is forgotten."""
    if not final:
        return
    for repo_id in claim.payload["repo_ids"]:
        repos.record_miss(
            session, repo_id, state=None, error=str(error)[:500], now=rt.now(),
            next_check_at=rt.now() + timedelta(days=1),
        )  # fmt: skip
