"""What the links beside each paper let its reader do: nothing by being opened, one thing by their page's button."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from services.domain.tokens import PAPER_PURPOSES
from services.pipeline import notify, views
from services.pipeline.choose import choose
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import archive, subscribers
from services.storage.tables import Feedback, Subscription
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, arxiv, dump, entry, store
from tests.fakes import Clock
from tests.integration.web_site import Elements, Site

ADA = "ada@example.org"


@pytest.fixture
def site(make_runtime: MakeRuntime) -> Site:
    rt = make_runtime()
    store(rt, [entry(1), entry(2, title="Moored buoys"), entry(3, title="Harbour bells")], feed=add_feed(rt, "hf"))
    with rt.writing() as session:
        subscribe(rt, session, to=ADA, confirmed=True)
        subscribers.update_subscription(session, 1, since_at=rt.now() - timedelta(days=2))
    return Site(rt)


def subscription_of(rt: Runtime) -> Subscription:
    (row,) = all_rows(rt, Subscription)
    assert isinstance(row, Subscription)
    return row


def links(rt: Runtime, number: int = 1) -> dict[str, str]:
    """The paths of the links beside a paper, by act."""
    with rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, 1)
        paper = archive.get(session, str(arxiv(number)), now=rt.now())
        return {act: url.removeprefix("https://papers.example") for act, url in
                views.paper_links(rt, subscription, subscriber, paper)}  # fmt: skip


def next_titles(rt: Runtime) -> list[str]:
    with rt.reading() as session:
        return [pick.paper.title for pick in choose(rt, session, subscription_of(rt)).picks]


def said(rt: Runtime) -> list[tuple[str, str]]:
    return [(row.act, row.target) for row in all_rows(rt, Feedback)]


def test_every_form_of_the_message_has_the_links_and_a_machine_has_none(site: Site) -> None:
    message = notify.preview(site.rt, 1)
    for form in (message.html, message.text, str(message.slack)):
        for act in PAPER_PURPOSES:
            assert len(set(re.findall(rf"https://papers\.example/{act}/[\w.-]+", form or ""))) == 3, act
    assert "/save/" not in str(message.data)


@pytest.mark.parametrize("act", [*PAPER_PURPOSES, "saved"])
def test_opening_a_link_changes_nothing(site: Site, act: str) -> None:
    path = links(site.rt).get(act) or re.search(r"/saved/[\w.-]+", notify.preview(site.rt, 1).text)[0]  # type: ignore[index]
    before = dump(site.rt)
    answer = site.get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert ADA not in answer.text
    assert dump(site.rt) == before


@pytest.mark.parametrize("act", ["save", "more", "less"])
def test_the_button_acts_once_and_can_be_taken_back(site: Site, act: str) -> None:
    path = links(site.rt)[act]
    for _ in range(2):
        assert site.post(path, csrf_from=path).status_code == 200
    assert said(site.rt) == [(act, "")]
    assert "Taken back" in site.post(path, {"undo": "1"}, csrf_from=path).text
    assert said(site.rt) == []


def test_a_form_of_another_site_is_refused(site: Site) -> None:
    path = links(site.rt)["save"]
    assert site.post(path, {"csrf": "x"}).status_code == 403
    answer = site.post(path, csrf_from=path, headers={"origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert said(site.rt) == []


def test_a_link_is_for_one_act_one_paper_one_reader_and_a_time(site: Site) -> None:
    save = links(site.rt)["save"]
    token = save.rpartition("/")[2]
    for path in (f"/less/{token}", f"/pause/{token}", save[:-4] + "AAAA", "/save/x"):
        assert site.get(path).status_code == 404, path
    with time_machine.travel(datetime.now(UTC) + timedelta(days=91), tick=False):
        assert "expired" in site.get(save).text
    with site.rt.writing() as session:
        subscribers.set_state(session, 1, "active", token_version=2)
    assert site.get(save).status_code == 404


def test_what_is_muted_is_left_out_of_the_next_edition_until_it_is_unmuted(site: Site) -> None:
    path = links(site.rt)["mute"]
    assert "Ada Quill" in site.get(path).text
    assert site.post(path, {"topic": " . "}, csrf_from=path).status_code == 400
    site.post(path, {"topic": "moored buoys"}, csrf_from=path)
    assert sorted(next_titles(site.rt)) == ["Harbour bells", "Sparse lanterns for tidal inference, part 1"]
    site.post(path, {"what": "feed|hf"}, csrf_from=path)
    assert next_titles(site.rt) == []
    saved = re.search(r"/saved/[\w.-]+", site.get(path).text)
    assert saved
    for target in ('feed:"hf"', '"moored buoys"'):
        assert site.post(saved[0], {"act": "mute", "target": target}, csrf_from=saved[0]).status_code == 200
    assert len(next_titles(site.rt)) == 3


def test_what_is_put_off_comes_from_its_day_on_and_saved_papers_are_listed(site: Site, clock: Clock) -> None:
    path = links(site.rt, 2)["snooze"]
    for day in ("", "yesterday", "2026-11-25", "2030-01-01"):
        assert site.post(path, {"until": day}, csrf_from=path).status_code == 400
    assert "30 November 2026" in site.post(path, {"until": "2026-11-30"}, csrf_from=path).text
    assert "Moored buoys" not in next_titles(site.rt)
    save = links(site.rt, 3)["save"]
    saved = re.search(r"/saved/[\w.-]+", site.post(save, csrf_from=save).text)
    assert saved
    page = Elements(site.get(saved[0]).text).text
    assert "Harbour bells" in page
    assert "Moored buoys" in page
    clock.advance(days=5)
    assert next_titles(site.rt)[0] == "Moored buoys"


def test_a_reader_who_has_left_can_say_no_more(site: Site) -> None:
    path = links(site.rt)["save"]
    with site.rt.writing() as session:
        subscribers.update_subscription(session, 1, state="removed")
    assert site.get(path).status_code == 404
