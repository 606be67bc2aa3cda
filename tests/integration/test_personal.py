"""What is held of one person: given whole, wiped whole, and nobody gets a paper twice or a mail unasked after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, update

from services.domain.bounces import Bounce
from services.domain.errors import NotFound
from services.domain.tokens import make_token
from services.domain.users import Actor
from services.pipeline import drain, feedback, operate, personal, schedule
from services.pipeline.bounces import record_bounce
from services.pipeline.subscribe import subscribe, sync_catalogue
from services.runtime import Runtime
from services.storage import subscribers, suppressions
from services.storage.tables import Audit, Delivery, EditionItem, Feed, Job, Subscriber, Subscription
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, dump, entry, store
from tests.fakes import Clock
from tests.integration.web_site import PASSWORD, Site

ADA = "ada.quill@example.org"
ME = Actor(name="boss", role="admin", origin="command")
QUERY = "tidal lanterns"


def notify(rt: Runtime, subscription: Subscription) -> None:
    job = schedule.edition_job(subscription.id or 0, subscription.cadence, subscription.timezone, rt.now())
    rt.add_jobs([job])
    drain.run_until_idle(rt, stages=["notify"], ticking=False)


def a_life(rt: Runtime) -> Subscription:
    """Somebody who subscribed, got an edition, said something of it, and whose mail came back once."""
    feed = add_feed(rt, "hf", paused=True)
    with rt.writing() as session:
        session.execute(update(Feed).values(paused=False, next_check_at=rt.now().replace(year=2099)))
    store(rt, [entry(n) for n in (1, 2)], feed=feed)
    subscription, _ = operate.add_subscription(rt, ME, to=ADA, query=QUERY, confirmed=True, timezone="Asia/Tokyo")
    notify(rt, subscription)
    feedback.give(rt, subscription.id or 0, "arxiv:2611.90001", "save")
    with rt.writing() as session:
        session.execute(update(Job).values(last_error=f"550 5.1.1 <{ADA}> who?").where(col(Job.stage) == "notify"))
    bounce = Bounce(address=ADA, kind="soft", code="4.2.2", detail=f"{ADA} is full", message_id="<x@y>")
    record_bounce(rt, [bounce], report=b"a report")
    return subscription


@pytest.fixture
def rt(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime(admin_password=PASSWORD)


def test_everything_is_given(rt: Runtime) -> None:
    a_life(rt)
    found = json.loads(json.dumps(personal.export(rt, ME, ADA), default=str))
    assert found["address"] == ADA
    once = ("subscriber", "subscriptions", "editions", "deliveries", "feedback", "bounces")
    assert [len(found[name]) for name in once] == [1] * 6
    assert found["subscriptions"][0]["query"] == QUERY
    assert {paper["key"] for paper in found["editions"][0]["papers"]} == {"arxiv:2611.90001", "arxiv:2611.90002"}
    assert QUERY in found["deliveries"][0]["message"]["text"]
    assert found["feedback"][0]["paper"] == "arxiv:2611.90001"
    assert "boss" not in str(found["audit"])
    with pytest.raises(NotFound):
        personal.export(rt, ME, "nobody@example.org")


def test_nothing_is_left_that_tells_who_it_was(rt: Runtime, home: Path) -> None:
    a_life(rt)
    with rt.writing() as session:
        subscribe(rt, session, to="bo@example.org", query="another query", confirmed=True)
    assert len(list(rt.settings.outbox.iterdir())) == 1
    done = personal.wipe(rt, ME, ADA)
    assert done.files == 1
    assert done.rows["deliveries"] == done.rows["subscribers"] == done.rows["bounces"] == 1
    left = str(dump(rt))
    for word in ("ada.quill", QUERY, "Tokyo", "5.1.1 <ada"):
        assert word not in left, word
    assert "bo@example.org" in left
    assert "another query" in left
    assert all_rows(rt, Audit, act="subscriber.wipe")[0].subject.startswith("email:#")
    assert [d.state for d in all_rows(rt, Delivery)] == ["accepted"]
    rt.close()
    held = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and "tmp" not in path.name)
    assert ADA.encode() not in held
    assert QUERY.encode() not in held


def test_who_comes_back_gets_no_paper_twice(make_runtime: MakeRuntime, database_url: str, clock: Clock) -> None:
    rt = make_runtime(database_url=database_url)
    first = a_life(rt)
    personal.wipe(rt, ME, ADA)
    again, person = operate.add_subscription(rt, ME, to=ADA.upper(), query=QUERY, confirmed=True)
    assert (again.id, again.name, again.state, person.address) == (first.id, QUERY, "active", "ADA.QUILL@example.org")
    store(rt, [entry(3)], feed=all_rows(rt, Feed)[0])
    clock.advance(days=1)
    notify(rt, again)
    had = [item.paper_id for item in all_rows(rt, EditionItem, subscription_id=first.id)]
    assert sorted(had) == [1, 2, 3]


@pytest.mark.parametrize("subscribed", [True, False])
def test_a_suppressed_address_stays_so(rt: Runtime, subscribed: bool) -> None:
    if subscribed:
        a_life(rt)
    operate.suppress(rt, ME, ADA, detail="asked by telephone")
    personal.wipe(rt, ME, ADA)
    assert "ada.quill" not in str(dump(rt))
    late = Bounce(address=ADA, kind="hard", code="5.1.1", detail="no such user", message_id="")
    record_bounce(rt, [late], report=b"a late report")
    assert "ada.quill" not in str(dump(rt, but=["bounces"])), "a late report brings nobody back"
    with rt.writing() as session:
        _, person = subscribe(rt, session, to=ADA, confirmed=True)
        assert person.state == "suppressed"
        assert suppressions.find(session, f"email:{ADA}") is not None


def test_a_line_left_in_the_catalogue_brings_nobody_back(make_runtime: MakeRuntime, home: Path) -> None:
    home.mkdir()
    (home / "feeds.toml").write_text(f'[[digest]]\nname = "team"\nto = "{ADA}"\nquery = "{QUERY}"\n')
    rt = make_runtime()

    def sync() -> list[tuple[str, str]]:
        with rt.writing() as session:
            sync_catalogue(rt, session, rt.catalogue())
            return [(s.state, p.address) for s, p in subscribers.list_subscriptions(session, removed=True)]

    assert sync() == [("active", ADA)]
    personal.wipe(rt, ME, ADA)
    assert sync() == [("removed", "")]


def test_a_wipe_in_the_middle_of_a_delivery_sends_nothing_more(rt: Runtime) -> None:
    a_life(rt)
    with rt.writing() as session:
        session.execute(update(Delivery).values(state="deferred", sent_at=None))
    personal.wipe(rt, ME, ADA)
    assert [d.state for d in all_rows(rt, Delivery)] == ["suppressed"]


# -- by whom ---------------------------------------------------------------------------------------------------


def test_readers_do_it_themselves_by_their_link(rt: Runtime) -> None:
    subscription = a_life(rt)
    site = Site(rt)
    own = site.get(f"/preferences/{make_token(rt.secret, 'preferences', subscription.id or 0, 1)}").text
    path = "/data/" + own.partition('href="/data/')[2].partition('"')[0]
    edition = f"/edition/{make_token(rt.secret, 'edition', 1, 1)}"
    before = dump(rt)
    assert site.get(path).status_code == 200
    assert site.get(edition).status_code == 200
    assert dump(rt) == before, "a look changes nothing"
    answer = site.post(path, {"act": "export"}, csrf_from=path)
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.json()["subscriptions"][0]["query"] == QUERY
    assert site.post(path, {"act": "wipe"}, csrf_from=path).status_code == 400
    assert site.post(path, {"act": "wipe", "sure": "yes"}).status_code == 403
    assert all_rows(rt, Subscriber)[0].address == ADA
    assert "wiped" in site.post(path, {"act": "wipe", "sure": "yes"}, csrf_from=path).text
    assert all_rows(rt, Subscriber)[0].address == ""
    assert site.get(path).status_code == 404
    assert site.get(edition).status_code == 404


def test_operators_do_it_on_their_pages_and_by_the_api(rt: Runtime) -> None:
    a_life(rt)
    site = Site(rt)
    site.login()
    page = "/admin/subscriptions"
    answer = site.post("/admin/subscribers/export", {"to": ADA}, csrf_from=page)
    assert answer.json()["address"] == ADA
    operator = site.token("operate")
    assert site.ask("POST", "/subscribers/export", operator, json={"to": ADA}).json()["address"] == ADA
    assert site.ask("POST", "/subscribers/wipe", operator, json={"to": ADA}).status_code == 403
    assert site.ask("POST", "/subscribers/wipe", site.token("admin"), json={"to": ADA, "x": 1}).status_code == 422
    assert site.ask("POST", "/subscribers/export", operator, json={"to": "bo@example.org"}).status_code == 404
    unsure = site.post("/admin/subscribers/wipe", {"to": ADA}, csrf_from=page)
    assert (unsure.status_code, "Tick the box first" in unsure.text) == (400, True)
    assert all_rows(rt, Subscriber)[0].address == ADA
    told = site.post("/admin/subscribers/wipe", {"to": ADA, "sure": "yes"}, csrf_from=page)
    assert told.status_code == 303
    assert "ada" not in told.headers["location"]
    assert all_rows(rt, Subscriber)[0].address == ""


def test_the_command_line_does_it(broadsheet: Any) -> None:
    broadsheet("subscriptions", "add", "--to", ADA, "--query", QUERY, "--confirmed", code=0)
    assert json.loads(broadsheet("subscriptions", "export", ADA, code=0).out)["subscriptions"][0]["query"] == QUERY
    assert "--yes" in broadsheet("subscriptions", "wipe", ADA, code=2).err
    broadsheet("subscriptions", "wipe", ADA, "--yes", code=0)
    lines = broadsheet.json("audit")
    assert [line["act"] for line in lines][:2] == ["subscriber.wipe", "subscriber.export"]
    assert "ada" not in str([line["subject"] for line in lines])
