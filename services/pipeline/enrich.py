"""Enrich: repositories of papers are read at their hosts, in batches, and read again as time goes by.

Which host is read how is in `repo_readers` and `services.upstreams.repo_hosts`; when it is read again, in
`services.domain.repos.next_check`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from services.domain.events import RepoState, release_event, releases_since, repo_events, stars_jumped
from services.domain.jobs import Claim
from services.domain.repos import AskedRepo, ReleaseData, RepoAnswer, RepoData, next_check
from services.pipeline.releases import Listed, read_readmes, read_releases
from services.pipeline.repo_readers import reader_of
from services.pipeline.split import split
from services.runtime import Runtime
from services.storage import events, paper_links, repos
from services.storage.repos import Found
from services.storage.tables import Repo
from services.upstreams.repo_hosts import GITHUB

log = structlog.get_logger(__name__)

GONE = ("missing", "blocked")
READ = ("found", "not_modified")

STARS_SINCE = timedelta(days=60)
"""How far back a jump of stars is looked for."""
NEEDED = timedelta(seconds=75)
"""What must be left of the lease to ask for one more (half of it, for short leases)."""


def enrich_repos(rt: Runtime, claim: Claim) -> None:
    """Read the repositories of payload `repo_ids` (all of one host) that are still due."""
    with rt.reading() as session:
        due = [r for r in repos.list_by_ids(session, claim.payload["repo_ids"]) if r.next_check_at <= rt.now()]
        rows = [r for r in due if r.host == due[0].host]
        seen_at = repos.youngest_paper_at(session, [r.id for r in rows if r.id is not None])
        claimed = paper_links.claimed_repos(session, {r.id for r in rows if r.id is not None})
    reader = reader_of(rt, rows[0].host) if rows else None
    if reader is None:
        with rt.step(claim):
            log.info("repos.none", job=claim.job_id)
        return

    def may_go_on() -> bool:
        return claim.lease_until - rt.now() >= min(NEEDED, rt.lease() / 2)

    rt.checkpoint("enrich_repos.asking")
    asked = [AskedRepo(slug=r.slug, kind=r.kind, host_id=r.host_id, etag=r.etag, readme=r.id in claimed) for r in rows]
    result = reader.ask(asked, may_go_on)
    answers = list(zip(rows, result.answers, strict=True))
    listed: dict[int, Listed] = {}
    named: dict[int, tuple[str, ...]] = {}
    if reader.releases is not None:
        there = [row for row, answer in answers if _state(row, answer) in READ]
        listed = read_releases(rt, reader.releases, there, may_go_on)
    if rows[0].host == GITHUB and not rt.settings.github_token.get_secret_value():
        unvouched = [row for row, answer in answers if row.id in claimed and _was_pushed(row, answer)]
        named = read_readmes(rt, unvouched, may_go_on)
    rt.checkpoint("enrich_repos.answered")
    counted: dict[str, int] = {}
    with rt.step(claim) as step:
        session, now = step.session, step.now
        found: list[tuple[Repo, Found]] = []
        for row, answer in answers:
            assert row.id is not None
            age = now - seen_at[row.id] if row.id in seen_at else None
            state = _state(row, answer)
            counted[state] = counted.get(state, 0) + 1
            misses = row.misses + 1 if row.state == state else 1
            again = next_check(state, now=now, age_of_paper=age, stars=row.stars, failures=misses)
            if state == "found" and answer.repo is not None:
                one = Found(repo_id=row.id, data=answer.repo, etag=answer.etag, next_check_at=again)
                found.append((row, one))
            elif state == "not_modified":
                repos.record_unchanged(session, row, now=now, next_check_at=again)
                _tell_releases(session, row.id, row, None, listed.get(row.id), now=now)
            else:
                if state == "failed" and result.retry_after is not None:
                    again = now + result.retry_after + timedelta(seconds=rt.jitter() * 60)
                repos.record_miss(
                    session, row.id, state=state if state in GONE else None, error=answer.error, now=now,
                    next_check_at=again,
                )  # fmt: skip
        kept = repos.record_found(session, [one for _, one in found], now=now)
        mentions = {kept[one.repo_id]: one.data.mentions or named.get(one.repo_id, ()) for _, one in found}
        paper_links.vouch(session, mentions, now=now)
        for row, one in found:
            _tell(session, kept[one.repo_id], _state_of(row), one.data, now=now)
            _tell_releases(session, kept[one.repo_id], row, one.data, listed.get(one.repo_id), now=now)
    log.info("repos.read", host=rows[0].host, asked=len(rows), **counted)


def _was_pushed(row: Repo, answer: RepoAnswer) -> bool:
    """Whether there is something in it that we have not seen."""
    data = answer.repo if _state(row, answer) == "found" else None
    return data is not None and data.pushed_at is not None and data.pushed_at != row.pushed_at


def _state_of(row: Repo) -> RepoState:
    return RepoState(slug=row.slug, state=row.state, stars=row.stars, license=row.license, archived=row.archived)


def _tell(session: Session, repo_id: int, before: RepoState, repo: RepoData, *, now: datetime) -> None:
    """Record what has become of a repository with the papers whose it is."""
    if before.state in GONE:
        events.record_code_appeared(session, repo_id, now=now)
    after = RepoState(slug=repo.slug, state="found", stars=repo.stars, license=repo.license, archived=repo.archived)
    happened = list(repo_events(before, after))
    if repo.kind == "code" and before.state == "found" and repo.stars != before.stars:
        stars = repos.readings(session, [repo_id], since=now - STARS_SINCE).get(repo_id, [])
        jumped = stars_jumped(repo.slug, stars, now)
        happened += [jumped] if jumped else []
    events.record_of_repo(session, repo_id, happened, now=now)


def _tell_releases(
    session: Session, repo_id: int, row: Repo, repo: RepoData | None, feed: Listed | None, *, now: datetime
) -> None:
    """Record the releases since the last look, and keep the newest; those of the first look are no news."""
    listed: Sequence[ReleaseData] = feed.releases if feed else ()
    if not listed and repo is not None and repo.release is not None:
        listed = (repo.release,)
    looked_at = row.checked_at if row.state == "found" else None
    fresh = releases_since(listed, tag=row.release, at=row.released_at or looked_at)
    slug = repo.slug if repo else row.slug
    if looked_at is not None:
        events.record_of_repo(session, repo_id, [release_event(slug, one) for one in fresh], now=now)
    newest = listed[0] if listed and (fresh or row.release is None) else None
    repos.record_release(session, repo_id, newest, etag=feed.etag if feed else None)


def _state(row: Repo, answer: RepoAnswer) -> str:
    """What an answer means for the repository asked for: one that bears its old name but another id is not it."""
    if answer.repo is not None and row.host_id is not None and answer.repo.host_id != row.host_id:
        return "missing"
    return answer.state


def enrich_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """Repositories whose job is given up are due again tomorrow, so that none is forgotten."""
    if not final or split(session, claim, error, "repo_ids", now=rt.now()):
        return
    for repo_id in claim.payload["repo_ids"]:
        repos.record_miss(
            session, repo_id, state=None, error=str(error)[:500], now=rt.now(),
            next_check_at=rt.now() + timedelta(days=1),
        )  # fmt: skip
