"""The box that finds anything by any of its names, and tells what became of it."""

from __future__ import annotations

import pytest

from services.domain.jobs import NewJob
from services.pipeline import drain
from services.runtime import Runtime
from services.storage import feeds, folding
from services.storage.tables import Delivery, Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, arxiv, code, entry, plan_edition, store
from tests.integration.web_site import PASSWORD, Elements, Site


@pytest.fixture
def site(make_runtime: MakeRuntime, database_url: str) -> Site:
    """A paper that was fetched, merged, chosen and sent."""
    rt = make_runtime(database_url=database_url, admin_password=PASSWORD)
    feed = add_feed(rt, "daily-papers")
    with rt.writing() as session:
        feeds.record_fetch(
            session,
            {"feed_id": feed.id, "slot": "s1", "batch": "2026-11-24", "cursor": "", "state": "parsed", "status": 200,
             "url": "https://papers.example/list", "fetched_at": rt.now()},
        )  # fmt: skip
    store(rt, [entry(1, links=(code("quill/lanterns"),)), entry(2, title="Lanterns, once more")], feed=feed)
    with rt.writing() as session:
        folding.merge(session, str(arxiv(1)), str(arxiv(2)), now=rt.now())
    plan_edition(rt, "ada@shore.example")
    drain.run_until_idle(rt, ticking=False, stages=["notify"])
    found = Site(rt)
    found.login()
    return found


def look_up(site: Site, of: str, to: str = "") -> str:
    """The page's words."""
    answer = site.get("/admin/lineage", params={"of": of, "to": to})
    assert answer.status_code == 200
    return " ".join(Elements(answer.text).text.split())


def test_a_papers_whole_history_is_told(site: Site) -> None:
    words = look_up(site, "2611.90001")
    for said in (
        "listed by daily-papers for 2026-11-24", "from https://papers.example/list, HTTP 200", "hf_papers said",
        "arxiv:2611.90002 was merged into it", "chosen for", "by email: accepted",
    ):  # fmt: skip
        assert said in words


def test_old_keys_repositories_and_mails_lead_to_it(site: Site) -> None:
    title = "Sparse lanterns for tidal inference, part 1"
    (sent,) = all_rows(site.rt, Delivery)
    for name in ("arxiv:2611.90002", "quill/lanterns", "https://github.com/Quill/Lanterns", sent.message_id):
        assert title in look_up(site, name), name


def test_why_a_reader_got_it_is_answered(site: Site) -> None:
    assert "sent: rank 1" in look_up(site, "arxiv:2611.90001", "ada@shore.example")
    assert "Nobody is subscribed as" in look_up(site, "arxiv:2611.90001", "nobody@shore.example")


def test_a_number_is_a_runs(site: Site) -> None:
    site.rt.add_jobs([NewJob(kind="fetch_feed", key="daily-papers again")])
    number = all_rows(site.rt, Job)[-1].id
    assert site.get(f"/admin/lineage?of=run+{number}").headers["location"] == f"/admin/runs/{number}"
    assert "Nothing is known by that name" in look_up(site, "run 99999")


def test_what_is_unknown_and_what_is_hostile_is_said_plainly(site: Site) -> None:
    assert "Where did it come from" in look_up(site, "")
    for name in ("no/such", "<script>alert(1)</script>", "'; DROP TABLE papers", "x" * 3000):
        assert "Nothing is known by that name" in look_up(site, name)


def test_only_operators_see_it(rt: Runtime) -> None:
    assert Site(rt).get("/admin/lineage").status_code in {401, 403}
