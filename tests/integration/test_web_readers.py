"""Subscribing with double opt-in, and what the links in a digest let their reader do."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import date, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from services.domain.messages import Message
from services.domain.tokens import make_token
from services.pipeline import drain
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import jobs
from services.storage.tables import Job, Subscriber, Subscription
from tests.conftest import MakeRuntime
from tests.factories import all_rows, dump
from tests.fakes import Clock, Crash, ScriptedChannel
from tests.integration.web_site import Elements, Site
from workers.web import readers

WISH = {"query": "lantern* -survey", "cadence": "weekdays", "at": "07:30", "timezone": "Europe/Berlin", "budget": "9"}
ADA = "ada@example.org"


@pytest.fixture(autouse=True)
def _quick_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms may be filled in at once, as no person could."""
    monkeypatch.setattr(readers, "LEAST_FORM_AGE_S", 0.0)


@pytest.fixture
def site(rt: Runtime) -> Site:
    return Site(rt)


def mails(home: Path) -> list[EmailMessage]:
    """What lies in the outbox, oldest first."""
    found = sorted((home / "outbox").glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in found]


def body(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def link(mail: EmailMessage, act: str) -> str:
    """The path of the link for an act."""
    found = re.search(rf"https://papers\.example(/{act}/\S+)", body(mail))
    assert found
    return found[1]


def ask(site: Site, address: str = ADA, **changes: str) -> object:
    return site.post("/subscribe", {"email": address, **WISH, **changes}, csrf_from="/subscribe")


def subscribed(site: Site, **wish: str) -> tuple[int, int]:
    """An active subscription: (its id, its subscriber's token version)."""
    with site.rt.writing() as session:
        subscription, subscriber = subscribe(
            site.rt, session, to=ADA, query=wish.get("query", "lantern*"), confirmed=True
        )
        return subscription.id or 0, subscriber.token_version


def path_for(site: Site, act: str, subscription: tuple[int, int]) -> str:
    return f"/{act}/{make_token(site.rt.secret, act, *subscription)}"


# -- opting in -------------------------------------------------------------------------------------------------


def test_the_form_keeps_what_was_searched_for(site: Site) -> None:
    page = Elements(site.get("/subscribe?q=cat:cs.CL").text)
    assert [field["value"] for field in page.named("input") if field.get("name") == "query"] == ["cat:cs.CL"]


def test_asking_changes_nothing_but_a_pending_row_and_sends_one_mail(site: Site, home: Path) -> None:
    answer = ask(site)
    assert answer.status_code == 200  # type: ignore[attr-defined]
    (subscriber,) = all_rows(site.rt, Subscriber)
    (subscription,) = all_rows(site.rt, Subscription)
    assert (subscriber.state, subscription.state) == ("pending", "pending")
    (mail,) = mails(home)
    assert mail["To"] == ADA
    assert "/confirm/" in body(mail)


def test_the_confirmation_holds_no_word_of_who_filled_in_the_form(site: Site, home: Path) -> None:
    ask(site, query="title:buyNOWcheap")
    (mail,) = mails(home)
    assert "buyNOW" not in mail.as_string()
    assert "buyNOW" not in "".join(
        str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"
    )


def test_confirming_by_the_button_activates_and_following_the_link_does_not(site: Site, home: Path) -> None:
    ask(site)
    path = link(mails(home)[0], "confirm")
    before = dump(site.rt)
    for _ in range(3):
        page = site.get(path)
        assert page.status_code == 200
        assert "lantern* -survey" in Elements(page.text).text
    assert site.browser.head(path).status_code == 200
    assert dump(site.rt) == before
    assert site.post(path, csrf_from=path).status_code == 200
    (subscriber,) = all_rows(site.rt, Subscriber)
    (subscription,) = all_rows(site.rt, Subscription)
    assert (subscriber.state, subscription.state) == ("active", "active")
    assert subscription.name == "lantern* -survey"
    assert (subscription.query, subscription.cadence, subscription.at) == ("lantern* -survey", "weekdays", "07:30")
    assert (subscription.timezone, subscription.budget) == ("Europe/Berlin", 9)
    assert subscription.next_edition_at > site.rt.now()


def test_news_alone_may_be_asked_for_from_the_first(site: Site, home: Path, clock: Clock) -> None:
    assert 'name="news_alone" value="yes">' in site.get("/subscribe").text
    ask(site)
    path = link(mails(home)[-1], "confirm")
    site.post(path, csrf_from=path)
    assert [row.news_alone for row in all_rows(site.rt, Subscription)] == [False]
    site.app.state.web.subscribes._seen.clear()
    clock.advance(hours=25)
    ask(site, news_alone="yes")
    path = link(mails(home)[-1], "confirm")
    site.post(path, csrf_from=path)
    assert [row.news_alone for row in all_rows(site.rt, Subscription) if row.state == "active"] == [True]


def test_confirming_twice_is_confirming_once(site: Site, home: Path) -> None:
    ask(site)
    path = link(mails(home)[0], "confirm")
    site.post(path, csrf_from=path)
    before = dump(site.rt)
    assert site.post(path, csrf_from=path).status_code == 200
    assert dump(site.rt) == before


def test_one_address_gets_one_confirmation_a_day_and_three_ever(site: Site, home: Path, clock: Clock) -> None:
    for _ in range(5):
        for query in ("tides", "knots"):
            site.app.state.web.subscribes._seen.clear()
            ask(site, query=query)
        clock.advance(hours=25)
    assert len(mails(home)) == 3


def test_the_answer_is_the_same_for_known_and_unknown_addresses(site: Site) -> None:
    subscribed(site)
    known, unknown = ask(site), ask(site, "bo.somebody@example.org")
    assert known.status_code == unknown.status_code == 200  # type: ignore[attr-defined]
    assert known.text.replace(ADA, "X") == unknown.text.replace("bo.somebody@example.org", "X")  # type: ignore[attr-defined]


def test_a_stranger_cannot_change_what_an_address_receives(site: Site) -> None:
    subscribed(site, query="lantern* -survey")
    (before,) = all_rows(site.rt, Subscription)
    ask(site, cadence="instant", budget="500")
    after = all_rows(site.rt, Subscription, id=before.id)[0]
    assert after == before
    assert [row.state for row in all_rows(site.rt, Subscription)] == ["active", "pending"]


def test_confirming_what_is_received_already_changes_it_and_sends_nothing_twice(site: Site, home: Path) -> None:
    first, _ = subscribed(site, query="lantern* -survey")
    ask(site, budget="30")
    path = link(mails(home)[-1], "confirm")
    assert site.post(path, csrf_from=path).status_code == 200
    rows = {row.id: row for row in all_rows(site.rt, Subscription)}
    assert (rows[first].state, rows[first].budget) == ("active", 30)
    assert [row.state for row in rows.values()].count("active") == 1
    assert site.post(path, csrf_from=path).status_code == 200


def test_a_confirmation_of_before_an_unsubscribing_does_not_undo_it(site: Site, home: Path) -> None:
    ask(site)
    path = link(mails(home)[0], "confirm")
    site.post(path, csrf_from=path)
    (subscription,) = all_rows(site.rt, Subscription)
    site.post(path_for(site, "unsubscribe", (subscription.id, 1)))
    assert site.post(path, csrf_from=path).status_code == 404
    assert all_rows(site.rt, Subscription)[0].state == "removed"
    assert all_rows(site.rt, Subscriber)[0].state == "unsubscribed"


def by_script(make_runtime: MakeRuntime, *script: str) -> tuple[Site, ScriptedChannel]:
    """A site whose mail server does these things."""
    rt = make_runtime(smtp_url="smtp://127.0.0.1:9")
    channel = ScriptedChannel()
    channel.next(*script)
    rt.channels = {**rt.channels, "email": channel}
    return Site(rt), channel


def without_tokens(message: Message) -> Message:
    """The message without what its link is signed with: each try signs anew, so that its hours count from then."""
    text, html = (re.sub(r"/confirm/[\w.-]+", "/confirm/TOKEN", part or "") for part in (message.text, message.html))
    return replace(message, text=text, html=html)


def worked(rt: Runtime) -> dict[str, int]:
    """What a worker does of what is due."""
    return drain.run_until_idle(rt, stages=["notify"], ticking=False)


@pytest.mark.parametrize("trouble", ["defer", "unknown"])
def test_a_mail_that_could_not_leave_is_tried_again_by_itself(
    make_runtime: MakeRuntime, clock: Clock, trouble: str
) -> None:
    site, channel = by_script(make_runtime, trouble)
    ask(site)
    ask(site)
    assert len(channel.seen) == 1  # the second is the same wish: one mail a day
    clock.advance(minutes=10)
    worked(site.rt)
    first, again = (without_tokens(message) for message in channel.seen)
    assert first == again
    clock.advance(minutes=10)
    assert worked(site.rt) == {}
    assert len(channel.seen) == 2


def test_a_mail_that_was_refused_may_be_asked_for_again(make_runtime: MakeRuntime) -> None:
    site, channel = by_script(make_runtime, "refuse")
    ask(site)
    assert channel.sent == []
    ask(site)
    assert len(channel.sent) == 1
    ask(site)
    assert len(channel.sent) == 1


def test_a_wish_is_kept_before_it_is_answered(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "run_next", lambda *_, **__: None)  # the process ends with the answer
    ask(site)
    assert mails(home) == []
    assert worked(site.rt) == {"done": 1}
    (mail,) = mails(home)
    assert mail["To"] == ADA
    (job,) = all_rows(site.rt, Job, kind="ask_to_confirm")
    assert job.payload == {}  # nothing of it outlives the work


def test_a_wish_that_cannot_be_kept_is_not_answered_as_if_it_were(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", {}, Exception("the database is away"))

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "add", away)
        assert ask(site).status_code >= 500  # type: ignore[attr-defined]
    assert mails(home) == []
    ask(site)
    assert len(mails(home)) == 1


def test_a_crash_between_the_row_and_its_mail_costs_neither(
    site: Site, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(name: str) -> None:
        if name == "ask_to_confirm.taken_down":
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(drain, "run_next", lambda *_, **__: None)
        ask(site)
        patch.setattr(site.rt, "checkpoint", crash)
        with pytest.raises(Crash):
            worked(site.rt)
    assert mails(home) == []
    clock.advance(seconds=site.rt.settings.lease_s + 1)
    assert worked(site.rt) == {"done": 1}
    assert len(mails(home)) == 1
    ask(site)
    assert len(mails(home)) == 1  # and it counts as the day's


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("email", "ada@example.org,eve@example.org", "one recipient"),
        ("email", "slack:outbox", "mail address"),
        ("email", "ada", "not a mail address"),
        ("query", 'title:"open', "^"),
        ("cadence", "hourly", "how often"),
        ("at", "25:00", "time of day"),
        ("timezone", "Mars/Olympus", "time zone"),
        ("budget", "0", "from 1 to 500"),
        ("budget", "²", "from 1 to 500"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_written(site: Site, field: str, value: str, said: str) -> None:
    before = dump(site.rt)
    answer = site.post("/subscribe", {"email": ADA, **WISH, field: value}, csrf_from="/subscribe")
    assert answer.status_code == 400
    assert said in Elements(answer.text).text
    assert dump(site.rt) == before


def test_programs_that_fill_in_everything_at_once_are_told_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dump(site.rt)
    trap = site.post("/subscribe", {"email": ADA, **WISH, "website": "https://spam.example"}, csrf_from="/subscribe")
    monkeypatch.setattr(readers, "LEAST_FORM_AGE_S", 30.0)
    quick = ask(site)
    assert trap.status_code == quick.status_code == 200  # type: ignore[attr-defined]
    assert dump(site.rt) == before


def test_one_client_may_ask_five_times_an_hour(site: Site) -> None:
    answers = [ask(site, f"reader{n}@example.org").status_code for n in range(7)]  # type: ignore[attr-defined]
    assert answers == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://papers.example"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_a_form_must_come_from_a_page_of_ours(site: Site, headers: dict[str, str], status: int) -> None:
    answer = site.post("/subscribe", {"email": ADA, **WISH}, csrf_from="/subscribe", headers=headers)
    assert answer.status_code == status


def test_a_form_without_its_mark_is_refused(site: Site) -> None:
    assert site.post("/subscribe", {"email": ADA, **WISH}).status_code == 403
    assert site.post("/subscribe", {"email": ADA, **WISH, "csrf": "made up"}).status_code == 403


def test_readers_get_no_cookie(site: Site) -> None:
    ask(site)
    for path in ("/", "/subscribe"):
        assert "set-cookie" not in site.get(path).headers


# -- opting out ------------------------------------------------------------------------------------------------


def test_following_the_unsubscribe_link_changes_nothing(site: Site) -> None:
    path = path_for(site, "unsubscribe", subscribed(site))
    before = dump(site.rt)
    for _ in range(20):
        assert site.get(path).status_code == 200
        assert site.browser.head(path).status_code == 200
    assert dump(site.rt) == before


def test_one_click_unsubscribes_without_cookie_form_or_redirect(site: Site) -> None:
    subscription = subscribed(site)
    path = path_for(site, "unsubscribe", subscription)
    for _ in range(3):
        answer = site.browser.post(
            path, content="List-Unsubscribe=One-Click", headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code == 200
        assert all_rows(site.rt, Subscription)[0].state == "removed"
    assert all_rows(site.rt, Subscriber)[0].state == "unsubscribed"


def test_one_click_works_as_multipart_and_from_any_origin(site: Site) -> None:
    path = path_for(site, "unsubscribe", subscribed(site))
    answer = site.browser.post(
        path, files={"List-Unsubscribe": (None, "One-Click")}, headers={"origin": "https://mail.example"}
    )
    assert answer.status_code == 200
    assert all_rows(site.rt, Subscription)[0].state == "removed"


def test_ending_one_of_two_leaves_the_other(site: Site) -> None:
    first = subscribed(site, query="tides")
    subscribed(site, query="knots")
    site.post(path_for(site, "unsubscribe", first))
    assert {row.query: row.state for row in all_rows(site.rt, Subscription)} == {"tides": "removed", "knots": "active"}
    assert all_rows(site.rt, Subscriber)[0].state == "active"


def test_a_link_is_worth_nothing_for_another_act_nor_after_a_new_version(site: Site) -> None:
    subscription = subscribed(site)
    pausing = make_token(site.rt.secret, "pause", *subscription)
    assert site.post(f"/unsubscribe/{pausing}").status_code == 404
    assert site.post("/unsubscribe/made.up.token").status_code == 404
    ours = path_for(site, "unsubscribe", subscription)
    with site.rt.writing() as session:
        row = session.get(Subscriber, 1)
        assert row is not None
        row.token_version += 1
    assert site.post(ours).status_code == 404
    assert all_rows(site.rt, Subscription)[0].state == "active"


# -- pausing and changing --------------------------------------------------------------------------------------


def test_a_pause_holds_until_the_day_chosen_and_can_be_ended(site: Site, clock: Clock) -> None:
    path = path_for(site, "pause", subscribed(site))
    before = dump(site.rt)
    site.get(path)
    assert dump(site.rt) == before
    until = clock.today + timedelta(days=14)
    answer = site.post(path, {"until": str(until)}, csrf_from=path)
    assert answer.status_code == 200
    assert all_rows(site.rt, Subscription)[0].paused_until == until
    site.post(path, {"until": ""}, csrf_from=path)
    assert all_rows(site.rt, Subscription)[0].paused_until is None


@pytest.mark.parametrize("until", ["2026-11-25", "2020-01-01", "2036-01-01", "soon"])
def test_a_pause_until_a_day_that_makes_no_sense_is_refused(site: Site, until: str) -> None:
    path = path_for(site, "pause", subscribed(site))
    assert site.post(path, {"until": until}, csrf_from=path).status_code == 400
    assert all_rows(site.rt, Subscription)[0].paused_until is None


def test_preferences_change_the_subscription_and_its_next_edition(site: Site) -> None:
    path = path_for(site, "preferences", subscribed(site))
    before = dump(site.rt)
    site.get(path)
    assert dump(site.rt) == before
    assert site.post(path, WISH, csrf_from=path).status_code == 200
    (row,) = all_rows(site.rt, Subscription)
    assert {key: str(getattr(row, key)) for key in WISH} == WISH
    assert row.name == WISH["query"]
    assert row.next_edition_at.isoformat() == "2026-11-26T06:30:00+00:00"


def test_preferences_with_a_broken_query_show_the_place_and_change_nothing(site: Site) -> None:
    path = path_for(site, "preferences", subscribed(site))
    before = dump(site.rt)
    answer = site.post(path, {**WISH, "query": "(tides"}, csrf_from=path)
    assert answer.status_code == 400
    assert any(line.strip() == "^" for line in Elements(answer.text).text.splitlines())
    assert dump(site.rt) == before


@pytest.mark.parametrize("act", ["pause", "preferences"])
def test_an_ended_subscription_is_not_changed_by_old_links(site: Site, act: str) -> None:
    subscription = subscribed(site)
    site.post(path_for(site, "unsubscribe", subscription))
    path = path_for(site, act, subscription)
    before = dump(site.rt)
    assert site.post(path, {**WISH, "until": str(date(2026, 12, 24))}, csrf_from=path).status_code == 404
    assert dump(site.rt) == before


@pytest.mark.parametrize("act", ["confirm", "pause", "preferences"])
def test_a_readers_form_belongs_to_its_link(site: Site, act: str) -> None:
    subscription = subscribed(site)
    path = path_for(site, act, subscription)
    before = dump(site.rt)
    assert site.post(path, WISH).status_code == 403
    assert site.post(path, WISH, csrf_from="/subscribe").status_code == 403
    assert site.post(path, WISH, csrf_from=path, headers={"origin": "https://evil.example"}).status_code == 403
    assert dump(site.rt) == before


def test_pages_of_one_reader_are_kept_by_no_cache(site: Site) -> None:
    answer = site.get(path_for(site, "preferences", subscribed(site)))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noindex"
    assert ADA not in answer.text
