"""`broadsheet subscriptions`, `editions`, `deliveries` and `papers explain`: who gets what, once, and why."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command import SAMPLES, Broadsheet
from tests.servers import MailSink

DELIVERY_KEYS = {"id", "edition", "to", "channel", "state", "message_id", "attempts", "papers"}


@pytest.fixture
def stocked(broadsheet: Broadsheet) -> Broadsheet:
    """An archive with two papers: one on weather in a jar, one on other things."""
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    return broadsheet


def subscribe(broadsheet: Broadsheet, *args: object) -> dict[str, Any]:
    """Add a confirmed subscription."""
    found: dict[str, Any] = broadsheet.json("subscriptions", "add", "--confirmed", *args)
    return found


# -- subscriptions ---------------------------------------------------------------------------------------------


def test_a_subscription_is_added_shown_and_listed(broadsheet: Broadsheet) -> None:
    made = subscribe(
        broadsheet, "--to", "Ada@Example.org", "--query", "title:weather", "--cadence", "weekdays", "--at", "07:30",
        "--timezone", "Europe/Berlin", "--budget", "5", "--feed", "daily-papers",
    )  # fmt: skip
    assert made["to"].lower() == "ada@example.org"
    assert (made["cadence"], made["at"], made["timezone"], made["budget"]) == ("weekdays", "07:30", "Europe/Berlin", 5)
    assert (made["feeds"], made["state"], made["subscriber_state"]) == (["daily-papers"], "active", "active")
    assert made["next_edition_at"]
    assert broadsheet.json("subscriptions", "list") == [made]
    assert broadsheet.json("subscriptions", "show", made["id"]) == made | {"editions": []}
    assert "title:weather" in broadsheet("subscriptions", "list", code=0).out


def test_adding_the_same_again_brings_it_up_to_date(broadsheet: Broadsheet) -> None:
    first = subscribe(broadsheet, "--to", "ada@example.org", "--budget", "5")
    said = broadsheet("subscriptions", "add", "--to", "ada@example.org", "--budget", "7", code=0)
    assert said.out.startswith(f"Updated subscription {first['id']}")
    assert [s["budget"] for s in broadsheet.json("subscriptions", "list")] == [7]


def test_nothing_is_sent_to_an_address_that_nobody_confirmed(stocked: Broadsheet, home: Path) -> None:
    made = stocked.json("subscriptions", "add", "--to", "ada@example.org")
    assert made["subscriber_state"] == "pending"
    said = stocked("subscriptions", "add", "--to", "ada@example.org", code=0)
    assert f"subscriptions confirm {made['id']}" in said.err
    said = stocked("editions", "send", "--subscription", made["id"], "--now", code=1)
    assert "pending" in said.err
    assert not (home / "outbox").exists()
    assert stocked.json("subscriptions", "confirm", made["id"])["subscriber_state"] == "active"
    assert stocked.json("editions", "send", "--subscription", made["id"], "--now")["state"] == "sent"


def test_whoever_gives_a_webhook_has_agreed(broadsheet: Broadsheet) -> None:
    assert broadsheet.json("subscriptions", "add", "--to", "slack:outbox")["subscriber_state"] == "active"


def test_pausing_resuming_and_removing(stocked: Broadsheet) -> None:
    made = subscribe(stocked, "--to", "ada@example.org")
    assert stocked.json("subscriptions", "pause", made["id"])["state"] == "paused"
    assert "paused" in stocked("editions", "send", "-s", made["id"], "--now", code=1).err
    resumed = stocked.json("subscriptions", "resume", made["id"])
    assert (resumed["state"], bool(resumed["next_edition_at"])) == ("active", True)
    until = stocked.json("subscriptions", "pause", made["id"], "--until", "2999-01-01")
    assert (until["state"], until["paused_until"]) == ("active", "2999-01-01")
    assert "paused" in stocked("editions", "send", "-s", made["id"], "--now", code=1).err
    assert "not in the future" in stocked("subscriptions", "pause", made["id"], "--until", "2020-01-01", code=1).err
    assert "say --yes" in stocked("subscriptions", "remove", made["id"], code=2).err
    stocked("subscriptions", "remove", made["id"], "--yes", code=0)
    assert stocked.json("subscriptions", "list") == []
    assert [s["state"] for s in stocked.json("subscriptions", "list", "--all")] == ["removed"]
    assert "removed" in stocked("editions", "send", "-s", made["id"], "--now", code=1).err


# -- editions --------------------------------------------------------------------------------------------------


def test_a_preview_comes_in_every_form_and_writes_nothing_down(stocked: Broadsheet, tmp_path: Path) -> None:
    made = subscribe(stocked, "--to", "ada@example.org")
    text = stocked("editions", "preview", "--subscription", made["id"], code=0).out
    assert text.startswith("Subject: ")
    assert "Weather in a Jar" in text
    assert "<html" in stocked("editions", "preview", "-s", made["id"], "--format", "html", code=0).out
    slack = json.loads(stocked("editions", "preview", "-s", made["id"], "--format", "slack", code=0).out)
    assert slack["blocks"]
    data = json.loads(stocked("editions", "preview", "-s", made["id"], "--format", "json", code=0).out)
    assert "Weather in a Jar" in json.dumps(data)
    stocked("editions", "preview", "-s", made["id"], "--format", "html", "--out", tmp_path / "e.html", code=0)
    assert "<html" in (tmp_path / "e.html").read_text()
    assert stocked.json("editions", "list") == []
    assert stocked.json("runs", "list") == []


def test_an_edition_is_sent_once(stocked: Broadsheet, mail: MailSink) -> None:
    stocked.settings |= {"SMTP_URL": mail.url, "MAIL_FROM": "Broadsheet <news@papers.example>"}
    made = subscribe(stocked, "--to", "ada@example.org")
    sent = stocked.json("editions", "send", "--subscription", made["id"], "--now")
    assert (sent["state"], len(sent["papers"]), sent["error"]) == ("sent", 2, None)
    again = stocked.json("editions", "send", "--subscription", made["id"], "--now")
    assert (again["state"], again["edition"]) == ("already_sent", sent["edition"])
    assert "Already sent" in stocked("editions", "send", "--subscription", made["id"], code=0).out
    assert mail.recipients == ["ada@example.org"]
    (delivery,) = stocked.json("deliveries", "list")
    assert stocked.json("deliveries", "list", "--reader", delivery["to"]) == [delivery]
    assert set(delivery) >= DELIVERY_KEYS
    assert (delivery["to"], delivery["channel"], delivery["state"]) == ("ada@example.org", "email", "accepted")
    assert delivery["papers"] == sent["papers"]
    received = message_from_bytes(mail.received[0], policy=policy.default)
    assert received["Message-ID"] == delivery["message_id"]
    (edition,) = stocked.json("editions", "list")
    assert (edition["papers"], edition["matched"], edition["skipped"]) == (sent["papers"], 2, None)
    assert "accepted" in stocked("editions", "list", code=0).out


def test_without_now_an_edition_waits_for_its_feeds(stocked: Broadsheet, quiet_feeds: Path) -> None:
    made = subscribe(stocked, "--to", "slack:outbox")
    quiet_feeds.write_text('[[feed]]\nname = "late"\nkind = "rss"\ntitle = "Late"\nurl = "https://late.example/feed"\n')
    stocked("feeds", "list", code=0)
    waiting = stocked.json("editions", "send", "--subscription", made["id"], code=1)
    assert (waiting["state"], waiting["edition"]) == ("waiting", None)
    assert "late" in waiting["error"]
    assert stocked.json("editions", "send", "--subscription", made["id"], "--now")["state"] == "sent"


def test_nothing_new_is_sent_to_nobody(stocked: Broadsheet, home: Path) -> None:
    made = subscribe(stocked, "--to", "ada@example.org", "--query", "zeppelin")
    assert stocked.json("editions", "send", "--subscription", made["id"], "--now")["state"] == "empty"
    assert stocked.json("deliveries", "list") == []
    said = stocked("deliveries", "resend", stocked.json("editions", "list")[0]["id"], code=0)
    assert "no papers" in said.out


def test_a_refused_mail_is_told_and_resent_to_nobody_twice(stocked: Broadsheet, mail: MailSink) -> None:
    stocked.settings["SMTP_URL"] = mail.url
    made = subscribe(stocked, "--to", "ada@example.org")
    mail.refuses_next("550 5.1.1 no such user")
    failed = stocked.json("editions", "send", "--subscription", made["id"], "--now", code=1)
    assert failed["state"] == "failed"
    assert "5.1.1" in failed["error"]
    assert f"deliveries resend {failed['edition']}" in failed["error"]
    assert [d["state"] for d in stocked.json("deliveries", "list", "--state", "failed")] == ["failed"]
    assert stocked.json("deliveries", "list", "--state", "accepted") == []
    again = stocked.json("deliveries", "resend", failed["edition"])
    assert (again["resent"], [d["state"] for d in again["deliveries"]]) == (1, ["accepted"])
    assert stocked.json("deliveries", "resend", failed["edition"])["resent"] == 0
    assert "Everybody has" in stocked("deliveries", "resend", failed["edition"], code=0).out
    assert mail.recipients == ["ada@example.org"]


def test_a_mail_server_that_says_later_is_tried_again_by_the_service(stocked: Broadsheet, mail: MailSink) -> None:
    stocked.settings |= {"SMTP_URL": mail.url, "RETRY_FIRST_S": "0.1"}
    made = subscribe(stocked, "--to", "ada@example.org")
    mail.refuses_next("451 4.7.1 greylisted")
    later = stocked.json("editions", "send", "--subscription", made["id"], "--now", code=1)
    assert later["deliveries"][0]["state"] == "deferred"
    assert "tried again" in later["error"]
    stocked("run", "--once", "--patience", "5", code=0)
    assert [d["state"] for d in stocked.json("deliveries", "list")] == ["accepted"]
    assert len(mail.received) == 1


def test_addresses_of_webhooks_are_hidden_from_people_and_whole_for_scripts(broadsheet: Broadsheet) -> None:
    hook = "https://hooks.slack.com/services/T00000000/B00000000/secretsecretsecret"
    said = broadsheet("subscriptions", "add", "--to", f"slack:{hook}", code=0)
    said2 = broadsheet("subscriptions", "list", code=0)
    assert "secretsecret" not in said.out + said.err + said2.out
    assert broadsheet.json("subscriptions", "list")[0]["to"] == f"slack:{hook}"


# -- why -------------------------------------------------------------------------------------------------------


def verdict(broadsheet: Broadsheet, key: str, subscription: int) -> dict[str, Any]:
    """Why a subscription did, or did not, get a paper."""
    (found,) = broadsheet.json("papers", "explain", key, "--subscription", subscription)["subscriptions"]
    answer: dict[str, Any] = found
    return answer


def test_explain_tells_where_a_paper_came_from(stocked: Broadsheet) -> None:
    told = stocked.json("papers", "explain", "2611.04001")
    assert [(s["feed"], s["rank"]) for s in told["sightings"]] == [("daily-papers", 1)]
    assert [s["source"] for s in told["statements"]] == ["hf_papers"]
    assert "upvotes" in told["statements"][0]["fields"]
    assert told["subscriptions"] == []
    assert "No subscriptions yet" in stocked("papers", "explain", "2611.04001", code=0).out


def test_explain_names_the_rule_that_cut_a_paper(stocked: Broadsheet) -> None:
    cut = subscribe(stocked, "--to", "ada@example.org", "--query", "weather -jar")["id"]
    other = subscribe(stocked, "--to", "ada@example.org", "--query", "zeppelin")["id"]
    assert verdict(stocked, "2611.04001", cut)["state"] == "excluded"
    assert 'matches "jar"' in verdict(stocked, "2611.04001", cut)["excluded_by"]
    assert verdict(stocked, "2611.04001", other)["state"] == "not_matched"
    told = stocked.json("papers", "explain", "2611.04001", "--to", "ada@example.org")
    assert [v["subscription"] for v in told["subscriptions"]] == [cut, other]
    assert "nobody is subscribed" in stocked("papers", "explain", "2611.04001", "--to", "b@example.org", code=1).err


def test_explain_follows_a_paper_from_waiting_to_delivered(stocked: Broadsheet) -> None:
    made = subscribe(stocked, "--to", "ada@example.org", "--query", "weather")["id"]
    waiting = verdict(stocked, "2611.04001", made)
    assert (waiting["state"], waiting["rank"], waiting["of"], waiting["matched"]) == ("next", 1, 1, True)
    assert 'matches "weather" in the title' in waiting["why"][0]
    sent = stocked.json("editions", "send", "--subscription", made, "--now")
    delivered = verdict(stocked, "2611.04001", made)
    assert (delivered["state"], delivered["edition"], delivered["rank"]) == ("delivered", sent["edition"], 1)
    assert [d["state"] for d in delivered["deliveries"]] == ["accepted"]
    assert "sent: rank 1" in stocked("papers", "explain", "2611.04001", "--subscription", made, code=0).out


def test_explain_says_that_a_paper_ranked_beyond_the_budget(stocked: Broadsheet, home: Path) -> None:
    import sqlite3

    made = subscribe(stocked, "--to", "ada@example.org", "--budget", "1")["id"]
    sent = stocked.json("editions", "send", "--subscription", made, "--now")
    (missed,) = {p["key"] for p in stocked.json("papers", "list")} - set(sent["papers"])
    # For an hour after an edition what it passed over is still looked at by the next: let that hour pass.
    with sqlite3.connect(home / "broadsheet.db") as db:
        later = "strftime('%Y-%m-%d %H:%M:%f000', composed_at, '+2 hours')"
        db.execute(f"UPDATE editions SET composed_at = {later}")
    db.close()
    told = verdict(stocked, missed, made)
    assert (told["state"], told["rank"], told["of"], told["budget"]) == ("beyond_budget", 2, 2, 1)
    assert told["period"] == sent["period"]


def test_explain_says_what_was_never_considered(stocked: Broadsheet, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"id": "2611.90001", "title": "Kelp forests of experts", "abstract": "Kelp."}\n')
    stocked("import", tmp_path / "r.jsonl", "--feed", "files", code=0)
    made = subscribe(stocked, "--to", "ada@example.org", "--feed", "daily-papers")["id"]
    told = verdict(stocked, "2611.90001", made)
    assert told["state"] == "not_considered"
    assert "files" in told["answer"]
    pending = stocked.json("subscriptions", "add", "--to", "new@example.org")["id"]
    assert verdict(stocked, "2611.04001", pending)["state"] == "inactive"
