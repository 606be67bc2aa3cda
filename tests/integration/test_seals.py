"""Addresses that are secrets are sealed in the database; the secret key can be changed, and a wrong one is told of."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from services.domain.seals import WrongKey
from services.domain.tokens import make_token
from services.domain.users import Actor
from services.pipeline import operate, secret_keys
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import seals, subscribers, suppressions
from services.storage.tables import Audit, Feed, Subscriber
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.integration.command import Broadsheet
from tests.integration.web_site import Site

HOOK = "webhook:https://hook.example/in/s3cr3t-path?token=t0k3n"
SLACK = "slack:https://hooks.slack.com/services/T0AAAA/B0AAAA/XsecretX"
ME = Actor(name="ada", role="admin", origin="command")
OLD, NEW = "the key of before and of some length", "the key of now and of some length too"


def reader(rt: Runtime, to: str = HOOK, **wish: object) -> tuple[int, int]:
    with rt.writing() as session:
        subscription, subscriber = subscribe(rt, session, to=to, confirmed=True, **wish)  # type: ignore[arg-type]
        return subscription.id or 0, subscriber.id or 0


def everything(rt: Runtime) -> str:
    """All the database holds of subscribers, as it is there."""
    with rt.reading() as session:
        return "\n".join(map(str, session.execute(text("SELECT * FROM subscribers")).all()))


def address(rt: Runtime, subscriber_id: int) -> str:
    with rt.reading() as session:
        return subscribers.get(session, subscriber_id).address


def test_a_webhooks_address_is_sealed_and_known_again(rt: Runtime) -> None:
    for to in (HOOK, SLACK):
        _, who = reader(rt, to)
        assert reader(rt, to, name="another")[1] == who, "one address subscribes once"
        assert address(rt, who) == to.partition(":")[2]
    kept = everything(rt)
    assert kept.count("sealed:") == 2
    for secret in ("s3cr3t", "t0k3n", "hook.example", "XsecretX"):
        assert secret not in kept


def test_mail_addresses_stay_to_be_looked_for_and_sealed_ones_are_found_whole(rt: Runtime) -> None:
    mail, _ = reader(rt, "ada@example.org")
    hook, _ = reader(rt)
    with rt.reading() as session:
        for words, found in (("ADA@", [mail]), ("hook.example", []), (HOOK.partition(":")[2], [hook])):
            assert [s.id for s, _ in subscribers.page(session, text=words)] == found


def test_a_suppressed_webhook_is_one_whoever_subscribes_it(rt: Runtime) -> None:
    key = operate.suppress(rt, ME, HOOK, detail="by telephone")
    assert "hook.example" not in key
    _, who = reader(rt)
    with rt.reading() as session:
        assert subscribers.get(session, who).state == "suppressed"
    operate.lift(rt, ME, key)
    with rt.reading() as session:
        assert subscribers.get(session, who).state == "active"
        assert suppressions.find(session, key) is None
    assert all("s3cr3t" not in f"{row.subject}{row.after}{row.detail}" for row in all_rows(rt, Audit))


def test_the_file_holds_no_secret_of_an_address(make_runtime: MakeRuntime, home: Path) -> None:
    rt = make_runtime()
    operate.add_subscription(rt, ME, to=HOOK)
    operate.add_subscription(rt, ME, to=SLACK)
    rt.close()
    held = b"".join(path.read_bytes() for path in home.glob("broadsheet.db*"))
    assert b"sealed:" in held
    for secret in (b"s3cr3t", b"t0k3n", b"XsecretX"):
        assert secret not in held


def test_another_key_rotates_in_batches_and_goes_on_where_it_was_stopped(
    make_runtime: MakeRuntime, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_runtime(database_url=database_url, secret_key=OLD)
    ids = [reader(before, f"{HOOK}&n={n}")[1] for n in range(5)]
    rt = make_runtime(database_url=database_url, secret_key=NEW, old_secret_keys=f" {OLD} ,")
    assert sum(secret_keys.stale(rt).values()) == 6  # and the key of the hashes
    assert [address(rt, who)[-1] for who in ids] == list("01234")
    monkeypatch.setattr(secret_keys, "BATCH", 2)

    class Stopped(Exception):
        pass

    def stop(_: str) -> None:
        raise Stopped

    rt.checkpoint = stop
    with pytest.raises(Stopped):
        secret_keys.rotate(rt, ME)
    assert sum(secret_keys.stale(rt).values()) == 4
    rt.checkpoint = lambda _: None
    assert secret_keys.rotate(rt, ME) == secret_keys.Rotated(resealed=4, lost=0)
    assert secret_keys.rotate(rt, ME).resealed == 0
    alone = make_runtime(database_url=database_url, secret_key=NEW)
    assert [address(alone, who)[-1] for who in ids] == list("01234")
    assert reader(alone, f"{HOOK}&n=3")[1] == ids[3], "the names of addresses stay the same"


def test_without_the_key_the_error_says_what_to_do(make_runtime: MakeRuntime) -> None:
    _, who = reader(make_runtime(secret_key=OLD))
    rt = make_runtime(secret_key=NEW)
    with pytest.raises(WrongKey, match=r"BROADSHEET_OLD_SECRET_KEYS.*--forget-lost"):
        address(rt, who)
    with pytest.raises(WrongKey), rt.writing() as session:
        seals.check(session)
    with pytest.raises(WrongKey):
        secret_keys.rotate(rt, ME)


def test_what_no_key_opens_is_given_up_when_a_person_says_so(make_runtime: MakeRuntime) -> None:
    before = make_runtime(secret_key=OLD)
    (_, who), (_, mail) = reader(before), reader(before, "ada@example.org")
    rt = make_runtime(secret_key=NEW)
    assert secret_keys.rotate(rt, ME, forget_lost=True) == secret_keys.Rotated(resealed=0, lost=2)
    (lost, kept) = all_rows(rt, Subscriber)
    assert (lost.id, lost.address, lost.state) == (who, "", "unsubscribed")
    assert (kept.id, kept.address) == (mail, "ada@example.org")
    assert reader(rt)[1] not in {who, mail}


def test_a_feed_whose_key_no_secret_key_opens_is_paused(make_runtime: MakeRuntime) -> None:
    keyed = "https://lab.example/feed?api_key=hush"
    add_feed(make_runtime(secret_key=OLD), "lab", "rss", url=keyed)
    between = make_runtime(secret_key=NEW, old_secret_keys=OLD)
    assert secret_keys.rotate(between, ME) == secret_keys.Rotated(resealed=1, lost=0)
    assert all_rows(make_runtime(secret_key=NEW), Feed)[0].url == keyed
    rt = make_runtime(secret_key="a third key, and of some length too")
    assert secret_keys.rotate(rt, ME, forget_lost=True).lost == 1
    (feed,) = all_rows(rt, Feed)
    assert (feed.url, feed.paused) == ("", True)
    assert "sealed with a secret key that is lost" in feed.last_error


def test_links_signed_with_an_old_key_open_within_their_life(make_runtime: MakeRuntime) -> None:
    row, _ = reader(make_runtime(secret_key=OLD), "ada@example.org")
    path = f"/preferences/{make_token(OLD, 'preferences', row, 1)}"
    assert Site(make_runtime(secret_key=NEW, old_secret_keys=OLD)).get(path).status_code == 200
    assert Site(make_runtime(secret_key=NEW)).get(path).status_code == 404


def test_a_seal_that_was_changed_is_refused(rt: Runtime) -> None:
    _, who = reader(rt)
    with rt.writing() as session:
        session.execute(text("UPDATE subscribers SET address = replace(address, 'gAAAA', 'gBBBB')"))
    with pytest.raises(WrongKey, match="has been changed"):
        address(rt, who)


# -- the command line ------------------------------------------------------------------------------------------


def sealed_row(broadsheet: Broadsheet) -> str:
    """What doctor says of sealed rows: its state and words."""
    broadsheet.settings["SMTP_URL"] = ""
    (check,) = [
        one for one in broadsheet("doctor", "--offline", "--json").data["checks"] if one["name"] == "sealed rows"
    ]
    return f"{check['state']}: {check['message']}; {check['advice']}"


def test_the_key_is_changed_by_command(broadsheet: Broadsheet) -> None:
    broadsheet.settings["SECRET_KEY"] = OLD
    broadsheet("subscriptions", "add", "--to", HOOK, code=0)
    assert sealed_row(broadsheet).startswith("ok: 2 rows, all by the newest")
    broadsheet.settings["SECRET_KEY"] = NEW
    assert sealed_row(broadsheet).startswith("fail: 2 rows sealed with a secret key that is not set")
    said = broadsheet("subscriptions", "list", code=1)
    assert "BROADSHEET_OLD_SECRET_KEYS" in said.err
    broadsheet.settings["OLD_SECRET_KEYS"] = OLD
    assert "2 rows still depend on an old secret key; broadsheet secrets rotate" in sealed_row(broadsheet)
    assert broadsheet.json("subscriptions", "list")[0]["to"] == HOOK
    assert broadsheet.json("secrets", "rotate") == {"resealed": 2, "lost": 0}
    del broadsheet.settings["OLD_SECRET_KEYS"]
    assert sealed_row(broadsheet).startswith("ok")
    assert broadsheet.json("subscriptions", "list")[0]["to"] == HOOK
    assert broadsheet.json("audit")[0]["act"] == "secret.rotate"


def test_a_backup_is_sealed_and_comes_back_where_its_key_is(broadsheet: Broadsheet, tmp_path: Path) -> None:
    broadsheet.settings["SECRET_KEY"] = OLD
    broadsheet("subscriptions", "add", "--to", HOOK, code=0)
    broadsheet("backup", tmp_path / "b.db", code=0)
    assert b"s3cr3t" not in (tmp_path / "b.db").read_bytes()
    broadsheet("subscriptions", "wipe", HOOK, "--yes", code=0)
    broadsheet("restore", tmp_path / "b.db", "--yes", code=0)
    assert broadsheet.json("subscriptions", "list")[0]["to"] == HOOK
    broadsheet.settings["SECRET_KEY"] = NEW
    said = broadsheet("restore", tmp_path / "b.db", "--yes", code=0)
    assert "BROADSHEET_OLD_SECRET_KEYS" in said.err, "a restored database whose key is not set is told of at once"
