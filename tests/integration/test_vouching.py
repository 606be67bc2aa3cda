"""What makes a repository official: its own README, or card, names the paper."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from services.domain.jobs import NewJob
from services.domain.links import standing
from services.domain.repos import AskedRepo
from services.pipeline import drain
from services.runtime import Runtime
from services.storage import paper_links
from services.storage.tables import Event, Link, Repo
from services.upstreams.github import make_query
from services.upstreams.github_answers import parse_graphql
from services.upstreams.hf_hub import parse_hub_repo
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, arxiv, code, entry, store
from tests.fakes import Clock
from tests.unit.upstreams.test_http import Loopback, reply
from tests.unit.upstreams.test_http import server as server

OURS = str(arxiv(1))


def claimed(rt: Runtime, evidence: str = "hf_auto") -> int:
    """A paper whose code only a third party tells of; returns the repository's row."""
    feed = add_feed(rt, "hf")
    page = [entry(1, links=(code("quill/lanterns", evidence),)), entry(2, title="Brass weather over harbours")]
    store(rt, page, feed=feed)
    (link,) = all_rows(rt, Link)
    assert link.repo_id is not None
    return int(link.repo_id)


def vouch(rt: Runtime, repo_id: int, *mentions: str) -> int:
    with rt.writing() as session:
        return paper_links.vouch(session, {repo_id: mentions}, now=rt.now())


def test_a_readme_that_names_the_paper_makes_a_claim_official(rt: Runtime) -> None:
    repo_id = claimed(rt)
    with rt.reading() as session:
        assert paper_links.claimed_repos(session, {repo_id}) == {repo_id}
    assert vouch(rt, repo_id, "doi:10.1234/x", OURS) == 1
    (link,) = all_rows(rt, Link)
    assert (link.evidence, standing(link.evidence)) == ("readme", "official")
    with rt.reading() as session:
        assert paper_links.claimed_repos(session, {repo_id}) == set()
    assert all_rows(rt, Event) == []  # the paper's first day
    assert vouch(rt, repo_id, OURS) == 0


def test_what_the_claim_says_again_does_not_undo_it(rt: Runtime) -> None:
    repo_id = claimed(rt)
    vouch(rt, repo_id, OURS)
    store(rt, [entry(1, upvotes=7, links=(code("quill/lanterns", "hf_auto"),))], feed=add_feed(rt, "again"))
    assert [link.evidence for link in all_rows(rt, Link)] == ["readme"]


def test_a_readme_that_names_other_papers_vouches_for_nothing(rt: Runtime) -> None:
    repo_id = claimed(rt)
    assert vouch(rt, repo_id, str(arxiv(2)), "doi:10.1234/x") == 0
    assert vouch(rt, repo_id) == 0
    assert [link.evidence for link in all_rows(rt, Link)] == ["hf_auto"]


def test_better_evidence_stays_as_it_is(rt: Runtime) -> None:
    repo_id = claimed(rt, "abstract")
    assert vouch(rt, repo_id, OURS) == 0
    assert [link.evidence for link in all_rows(rt, Link)] == ["abstract"]


def test_code_that_is_vouched_for_later_is_told_once(rt: Runtime, clock: Clock) -> None:
    repo_id = claimed(rt)
    clock.advance(days=3)
    assert vouch(rt, repo_id, OURS) == 1
    assert [event.kind for event in all_rows(rt, Event)] == ["code_appeared"]


# -- where the mentions come from ------------------------------------------------------------------------------------


def test_a_readme_is_asked_for_where_it_could_tell_something() -> None:
    query = str(make_query([AskedRepo(slug="a/b"), AskedRepo(slug="c/d", readme=True)])["query"])
    assert "r0: repository(owner: $o0, name: $n0) { ...F }" in query
    assert "r1: repository(owner: $o1, name: $n1) { ...F ...R }" in query
    assert query.count("HEAD:README.md") == 1
    assert "README" not in str(make_query([AskedRepo(slug="a/b")])["query"])


