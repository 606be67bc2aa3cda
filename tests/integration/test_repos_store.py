"""Repositories: one row each, by the host's id and by every name it has had."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from services.domain.repos import RepoData
from services.runtime import Runtime
from services.storage import repos
from services.storage.tables import Link, Reading, Repo, RepoName
from tests.factories import add_feed, all_rows, code, entry, store
from tests.fakes import Clock


def facts(slug: str, host_id: str = "7", **values: Any) -> RepoData:
    return RepoData(**{"host": "github.com", "host_id": host_id, "slug": slug, "stars": 10, "forks": 2, **values})


def found(rt: Runtime, repo_id: int, data: RepoData) -> int:
    with rt.writing() as session:
        again = rt.now() + timedelta(hours=6)
        one = repos.Found(repo_id=repo_id, data=data, etag='"1"', next_check_at=again)
        return repos.record_found(session, [one], now=rt.now())[repo_id]


def with_links(rt: Runtime, *slugs: str) -> dict[str, int]:
    """Papers 1, 2, … each with a link to one of the slugs; returns slug → row id."""
    feed = add_feed(rt, "hf")
    store(rt, [entry(n, links=(code(slug),)) for n, slug in enumerate(slugs, 1)], feed=feed)
    return {r.slug: r.id for r in all_rows(rt, Repo)}


def test_names_are_compared_without_case(rt: Runtime) -> None:
    assert len(with_links(rt, "Quill/Lanterns", "quill/lanterns", "QUILL/lanterns")) == 1
    assert {n.slug_key for n in all_rows(rt, RepoName)} == {"quill/lanterns"}


def test_a_new_repository_is_due_at_once(rt: Runtime) -> None:
    ids = with_links(rt, "quill/lanterns")
    with rt.reading() as session:
        assert repos.list_due(session, now=rt.now()) == list(ids.values())


def test_what_was_found_is_kept_with_a_reading(rt: Runtime) -> None:
    (repo_id,) = with_links(rt, "quill/lanterns").values()
    assert found(rt, repo_id, facts("Quill/Lanterns", license="MIT", topics=("tides",), archived=True)) == repo_id
    (repo,) = all_rows(rt, Repo)
    assert (repo.slug, repo.host_id, repo.state, repo.license, repo.topics, repo.archived) == (
        "Quill/Lanterns", "7", "found", "MIT", ["tides"], True
    )  # fmt: skip
    assert (repo.etag, repo.checked_at, repo.next_check_at) == ('"1"', rt.now(), rt.now() + timedelta(hours=6))
    assert [(r.stars, r.forks) for r in all_rows(rt, Reading)] == [(10, 2)]


def test_a_renamed_repository_keeps_its_row_and_is_found_by_both_names(rt: Runtime) -> None:
    (repo_id,) = with_links(rt, "quill/lanterns").values()
    found(rt, repo_id, facts("shore-lab/lanterns"))
    assert {n.slug_key: n.repo_id for n in all_rows(rt, RepoName)} == {
        "quill/lanterns": repo_id, "shore-lab/lanterns": repo_id
    }  # fmt: skip
    with rt.writing() as session:
        by_url, new = repos.ensure(session, [code("Shore-Lab/Lanterns")], now=rt.now())
    assert (list(by_url.values()), new) == ([repo_id], [])


def test_two_names_of_one_repository_become_one_row_with_all_links(rt: Runtime) -> None:
    ids = with_links(rt, "quill/lanterns", "shore-lab/lanterns")
    old, new = ids["quill/lanterns"], ids["shore-lab/lanterns"]
    found(rt, new, facts("shore-lab/lanterns"))
    assert found(rt, old, facts("shore-lab/lanterns")) == new
    assert [r.id for r in all_rows(rt, Repo)] == [new]
    assert {x.repo_id for x in all_rows(rt, Link)} == {new}
    assert {n.repo_id for n in all_rows(rt, RepoName)} == {new}
    assert {r.repo_id for r in all_rows(rt, Reading)} == {new}


def test_a_304_keeps_the_facts_and_adds_a_reading(rt: Runtime, clock: Clock) -> None:
    (repo_id,) = with_links(rt, "quill/lanterns").values()
    found(rt, repo_id, facts("quill/lanterns"))
    clock.advance(hours=6)
    with rt.writing() as session:
        (row,) = repos.list_by_ids(session, [repo_id])
        repos.record_unchanged(session, row, now=rt.now(), next_check_at=rt.now() + timedelta(hours=12))
    (repo,) = all_rows(rt, Repo)
    assert (repo.stars, repo.checked_at) == (10, rt.now())
    assert [r.stars for r in all_rows(rt, Reading)] == [10, 10]


def test_misses_of_a_kind_are_counted_and_what_was_known_stands(rt: Runtime) -> None:
    (repo_id,) = with_links(rt, "quill/lanterns").values()
    found(rt, repo_id, facts("quill/lanterns"))
    for state in ("missing", None, "missing"):  # None: it could not be read, which says nothing
        with rt.writing() as session:
            again = rt.now() + timedelta(days=1)
            repos.record_miss(session, repo_id, state=state, error="404", now=rt.now(), next_check_at=again)
    (repo,) = all_rows(rt, Repo)
    assert (repo.state, repo.misses, repo.stars, repo.error) == ("missing", 2, 10, "404")
    found(rt, repo_id, facts("quill/lanterns"))
    (repo,) = all_rows(rt, Repo)
    assert (repo.state, repo.misses, repo.error) == ("found", 0, None)


def test_other_hosts_are_kept_but_not_read_at_github(rt: Runtime) -> None:
    from services.domain.links import LinkData

    there = LinkData(url="https://gitlab.com/quill/lanterns", kind="code", slug="quill/lanterns", evidence="hf")
    store(rt, [entry(1, links=(there, code("quill/lanterns")))], feed=add_feed(rt, "hf"))
    assert {r.host for r in all_rows(rt, Repo)} == {"gitlab.com", "github.com"}
    with rt.reading() as session:
        assert len(repos.list_due(session, now=rt.now())) == 1


def test_the_age_of_a_repository_is_that_of_its_youngest_paper(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, links=(code("quill/lanterns"),))], feed=feed)
    clock.advance(days=40)
    store(rt, [entry(2, links=(code("quill/lanterns"),))], feed=feed)
    (repo,) = all_rows(rt, Repo)
    with rt.reading() as session:
        assert repos.youngest_paper_at(session, [repo.id]) == {repo.id: rt.now()}


def test_pages_that_name_a_repository_at_once_share_its_row(rt: Runtime) -> None:
    begin = threading.Barrier(6)
    results: list[Any] = []

    def name_it() -> None:
        begin.wait()
        try:
            with rt.writing() as session:
                results.append(repos.ensure(session, [code("quill/lanterns")], now=rt.now()))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=name_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r for r in results if isinstance(r, Exception)] == []
    (repo,) = all_rows(rt, Repo)
    assert {next(iter(by_url.values())) for by_url, _ in results} == {repo.id}
    assert sum(len(new) for _, new in results) == 1
