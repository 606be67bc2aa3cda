"""Two sites of the same make: one full of hostile strings, its twin of harmless ones, to tell what pages are
made of.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from services.domain.jobs import NewJob
from services.domain.links import LinkData
from services.domain.papers import AuthorData, PaperData
from services.domain.repos import ReleaseData, RepoData
from services.pipeline import drain, schedule
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds, jobs, repos, service
from services.storage.tables import Rejection, Subscription
from tests.conftest import new_runtime
from tests.factories import DAY, FeedSpec, add_feed, entry, store
from tests.fakes import Clock
from tests.integration.web_site import PASSWORD

CALM = "calm words"


def runtime(home: Path, migrated: Path) -> Runtime:
    """A runtime on a standing clock, with an outbox and no network."""
    rt = new_runtime(home, migrated, admin_password=PASSWORD, allowed_private_hosts="")
    clock = Clock()
    rt.clock, rt.sleep = clock.now, clock.sleep
    return rt


def paper(number: int, text: str, url: str) -> PaperData:
    """A paper with one text in each of its fields, as if no parser had looked at it."""
    return entry(
        number,
        title=text or CALM,
        abstract=text,
        authors=(AuthorData(name=text or CALM, affiliation=text, hf_user=text),),
        organization=text,
        comment=text,
        journal_ref=text,
        license=text,
        ai_summary=text,
        ai_keywords=(text,),
        categories=(text,),
        upvotes=3,
        comments_count=2,
        thumbnail_url=url,
        withdrawn=number % 5 == 0,
        links=(
            LinkData(
                url=f"https://github.com/shore/lantern{number}",
                kind="code",
                slug=f"shore/lantern{number}",
                evidence="abstract",
            ),
            LinkData(url=url, kind="project", slug=text, evidence="abstract"),
            LinkData(url="https://x.example/", kind="other", slug=text, evidence="abstract"),
        ),
    )


def fill(rt: Runtime, texts: list[str], urls: list[str]) -> None:
    """Something of everything: papers, feeds, repositories, readers, an edition, refused entries, failed runs."""
    texts = [text.encode("utf-8", "ignore").decode().replace("\x00", "") for text in texts]
    feed = add_feed(rt, "daily-papers", title=texts[0], url="https://feeds.example/")
    store(rt, [paper(n + 1, text, urls[n % len(urls)]) for n, text in enumerate(texts)], feed=feed, day=DAY)
    with rt.writing() as session:
        for number, text in enumerate(texts[1:], start=2):
            where = f"https://feeds.example/{number}"
            spec = FeedSpec(name=f"feed-{number}", kind="rss", title=text, url=where, paused=True)
            feeds.add(session, spec, now=rt.now())
        found = []
        for number, row_id in enumerate(repos.list_due(session, now=rt.now())):
            text = texts[number % len(texts)]
            data = RepoData(
                host="github.com",
                host_id=str(number),
                slug=f"shore/lantern{number + 1}",
                description=text,
                homepage=urls[number % len(urls)],
                stars=3,
                language=text,
                license=text,
                topics=(text,),
                archived=True,
                release=ReleaseData(tag=text, url=urls[0]),
            )
            found.append(
                repos.Found(repo_id=row_id, data=data, etag=text[:50], next_check_at=rt.now() + timedelta(days=9))
            )
        repos.record_found(session, found, now=rt.now())
        feeds.update_feed(session, feed.id or 0, last_error=texts[0], failures=3)
        fetch_id = feeds.record_fetch(
            session,
            {
                "feed_id": feed.id,
                "slot": "s1",
                "batch": "2026-11-24",
                "cursor": "",
                "state": "parsed",
                "seen": 3,
                "new": 2,
                "rejected": len(texts),
                "announced": 3,
                "fetched_at": rt.now(),
                "parsed_at": rt.now(),
            },
        )
        for position, text in enumerate(texts):
            session.add(Rejection(fetch_id=fetch_id, position=position, reason=text, entry=text))
        service.beat(
            session,
            {
                "name": texts[0][:80],
                "role": "embedded",
                "host": texts[0][:80],
                "pid": 7,
                "version": texts[0][:20],
                "busy": 0,
                "started_at": rt.now(),
                "seen_at": rt.now(),
                "slots": 4,
                "memory_mb": 84.0,
            },
        )
        first: Subscription | None = None
        for number, text in enumerate(texts):
            query = '"' + text.replace('"', "").replace("\\", "")[:100] + '"' if number else ""
            subscription, _ = subscribe(
                rt, session, to=f"ada+{number}@example.org", query="", name=text[:150], confirmed=True
            )
            subscription.query = query
            first = first or subscription
        assert first is not None
        first_id = first.id or 0
    job = schedule.edition_job(first_id, "daily", "UTC", rt.now())
    rt.add_jobs([NewJob(kind=job.kind, key=job.key, payload={**job.payload, "now": True})])
    drain.run_until_idle(rt, ticking=False, stages=["notify"])
    rt.add_jobs(NewJob(kind="fetch_feed", key=f"lost {n}", payload={"feed": text}) for n, text in enumerate(texts))
    with rt.writing() as session:
        for text in texts:
            claim = jobs.claim(session, now=rt.now(), lease=timedelta(minutes=5), worker=text[:60], stages=["fetch"])
            assert claim is not None
            jobs.bury(session, claim, now=rt.now(), error=text, signature=text[:100], traceback=text)