@pytest.mark.parametrize(
    ("readme", "named"),
    [
        ({"text": "# Ours\n[paper](https://arxiv.org/abs/2611.90001v2)"}, ("arxiv:2611.90001",)),
        ({"text": "eprint={2611.90001}, doi={10.1145/1.2}"}, ("arxiv:2611.90001", "doi:10.1145/1.2")),
        ({"text": "version 2611.90001"}, ()),
        ({"text": None}, ()),
        ({}, ()),
        (None, ()),
        ("text", ()),
    ],
)
def test_the_papers_a_readme_names_are_read(readme: object, named: tuple[str, ...]) -> None:
    raw = {"databaseId": 7, "nameWithOwner": "a/b", "stargazerCount": 1, "url": "https://github.com/a/b"}
    assert parse_graphql({**raw, "readme": readme}).mentions == named


def test_the_papers_a_card_names_are_among_its_tags() -> None:
    body = (
        b'{"_id": "0123456789abcdef01234567", "id": "us/ours", "likes": 3,'
        b' "tags": ["arxiv:2611.90001", "arxiv:nonsense", "license:mit", 7, "arxiv:2611.90001"]}'
    )
    assert parse_hub_repo(body, kind="model").mentions == ("arxiv:2611.90001",)


# -- without a token ---------------------------------------------------------------------------------------------


def test_without_a_token_the_readme_is_read_at_its_public_address(make_runtime: MakeRuntime, server: Loopback) -> None:
    rt = make_runtime(github_url=server.url, github_api_url=server.url)
    repo_id = claimed(rt)
    facts = {"id": 77, "full_name": "quill/lanterns", "stargazers_count": 3, "forks_count": 0, "private": False}
    pushed = [json.dumps({**facts, "pushed_at": f"2026-11-{day}T10:00:00Z"}).encode() for day in (20, 20, 23)]
    server.answers("/repos/quill/lanterns", *(reply(200, body) for body in pushed))
    server.answers("/quill/lanterns/releases.atom", reply(404))
    readme = "/quill/lanterns/raw/HEAD/README.md"
    server.answers(readme, reply(404), reply(200, b"# Ours\nhttps://arxiv.org/abs/2611.90001"))
    counts = []
    for turn in range(3):
        with rt.writing() as session:
            session.execute(sa.update(Repo).values(next_check_at=rt.now()))
        rt.add_jobs([NewJob(kind="enrich_repos", key=f"look {turn}", payload={"repo_ids": [repo_id]})])
        assert drain.run_until_idle(rt, stages=["enrich"], ticking=False) == {"done": 1}
        counts.append(sum(seen.path == readme for seen in server.requests))
    assert counts == [1, 1, 2], "it is read again after a push, and only then"
    assert [link.evidence for link in all_rows(rt, Link)] == ["readme"]


def test_what_a_paper_only_used_is_not_looked_after(rt: Runtime) -> None:
    """Until somebody who knows says that it is the paper's own."""
    text = "We build on X (https://github.com/them/x). Code: https://github.com/quill/lanterns"
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, abstract=text)], feed=feed)
    used, own = sorted(all_rows(rt, Link), key=lambda link: link.evidence, reverse=True)
    assert (used.slug, standing(used.evidence), used.repo_id) == ("them/x", "unrelated", None)
    assert (own.slug, standing(own.evidence)) == ("quill/lanterns", "official")
    assert [repo.slug for repo in all_rows(rt, Repo)] == ["quill/lanterns"]
    store(rt, [entry(1, abstract=text, upvotes=7, links=(code("them/x", "hf"),))], feed=feed)
    assert {link.slug: standing(link.evidence) for link in all_rows(rt, Link)}["them/x"] == "official"
    assert sorted(repo.slug for repo in all_rows(rt, Repo)) == ["quill/lanterns", "them/x"]
