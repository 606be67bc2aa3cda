"""Enriching: repositories read at their host, whatever has become of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from services.domain.jobs import NewJob
from services.pipeline import drain, schedule
from services.pipeline.recheck import papers_to_recheck
from services.runtime import Runtime
from services.storage.tables import Feed, Gate, Job, Link, Paper, Quota, Reading, Repo, RepoName
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, code, entry, store
from tests.fakes import Clock
from workers.demo.replay import Replay


@pytest.fixture(params=["with a token", "without a token"])
def rt(request: pytest.FixtureRequest, make_runtime: MakeRuntime, replay: Replay) -> Runtime:
    return make_runtime(replay=replay, github_token="token" if request.param == "with a token" else "")


@pytest.fixture
def plain(make_runtime: MakeRuntime, replay: Replay) -> Runtime:
    """Without a token: one conditional REST request a repository."""
    return make_runtime(replay=replay)


def with_repos(rt: Runtime, *slugs: str) -> dict[str, int]:
    store(rt, [entry(n, links=(code(slug),)) for n, slug in enumerate(slugs, 1)], feed=add_feed(rt, "hf"))
    return {r.slug: r.id for r in all_rows(rt, Repo)}


def read(rt: Runtime, *repo_ids: int, key: str = "test") -> dict[str, int]:
    rt.add_jobs([NewJob(kind="enrich_repos", key=key, payload={"repo_ids": list(repo_ids)})])
    return drain.run_until_idle(rt, stages=["enrich"], ticking=False)


def repo_of(rt: Runtime, repo_id: int) -> Repo:
    (row,) = all_rows(rt, Repo, id=repo_id)
    assert isinstance(row, Repo)
    return row


def test_a_repository_is_read_with_all_its_facts(rt: Runtime, replay: Replay) -> None:
    told = next(r for r in replay.content.repos if not r.archived and r.license and r.topics)
    (repo_id,) = with_repos(rt, told.slug).values()
    assert read(rt, repo_id) == {"done": 1}
    repo = repo_of(rt, repo_id)
    assert (repo.state, repo.slug, repo.host_id) == ("found", told.slug, str(told.id))
    assert (repo.stars, repo.forks, repo.language) == (told.stars, told.forks, told.language)
    assert repo.topics == list(told.topics)
    assert (repo.pushed_at, repo.archived, repo.checked_at) == (told.pushed_at, False, rt.now())
    assert repo.next_check_at == rt.now() + timedelta(hours=6)  # its paper is of today
    assert [(r.stars, r.read_at) for r in all_rows(rt, Reading)] == [(told.stars, rt.now())]
    (quota,) = all_rows(rt, Quota)
    assert quota.name.partition(" token ")[0] == "api.github.com"
    assert quota.reserved == 0


def test_an_archived_repository_is_known_as_such(rt: Runtime, replay: Replay) -> None:
    told = next(r for r in replay.content.repos if r.archived)
    (repo_id,) = with_repos(rt, told.slug).values()
    read(rt, repo_id)
    assert repo_of(rt, repo_id).archived


def test_a_renamed_repository_gets_its_present_name_and_keeps_its_old_one(rt: Runtime, replay: Replay) -> None:
    told = next(r for r in replay.content.repos if r.former)
    (repo_id,) = with_repos(rt, told.former[0]).values()
    read(rt, repo_id)
    assert (repo_of(rt, repo_id).slug, repo_of(rt, repo_id).state) == (told.slug, "found")
    assert {n.slug_key for n in all_rows(rt, RepoName)} == {told.slug.lower(), told.former[0].lower()}


def test_old_and_new_name_in_one_batch_become_one_repository(rt: Runtime, replay: Replay) -> None:
    told = next(r for r in replay.content.repos if r.former)
    ids = with_repos(rt, told.former[0], told.slug)
    assert read(rt, *ids.values()) == {"done": 1}
    (repo,) = all_rows(rt, Repo)
    assert {x.repo_id for x in all_rows(rt, Link)} == {repo.id}
    assert len(all_rows(rt, Reading)) == 1


def test_a_repository_that_is_not_there_is_looked_at_again_ever_later(rt: Runtime, clock: Clock) -> None:
    (repo_id,) = with_repos(rt, "quill/not-yet-published").values()
    waits = []
    for n in range(3):
        read(rt, repo_id, key=f"try {n}")
        repo = repo_of(rt, repo_id)
        assert (repo.state, repo.misses) == ("missing", n + 1)
        waits.append(repo.next_check_at - rt.now())
        clock.advance(to=repo.next_check_at)
    assert waits == sorted(waits)
    assert waits[0] == timedelta(hours=6)


def test_one_that_is_missing_does_not_hide_the_others(rt: Runtime, replay: Replay) -> None:
    told = [r.slug for r in replay.content.repos[:4]]
    ids = with_repos(rt, *told[:2], "quill/nothing-here", *told[2:])
    read(rt, *ids.values())
    assert {s: repo_of(rt, i).state for s, i in ids.items()} == {
        **dict.fromkeys(told, "found"), "quill/nothing-here": "missing"
    }  # fmt: skip


def test_a_name_that_was_registered_anew_is_not_the_repository_we_knew(
    rt: Runtime, replay: Replay, clock: Clock
) -> None:
    told = next(r for r in replay.content.repos if not r.former)
    (repo_id,) = with_repos(rt, told.slug).values()
    read(rt, repo_id)
    replay.update_repo(told.slug, id=told.id + 1, stars=999_999)
    clock.advance(hours=6)
    read(rt, repo_id, key="again")
    repo = repo_of(rt, repo_id)
    assert (repo.state, repo.host_id, repo.stars) == ("missing", str(told.id), told.stars)


def test_stars_are_read_again_and_their_history_kept(rt: Runtime, replay: Replay, clock: Clock) -> None:
    told = next(r for r in replay.content.repos if not r.former)
    (repo_id,) = with_repos(rt, told.slug).values()
    read(rt, repo_id)
    replay.update_repo(told.slug, stars=told.stars + 5)
    clock.advance(hours=6)
    read(rt, repo_id, key="again")
    assert [r.stars for r in all_rows(rt, Reading)] == [told.stars, told.stars + 5]


def test_an_unchanged_repository_is_answered_with_304_and_read_all_the_same(
    plain: Runtime, replay: Replay, clock: Clock
) -> None:
    told = next(r for r in replay.content.repos if not r.former)
    (repo_id,) = with_repos(plain, told.slug).values()
    read(plain, repo_id)
    clock.advance(hours=6)
    read(plain, repo_id, key="again")
    assert replay.conditional_hits("/github") == 1
    repo = repo_of(plain, repo_id)
    assert (repo.state, repo.stars, repo.checked_at) == ("found", told.stars, plain.now())
    assert [r.stars for r in all_rows(plain, Reading)] == [told.stars, told.stars]


def test_a_rate_limit_midway_keeps_what_was_read_and_asks_for_the_rest_later(
    make_runtime: MakeRuntime, clock: Clock
) -> None:
    with Replay(today=clock.today, first_call_faults=False, anonymous_limit=2) as replay:
        rt = make_runtime(replay=replay)
        slugs = [r.slug for r in replay.content.repos if not r.former][:4]
        ids = list(with_repos(rt, *slugs).values())
        assert read(rt, *ids) == {"done": 1}
        states = [repo_of(rt, i).state for i in ids]
        assert sorted(states) == ["found", "found", "new", "new"]
        for repo_id, state in zip(ids, states, strict=True):
            repo = repo_of(rt, repo_id)
            if state == "new":
                assert "rate limited" in (repo.error or "")
                assert repo.misses == 0
                assert rt.now() < repo.next_check_at <= rt.now() + timedelta(hours=1, minutes=2)
        (gate,) = all_rows(rt, Gate)
        assert gate.free_at > rt.now()  # nobody calls before then
        asked = replay.count("/github/repos")
        assert read(rt, *ids, key="nothing is due") == {"done": 1}
        with rt.writing() as session:
            session.get_one(Repo, ids[3]).next_check_at = rt.now()
        assert read(rt, *ids, key="too early") == {"waited": 1}
        assert replay.count("/github/repos") == asked


def test_a_spent_quota_makes_the_job_wait_without_counting(make_runtime: MakeRuntime, clock: Clock) -> None:
    with Replay(today=clock.today, first_call_faults=False, anonymous_limit=0) as replay:
        rt = make_runtime(replay=replay)
        ids = with_repos(rt, replay.content.repos[0].slug)
        assert read(rt, *ids.values()) == {"waited": 1}
        (job,) = all_rows(rt, Job)
        assert (job.state, job.spared) == ("ready", 1)


def test_a_revoked_token_gives_the_job_up_and_no_repository_is_forgotten(
    make_runtime: MakeRuntime, replay: Replay
) -> None:
    rt = make_runtime(replay=replay, github_token="revoked")
    (repo_id,) = with_repos(rt, replay.content.repos[0].slug).values()
    assert read(rt, repo_id) == {"dead": 1}
    repo = repo_of(rt, repo_id)
    assert (repo.state, repo.next_check_at) == ("new", rt.now() + timedelta(days=1))
    assert "BROADSHEET_GITHUB_TOKEN" in (repo.error or "")


def test_github_down_is_tried_again(rt: Runtime, replay: Replay, clock: Clock) -> None:
    (repo_id,) = with_repos(rt, replay.content.repos[0].slug).values()
    replay.is_down("/github")
    assert read(rt, repo_id) == {"retry": 1}
    replay.is_up("/github")
    clock.advance(hours=1)
    assert drain.run_until_idle(rt, stages=["enrich"], ticking=False) == {"done": 1}
    assert repo_of(rt, repo_id).state == "found"


def test_the_schedule_reads_again_what_has_become_due(rt: Runtime, replay: Replay, clock: Clock) -> None:
    told = [r for r in replay.content.repos if not r.former][:3]
    ids = with_repos(rt, *(r.slug for r in told))
    read(rt, *ids.values())
    clock.advance(hours=7)
    schedule.tick(rt)
    (job,) = [j for j in all_rows(rt, Job, kind="enrich_repos") if j.state == "ready"]
    assert sorted(job.payload["repo_ids"]) == sorted(ids.values())
    schedule.tick(rt)
    assert len([j for j in all_rows(rt, Job, kind="enrich_repos") if j.state == "ready"]) == 1


def test_repositories_are_not_read_again_where_that_is_turned_off(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = make_runtime(replay=replay, repo_recheck=False)
    with_repos(rt, replay.content.repos[0].slug)
    clock.advance(hours=7)
    schedule.tick(rt)
    assert all_rows(rt, Job, kind="enrich_repos") == []


def test_repositories_of_hosts_nobody_knows_how_to_ask_are_left_alone(rt: Runtime, replay: Replay) -> None:
    (repo_id,) = with_repos(rt, "quill/lanterns").values()
    with rt.writing() as session:
        session.get_one(Repo, repo_id).host = "bitbucket.org"
    assert read(rt, repo_id) == {"done": 1}
    assert replay.requests == []
    schedule.tick(rt)
    assert [j for j in all_rows(rt, Job, kind="enrich_repos") if j.state == "ready"] == []


def test_repositories_may_rest_while_papers_are_looked_at_again(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = make_runtime(replay=replay, repo_recheck=False)
    with_repos(rt, replay.content.repos[0].slug)
    with rt.writing() as session:
        (paper,) = session.exec(select(Paper)).all()
        feed_id = session.exec(select(Feed.id)).one()
        papers_to_recheck(session, [paper.id or 0], feed_id=feed_id or 0, day=clock.today, now=rt.now())
    clock.advance(hours=7)
    schedule.tick(rt)
    assert [j.kind for j in all_rows(rt, Job) if j.stage == "enrich" and j.kind != "housekeeping"] == ["recheck_papers"]
