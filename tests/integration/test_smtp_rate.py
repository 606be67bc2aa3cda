"""The pace of channels: so many a second, so many in any hour, over all workers, by setting or as an operator says;
what waits is not lost."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from services.domain.errors import InvalidInput, NotFound, RateLimited
from services.domain.users import Actor
from services.pipeline import rates
from services.pipeline.drain import run_until_idle
from services.runtime import Runtime
from services.storage.tables import Audit, Delivery, Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, plan_edition, store
from tests.fakes import Clock, ScriptedChannel
from tests.integration.command import Broadsheet
from tests.integration.test_cli_doctor import checks
from tests.integration.web_site import PASSWORD, Elements, Site
from workers.web.metrics import exposed

BOSS = Actor(name="boss", role="admin", origin="command")


def _runtime(make_runtime: MakeRuntime, database_url: str, **settings: Any) -> tuple[Runtime, ScriptedChannel]:
    rt = make_runtime(database_url=database_url, smtp_url="smtp://mail.example", gate_scale=1, **settings)
    channel = ScriptedChannel()
    rt.channels = {**rt.channels, "email": channel}
    store(rt, [entry(1)], feed=add_feed(rt, "daily-papers", paused=True))
    for number in range(5):
        plan_edition(rt, f"reader{number}@shore.example", priority=number)
    return rt, channel


def test_no_more_than_the_limit_leave_in_any_hour(
    make_runtime: MakeRuntime, database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = Random(1)
    monkeypatch.setattr(Runtime, "jitter", lambda _: draws.random())
    rt, channel = _runtime(make_runtime, database_url, smtp_per_hour=2)
    run_until_idle(rt, ticking=False)
    assert len(channel.sent) == 2
    for _ in range(24):
        clock.advance(minutes=10)
        run_until_idle(rt, ticking=False)
    assert sorted(to for _, to, _ in channel.sent) == [f"reader{n}@shore.example" for n in range(5)]
    times = sorted(row.sent_at for row in all_rows(rt, Delivery))
    assert all(times[n + 2] - times[n] >= timedelta(hours=1) for n in range(3))


def test_those_that_wait_do_not_all_come_back_for_one_turn(
    make_runtime: MakeRuntime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten mails left evenly over the hour, so that every six minutes there is room for one; forty wait."""
    draws = Random(1)
    monkeypatch.setattr(Runtime, "jitter", lambda _: draws.random())
    rt = make_runtime(smtp_per_hour=10)
    with rt.writing() as session:
        for number in range(50):
            left = number < 10
            sent_at = rt.now() - timedelta(minutes=57 - 6 * number) if left else None
            session.add(
                Delivery(
                    edition_id=number, subscriber_id=1, channel="email", state="accepted" if left else "planned",
                    message_id=f"m{number}", planned_at=rt.now(), sent_at=sent_at, expires_at=rt.now(),
                    updated_at=rt.now(),
                )
            )  # fmt: skip
    waits = []
    for _ in range(40):
        with pytest.raises(RateLimited) as caught:
            rates.keep_to_rate(rt, "email", None)
        assert caught.value.retry_after is not None
        waits.append(caught.value.retry_after // timedelta(minutes=1))
    turns = {3 + 6 * turn + 60 * hour for turn in range(10) for hour in (0, 1)}
    assert set(waits) <= turns, "each wait ends as a turn comes"
    assert len(set(waits)) > 10
    assert max(waits.count(wait) for wait in waits) < 8


def test_mails_keep_their_distance(make_runtime: MakeRuntime, database_url: str, clock: Clock) -> None:
    rt, channel = _runtime(make_runtime, database_url, smtp_per_second=0.5)
    run_until_idle(rt, ticking=False, patience=timedelta(minutes=5))
    assert len(channel.sent) == 5
    times = sorted(row.sent_at for row in all_rows(rt, Delivery))
    assert all(later - earlier >= timedelta(seconds=2) for earlier, later in pairwise(times))


def test_waiting_says_how_long(make_runtime: MakeRuntime) -> None:
    rt, _ = _runtime(make_runtime, "", smtp_per_hour=1)
    run_until_idle(rt, ticking=False)
    with pytest.raises(RateLimited) as caught:
        rates.keep_to_rate(rt, "email", None)
    assert caught.value.retry_after is not None
    assert timedelta(minutes=59) < caught.value.retry_after <= timedelta(hours=2)


# -- slowed down by an operator --------------------------------------------------------------------------------


def test_a_channel_is_slowed_down_from_the_next_message_on_and_let_go_again(
    make_runtime: MakeRuntime, database_url: str, clock: Clock
) -> None:
    rt, channel = _runtime(make_runtime, database_url)
    send = channel.send
    rounds: list[int] = []

    def complained_of(*args: Any, **options: Any) -> Any:
        rounds.append(len(channel.sent))
        if len(rounds) == 1:
            rates.slow_down(rt, BOSS, "email", 2)
        return send(*args, **options)

    channel.send = complained_of  # type: ignore[method-assign]
    run_until_idle(rt, ticking=False)
    assert len(channel.sent) == 2
    assert rates.restore(rt, BOSS, "email") is True
    assert rates.restore(rt, BOSS, "email") is False
    run_until_idle(rt, ticking=False)
    assert len(channel.sent) == 5, "what waited for its turn goes at once"
    assert [(line.act, line.before, line.after) for line in all_rows(rt, Audit)] == [
        ("rate.lower", {"per_hour": None}, {"per_hour": 2}),
        ("rate.restore", {"per_hour": 2}, {"per_hour": None}),
        ("rate.restore", {"per_hour": None}, {"per_hour": None}),
    ]


@pytest.mark.parametrize(("setting", "said", "leave"), [(3, 2, 2), (0, 4, 4), (2, None, 2)])
def test_the_lower_of_setting_and_word_holds(
    make_runtime: MakeRuntime, setting: int, said: int | None, leave: int
) -> None:
    rt, channel = _runtime(make_runtime, "", smtp_per_hour=setting)
    if said:
        rates.slow_down(rt, BOSS, "email", said)
    run_until_idle(rt, ticking=False)
    assert len(channel.sent) == leave


def test_what_waits_at_a_rate_goes_at_once_when_it_is_raised(make_runtime: MakeRuntime) -> None:
    rt, channel = _runtime(make_runtime, "", smtp_per_hour=500)
    rates.slow_down(rt, BOSS, "email", 1)
    run_until_idle(rt, ticking=False)
    assert len(channel.sent) == 1
    rates.slow_down(rt, BOSS, "email", 100)
    run_until_idle(rt, ticking=False)
    assert len(channel.sent) == 5
    with pytest.raises(InvalidInput, match=r"held to 100 an hour; `broadsheet deliveries restore email` .* 500"):
        rates.slow_down(rt, BOSS, "email", 500)


def test_each_channel_has_its_own_rate(make_runtime: MakeRuntime, clock: Clock) -> None:
    rt, mails = _runtime(make_runtime, "")
    posts = ScriptedChannel()
    posts.name = "slack"
    rt.channels = {**rt.channels, "slack": posts}
    for number in range(3):
        plan_edition(rt, f"slack:https://hooks.slack.com/services/T0/B0/X{number}")
    rates.slow_down(rt, BOSS, "slack", 1)
    run_until_idle(rt, ticking=False)
    assert (len(mails.sent), len(posts.sent)) == (5, 1)
    waiting = [job.last_error for job in all_rows(rt, Job, state="ready")]
    assert waiting == ["RateLimited: the hour's messages by slack have left: 1 of 1"] * 2
    for _ in range(24):
        clock.advance(minutes=10)
        run_until_idle(rt, ticking=False)
    assert len(posts.sent) == 3


@pytest.mark.parametrize(
    ("channel", "per_hour", "kind", "words"),
    [
        ("e-mail", 5, NotFound, "did you mean email"),
        ("pigeon", 5, NotFound, "there are: email, slack"),
        ("email", 0, InvalidInput, "pause the stage notify"),
        ("email", 100, InvalidInput, "held to 100 an hour by its setting already"),
    ],
)
def test_what_cannot_be_a_rate_is_refused(
    make_runtime: MakeRuntime, channel: str, per_hour: int, kind: type[Exception], words: str
) -> None:
    rt = make_runtime(smtp_per_hour=100)
    with pytest.raises(kind, match=words):
        rates.slow_down(rt, BOSS, channel, per_hour)
    with rt.reading() as session:
        assert not any(rate.lowered for rate in rates.all_rates(rt, session))


def test_a_rate_is_lowered_and_restored_on_the_page_and_shown_there(make_runtime: MakeRuntime) -> None:
    rt = make_runtime(admin_password=PASSWORD, smtp_per_hour=100)
    site = Site(rt)
    site.login()
    answer = site.post("/admin/rates", {"channel": "email", "per_hour": "40"}, csrf_from="/admin")
    assert answer.headers["location"].startswith("/admin?said=rate_lowered")
    page = site.get("/admin").text
    told = Elements(page).text
    assert "Mails are held to 40 an hour by admin" in told
    assert "40 of 40" in told
    assert "else 100 an hour" in told
    assert b'broadsheet_channel_rate_per_hour{channel="email"} 40.0' in exposed(rt)
    assert site.post("/admin/rates", {"channel": "email", "per_hour": "no"}, csrf_from="/admin").status_code == 400
    assert site.post("/admin/rates/email/restore", csrf_from="/admin").status_code == 303
    assert "held to" not in Elements(site.get("/admin").text).text
    assert b'broadsheet_channel_rate_per_hour{channel="email"} 100.0' in exposed(rt)


def test_a_program_lowers_a_rate_and_restores_it(make_runtime: MakeRuntime) -> None:
    site = Site(make_runtime(admin_password=PASSWORD))
    reads, operates = site.token("read"), site.token("operate")
    assert site.ask("PUT", "/rates/slack", reads, json={"per_hour": 9}).status_code == 403
    assert site.ask("PUT", "/rates/slack", operates, json={"per_hour": 9}).json() == {"done": True, "about": "slack"}
    assert site.ask("PUT", "/rates/slack", operates, json={"per_hour": 0}).status_code == 422
    assert site.ask("PUT", "/rates/pigeon", operates, json={"per_hour": 9}).status_code == 404
    told = {one["channel"]: one for one in site.ask("GET", "/rates", reads).json()["items"]}
    assert (told["slack"]["per_hour"], told["slack"]["lowered_by"]) == (9, "token:a-operate-program")
    assert (told["email"]["per_hour"], told["email"]["lowered_to"]) == (None, None)
    assert site.ask("DELETE", "/rates/slack", operates).json()["done"] is True
    assert site.ask("DELETE", "/rates/slack", operates).json()["done"] is False


def test_a_rate_is_lowered_by_command_and_told_of(broadsheet: Broadsheet) -> None:
    broadsheet.settings["SMTP_PER_HOUR"] = "100"
    assert "deliveries restore email" in broadsheet("deliveries", "slow", "email", 40, code=0).err
    assert broadsheet.json("deliveries", "slow", "slack", 5)["per_hour"] == 5
    listed = {one["channel"]: one for one in broadsheet.json("deliveries", "rates")}
    assert (listed["email"]["per_hour"], listed["email"]["setting"], listed["slack"]["per_hour"]) == (40, 100, 5)
    table = broadsheet("deliveries", "rates", code=0).out
    assert "(else BROADSHEET_SMTP_PER_HOUR, 100)" in table
    assert table.count("no limit") == 2
    rows = {row["name"]: row for row in broadsheet.json("settings")}
    assert (rows["BROADSHEET_SMTP_PER_HOUR"]["value"], rows["BROADSHEET_SMTP_PER_HOUR"]["in_force"]) == (100, 40)
    assert "lowered it to 40 an hour" in broadsheet("settings", code=0).err
    found = checks(broadsheet, "--offline")["rate of email"]
    assert (found["state"], found["advice"]) == ("warn", "broadsheet deliveries restore email")
    assert "100 an hour" in broadsheet("deliveries", "restore", "email", code=0).out
    assert checks(broadsheet, "--offline")["rate of email"]["state"] == "ok"
    assert "was not held" in broadsheet("deliveries", "restore", "email", code=0).out
    assert "did you mean slack" in broadsheet("deliveries", "slow", "slac", 5, code=1).err
