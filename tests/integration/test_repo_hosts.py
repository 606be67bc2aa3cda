"""Repositories on GitLab and Codeberg, models, data sets and spaces on the hub: read, kept, shown, read again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from config.settings import Settings
from services.domain.export import paper_json
from services.domain.jobs import NewJob
from services.domain.links import LinkData
from services.domain.repos import REPO_KINDS
from services.pipeline import drain, schedule
from services.runtime import Runtime
from services.storage import archive
from services.storage.tables import Event, Gate, Job, Quota, Reading, Repo, RepoName
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, arxiv, entry, store
from tests.fakes import Clock
from tests.unit.upstreams.test_http import Loopback, reply
from tests.unit.upstreams.test_http import server as server
from workers.demo.replay import Replay

HOSTS = {"gitlab": "gitlab.com", "codeberg": "codeberg.org", "hub": "huggingface.co"}


@pytest.fixture
def rt(make_runtime: MakeRuntime, replay: Replay) -> Runtime:
    return make_runtime(replay=replay)


def link(host: str, slug: str, kind: str = "code", evidence: str = "hf") -> LinkData:
    folder = {"dataset": "datasets/", "space": "spaces/"}.get(kind, "")
    return LinkData(url=f"https://{host}/{folder}{slug}", kind=kind, slug=slug, evidence=evidence)


def with_links(rt: Runtime, *links: LinkData) -> dict[tuple[str, str], int]:
    """A paper for each link; (kind, slug) → row of its repository."""
    store(rt, [entry(n, links=(one,)) for n, one in enumerate(links, 1)], feed=add_feed(rt, "hf"))
    return {(r.kind, r.slug): r.id for r in all_rows(rt, Repo)}


def read(rt: Runtime, *ids: int, key: str = "first") -> dict[str, int]:
    rt.add_jobs([NewJob(kind="enrich_repos", key=f"{key} {ids}", payload={"repo_ids": list(ids)})])
    return drain.run_until_idle(rt, stages=["enrich"], ticking=False)


def repo_of(rt: Runtime, repo_id: int) -> Repo:
    (row,) = all_rows(rt, Repo, id=repo_id)
    assert isinstance(row, Repo)
    return row


def test_everything_the_replay_hosts_is_read_with_its_facts(rt: Runtime, replay: Replay) -> None:
    told = replay.content.hosted
    assert {one.kind for one in told} == set(REPO_KINDS)
    ids = with_links(rt, *(link(HOSTS[one.host], one.slug, one.kind) for one in told))
    for one in told:
        assert read(rt, ids[one.kind, one.slug]) == {"done": 1}
        repo = repo_of(rt, ids[one.kind, one.slug])
        assert (repo.state, repo.host, repo.slug) == ("found", HOSTS[one.host], one.slug)
        assert (repo.stars, repo.downloads, repo.pushed_at) == (one.stars, one.downloads, one.pushed_at)
        assert (repo.gated, repo.topics) == (one.gated is not None, list(one.topics))
        assert repo.next_check_at == rt.now() + timedelta(hours=6)
    assert len(all_rows(rt, Reading)) == len(told)
    assert replay.count("/gitlab/api/v4/projects/hydra-lab%2Frivers%2Fsimulator?license=true") == 1
    # What each says of its allowance is written down; Codeberg says nothing.
    assert {q.name: q.limit for q in all_rows(rt, Quota)} == {"gitlab.com": 400, "huggingface.co": 500}


def test_a_model_and_a_data_set_of_one_name_are_two(rt: Runtime) -> None:
    ids = with_links(
        rt, link("huggingface.co", "quill/tide", "model"), link("huggingface.co", "quill/tide", "dataset"),
        link("huggingface.co", "QUILL/tide", "space"),
    )  # fmt: skip
    store(rt, [entry(9, links=(link("huggingface.co", "Quill/Tide", "model"),))], feed=add_feed(rt, "again"))
    assert set(ids) == {("model", "quill/tide"), ("dataset", "quill/tide"), ("space", "QUILL/tide")}
    names = {(n.kind, n.slug_key) for n in all_rows(rt, RepoName)}
    assert names == {("dataset", "quill/tide"), ("model", "quill/tide"), ("space", "quill/tide")}


def test_a_paper_shows_code_and_models_apart(rt: Runtime) -> None:
    ids = with_links(rt, link("gitlab.com", "hydra-lab/rivers/simulator"))
    more = (link("huggingface.co", "vidar-labs/sparsegate-1b3", "model"),)
    store(rt, [entry(1, links=more)], feed=add_feed(rt, "more"))
    rows = all_rows(rt, Repo)
    for row in rows:
        read(rt, row.id)
    assert len(ids) == 1
    with rt.reading() as session:
        paper = archive.get(session, str(arxiv(1)), now=rt.now())
    assert [(r.slug, r.url) for r in paper.repos] == [
        ("hydra-lab/rivers/simulator", "https://gitlab.com/hydra-lab/rivers/simulator")
    ]
    said = paper_json(paper)
    assert [(r["slug"], r["license"]) for r in said["repos"]] == [("hydra-lab/rivers/simulator", "GPL-3.0")]
    (model,) = said["artifacts"]
    assert (model["kind"], model["likes"], model["downloads"], model["license"]) == ("model", 212, 48_210, "apache-2.0")


def test_a_moved_repository_gets_its_present_name_and_keeps_its_old_one(rt: Runtime) -> None:
    ((_, repo_id),) = with_links(rt, link("codeberg.org", "spindle/leaderboards")).items()
    read(rt, repo_id)
    assert (repo_of(rt, repo_id).state, repo_of(rt, repo_id).slug) == ("found", "spindle/saturation")
    assert {n.slug_key for n in all_rows(rt, RepoName)} == {"spindle/leaderboards", "spindle/saturation"}


@pytest.mark.parametrize(
    ("host", "kind"), [("gitlab.com", "code"), ("codeberg.org", "code"), ("huggingface.co", "model")]
)
def test_what_is_not_there_fades(rt: Runtime, clock: Clock, host: str, kind: str) -> None:
    ((_, repo_id),) = with_links(rt, link(host, "quill/not-yet", kind)).items()
    for wait in (timedelta(hours=6), timedelta(days=1)):
        read(rt, repo_id, key=str(wait))
        repo = repo_of(rt, repo_id)
        assert (repo.state, repo.next_check_at - rt.now()) == ("missing", wait)
        clock.advance(to=repo.next_check_at)


def test_a_limit_of_one_host_stops_that_host_alone(rt: Runtime, replay: Replay, clock: Clock) -> None:
    ids = with_links(
        rt, link("gitlab.com", "hydra-lab/rivers/simulator"), link("codeberg.org", "spindle/saturation")
    )  # fmt: skip
    replay.fail_next("/gitlab", 429, headers={"Retry-After": "120"})
    lab, berg = ids["code", "hydra-lab/rivers/simulator"], ids["code", "spindle/saturation"]
    assert read(rt, lab) == {"waited": 1}
    assert read(rt, berg) == {"done": 1}
    assert repo_of(rt, berg).state == "found"
    assert [g.name for g in all_rows(rt, Gate)] == ["gitlab.com"]  # closed; each host has one of its own
    clock.advance(seconds=200)
    assert drain.run_until_idle(rt, stages=["enrich"], ticking=False) == {"done": 1}
    assert (repo_of(rt, lab).state, repo_of(rt, lab).misses) == ("found", 0)


def test_the_schedule_reads_each_host_again_in_a_job_of_its_own(rt: Runtime, clock: Clock) -> None:
    ids = with_links(
        rt, link("gitlab.com", "hydra-lab/rivers/simulator"), link("codeberg.org", "spindle/saturation"),
        link("huggingface.co", "polder-ai/rule-pairs", "dataset"), link("bitbucket.org", "a/b"),
    )  # fmt: skip
    schedule.tick(rt)
    jobs = [j.payload["repo_ids"] for j in all_rows(rt, Job, kind="enrich_repos")]
    assert sorted(jobs) == sorted([i] for (_, slug), i in ids.items() if slug != "a/b")
    drain.run_until_idle(rt, stages=["enrich"], ticking=False)
    clock.advance(hours=7)
    schedule.tick(rt)
    again = [j for j in all_rows(rt, Job, kind="enrich_repos") if j.state == "ready"]
    assert len(again) == 3


def test_no_more_jobs_are_made_for_a_host_while_its_last_ones_wait(rt: Runtime, clock: Clock) -> None:
    with_links(rt, link("gitlab.com", "hydra-lab/rivers/simulator"))
    for _ in range(3):
        schedule.tick(rt)
        clock.advance(minutes=10)
    assert len(all_rows(rt, Job, kind="enrich_repos")) == 1


def test_a_licence_that_changes_is_told_of_once(rt: Runtime, replay: Replay, clock: Clock) -> None:
    ((_, repo_id),) = with_links(rt, link("huggingface.co", "vidar-labs/sparsegate-1b3", "model")).items()
    read(rt, repo_id)
    replay.update_hosted("vidar-labs/sparsegate-1b3", license="cc-by-nc-4.0")
    for key in ("second", "third"):
        clock.advance(hours=7)
        read(rt, repo_id, key=key)
    assert [(e.kind, e.detail["to"]) for e in all_rows(rt, Event)] == [("license_changed", "cc-by-nc-4.0")]


# -- releases --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "token"])
def test_a_release_is_told_of_once_and_those_before_the_first_look_are_not(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock, token: str
) -> None:
    rt = make_runtime(replay=replay, github_token=token)
    slug = "northlake-ai/specdraft"
    ((_, repo_id),) = with_links(rt, link("github.com", slug)).items()
    read(rt, repo_id)
    assert (repo_of(rt, repo_id).release, all_rows(rt, Event)) == ("v0.4.0", [])
    old = next(r for r in replay.content.repos if r.slug == slug).releases
    replay.update_repo(slug, releases=(("v0.5.0", rt.now() + timedelta(hours=1)), *old))
    for key in ("second", "third"):
        clock.advance(hours=7)
        read(rt, repo_id, key=key)
    (event,) = all_rows(rt, Event)
    assert (event.kind, event.key, event.detail["tag"]) == ("release", f"{slug} v0.5.0", "v0.5.0")
    assert repo_of(rt, repo_id).release == "v0.5.0"
    feeds_asked = replay.count("/pages-of-github")
    assert (feeds_asked, replay.conditional_hits("/pages-of-github")) == ((0, 0) if token else (3, 1))


@pytest.mark.parametrize(
    ("host", "slug", "known", "page"),
    [
        (
            "gitlab.com", "hydra-lab/rivers/simulator", "1.2.0",
            "https://gitlab.com/hydra-lab/rivers/simulator/-/releases/2.0",
        ),
        ("codeberg.org", "spindle/leaderboards", None, "https://codeberg.org/spindle/saturation/releases/tag/2.0"),
    ],
)  # fmt: skip
def test_a_release_elsewhere_is_told_of_once(
    rt: Runtime, replay: Replay, clock: Clock, host: str, slug: str, known: str | None, page: str
) -> None:
    ((_, repo_id),) = with_links(rt, link(host, slug)).items()
    read(rt, repo_id)
    repo = repo_of(rt, repo_id)
    assert (repo.state, repo.release, all_rows(rt, Event)) == ("found", known, [])
    old = next(one for one in replay.content.hosted if one.slug == repo.slug).releases
    replay.update_hosted(repo.slug, releases=(("2.0", rt.now() + timedelta(hours=1)), *old))
    for key in ("second", "third"):
        clock.advance(hours=7)
        read(rt, repo_id, key=key)
    (event,) = all_rows(rt, Event)
    assert (event.kind, event.key) == ("release", f"{repo.slug} 2.0")
    assert (event.detail["tag"], event.detail["url"]) == ("2.0", page)
    assert repo_of(rt, repo_id).release == "2.0"


def test_the_first_release_ever_is_news(rt: Runtime, replay: Replay, clock: Clock) -> None:
    told = next(r for r in replay.content.repos if not r.releases and not r.former)
    ((_, repo_id),) = with_links(rt, link("github.com", told.slug)).items()
    read(rt, repo_id)
    replay.update_repo(told.slug, releases=(("v1", rt.now() + timedelta(hours=1)),))
    clock.advance(hours=7)
    read(rt, repo_id, key="second")
    assert [e.detail["tag"] for e in all_rows(rt, Event)] == ["v1"]


def test_a_feed_of_releases_that_cannot_be_read_stops_nothing(rt: Runtime, replay: Replay) -> None:
    ((_, repo_id),) = with_links(rt, link("github.com", "northlake-ai/specdraft")).items()
    replay.is_down("/pages-of-github")
    assert read(rt, repo_id) == {"done": 1}
    assert (repo_of(rt, repo_id).state, repo_of(rt, repo_id).release) == ("found", None)


def test_a_token_goes_to_its_own_host_in_the_form_it_wants(make_runtime: MakeRuntime, server: Loopback) -> None:
    rt = make_runtime(
        gitlab_url=server.url, codeberg_url=server.url, hf_url=server.url,
        code_host_tokens="gitlab.com=glpat-ours, Codeberg.org=cb-ours",
    )  # fmt: skip
    paths = ("/api/v4/projects/a%2Fb", "/api/v1/repos/a/b", "/api/models/a/b")
    for path in paths:
        server.answers(path, reply(404, b"{}"))
    ids = with_links(rt, link("gitlab.com", "a/b"), link("codeberg.org", "a/b"), link("huggingface.co", "a/b", "model"))
    for number in sorted(set(ids.values()) | {row.id for row in all_rows(rt, Repo)}):
        read(rt, number)
    sent = {seen.path.partition("?")[0]: seen.headers for seen in server.requests}
    assert sent.keys() == set(paths)
    names = ("private-token", "authorization")
    assert [[sent[path].get(name) for name in names] for path in paths] == [
        ["glpat-ours", None], [None, "token cb-ours"], [None, None],
    ]  # fmt: skip
    assert {"glpat-ours", "cb-ours"} <= set(rt.settings.secret_values())


def test_the_list_of_releases_is_asked_for_with_the_same_token(make_runtime: MakeRuntime, server: Loopback) -> None:
    rt = make_runtime(gitlab_url=server.url, code_host_tokens="gitlab.com=glpat-ours")
    record = b'{"id": 1, "path_with_namespace": "a/b", "star_count": 3}'
    server.answers("/api/v4/projects/a%2Fb", reply(200, record))
    server.answers("/api/v4/projects/a%2Fb/releases", reply(200, b'[{"tag_name": "v1"}]'))
    ((_, repo_id),) = with_links(rt, link("gitlab.com", "a/b")).items()
    read(rt, repo_id)
    assert [seen.headers.get("private-token") for seen in server.requests] == ["glpat-ours", "glpat-ours"]
    assert (repo_of(rt, repo_id).stars, repo_of(rt, repo_id).release) == (3, "v1")


def test_tokens_that_cannot_be_read_are_refused_without_being_shown() -> None:
    with pytest.raises(ValidationError, match="entry 2 is no host with its token") as refused:
        Settings(_env_file=None, code_host_tokens="gitlab.com=a,glpat-secret")
    assert "glpat-secret" not in str(refused.value)
