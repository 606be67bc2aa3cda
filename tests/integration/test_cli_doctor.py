"""`broadsheet doctor` and `broadsheet settings`: what is wrong is found, and told with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from tests.fakes import Clock
from tests.integration.command import Broadsheet
from tests.login_provider import LoginProvider, make_key
from tests.servers import MailSink, RedisServer, free_port
from workers.demo.replay import Replay


def checks(broadsheet: Broadsheet, *args: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The checks by name (of several with one name, the worst)."""
    document = broadsheet.json("doctor", *args, code=code)
    assert document["ok"] == (code == 0)
    order = ("ok", "warn", "fail")
    return {c["name"]: c for c in sorted(document["checks"], key=lambda c: order.index(c["state"]))}


def test_a_sound_installation_passes(online: Broadsheet, today_replay: Replay, mail: MailSink) -> None:
    online.settings |= {
        "SMTP_URL": mail.url, "PUBLIC_URL": "https://papers.example", "MAIL_FROM": "News <news@papers.example>",
    }  # fmt: skip
    found = checks(online)
    for name in ("settings", "home", "disk", "secret key", "database", "feeds.toml", "broker", "mail", "clock", "work"):
        assert found[name]["state"] == "ok", found[name]
    assert found["upstream Hugging Face"]["state"] == "ok"
    assert found["processes"]["advice"]
    assert mail.received == []
    assert today_replay.slack_payloads == []
    said = online("doctor", code=0)
    assert "Nothing stands in the way" in said.out


def test_doctor_changes_nothing(broadsheet: Broadsheet, tmp_path: Path) -> None:
    fresh = Broadsheet({"HOME": str(tmp_path / "fresh")})
    found = checks(fresh, "--offline")
    assert "first start" in found["database"]["message"]
    assert not (tmp_path / "fresh" / "broadsheet.db").exists()


def test_an_upstream_that_is_down_fails_only_where_a_feed_needs_it(
    online: Broadsheet, today_replay: Replay, quiet_feeds: Path
) -> None:
    online("feeds", "list", code=0)
    today_replay.is_down("/hf")
    assert checks(online)["upstream Hugging Face"]["state"] == "warn"
    online("feeds", "resume", "daily-papers", code=0)
    found = checks(online, code=1)["upstream Hugging Face"]
    assert (found["state"], "503" in found["message"]) == ("fail", True)
    assert found["advice"]


def test_a_login_provider_is_asked_who_it_is(online: Broadsheet, clock: Clock) -> None:
    with LoginProvider(clock, make_key("one")) as provider:
        online.settings |= {name.upper(): value for name, value in provider.settings().items()}
        assert checks(online)["login provider"]["state"] == "ok"
        provider.described = {"issuer": "https://login.example.net"}
        found = checks(online, code=1)["login provider"]
        assert found["state"] == "fail"
        assert "calls itself 'https://login.example.net'" in found["message"]
    gone = checks(online, code=1)["login provider"]
    assert gone["state"] == "fail"
    assert "BROADSHEET_OIDC_ISSUER" in gone["advice"]
    assert "login provider" not in checks(online, "--offline")


def test_settings_at_fault_are_told_line_by_line(broadsheet: Broadsheet) -> None:
    broadsheet.settings |= {"POLL_S": "-1", "PUBLIC_URL": "nowhere"}
    document = broadsheet.json("doctor", "--offline", code=1)
    assert [c["message"].partition(":")[0] for c in document["checks"]] == [
        "BROADSHEET_PUBLIC_URL",
        "BROADSHEET_POLL_S",
    ]


def test_a_misspelt_setting_is_found(broadsheet: Broadsheet) -> None:
    broadsheet.settings["SMPT_URL"] = "smtp://mail.example"
    found = checks(broadsheet, "--offline")["settings"]
    assert found["state"] == "warn"
    assert "BROADSHEET_SMTP_URL" in found["advice"]


def test_a_broken_feeds_toml_fails(broadsheet: Broadsheet, quiet_feeds: Path) -> None:
    quiet_feeds.write_text('[[feed]]\nname = "x"\nkind = "arxiv_api"\ntitle = "no query"\n')
    assert "query" in checks(broadsheet, "--offline", code=1)["feeds.toml"]["message"]
    quiet_feeds.write_text("[[feed]\n")
    assert "TOML" in checks(broadsheet, "--offline", code=1)["feeds.toml"]["message"]


def test_a_damaged_database_fails(broadsheet: Broadsheet, home: Path) -> None:
    (home / "broadsheet.db").write_bytes(b"junk" * 1000)
    found = checks(broadsheet, "--offline", code=1)["database"]
    assert found["state"] == "fail"
    assert "broadsheet restore" in found["advice"]


def test_a_database_that_cannot_be_opened_is_not_called_damaged(broadsheet: Broadsheet, home: Path) -> None:
    (home / "broadsheet.db").unlink(missing_ok=True)
    (home / "broadsheet.db").mkdir()
    found = checks(broadsheet, "--offline", code=1)["database"]
    assert "restore" not in found["advice"]
    assert "can be read and written" in found["advice"]


def test_a_database_server_that_is_away_fails_without_its_password(broadsheet: Broadsheet) -> None:
    broadsheet.settings["DATABASE_URL"] = f"postgresql://u:hunter2hunter2@127.0.0.1:{free_port()}/x"
    said = broadsheet("doctor", "--offline", code=1)
    assert "fail  database" in said.out
    assert said.out.splitlines()[-1].startswith("1 failed, ")
    assert said.err == ""
    assert "hunter2hunter2" not in said.out + said.err


def test_a_feed_that_fails_is_named_with_its_reason(broadsheet: Broadsheet, quiet_feeds: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}/feed.xml"
    broadsheet.settings["ALLOWED_PRIVATE_HOSTS"] = address.split("/")[2]
    broadsheet("feeds", "add", address, "--name", "lab", "--no-check")
    broadsheet("feeds", "fetch", "lab", code=1)
    feed = checks(broadsheet, "--offline")["feed lab"]
    assert (feed["state"], "failed once" in feed["message"], "refused" in feed["message"]) == ("warn", True, True)


def test_links_of_a_key_that_is_kept_but_not_set_are_a_warning(broadsheet: Broadsheet, home: Path) -> None:
    broadsheet("feeds", "list")
    kept = (home / "secret_key").read_text().strip()
    broadsheet.settings["SECRET_KEY"] = "another key of more than thirty-two characters"
    assert checks(broadsheet, "--offline")["secret key"]["state"] == "warn"
    broadsheet.settings["OLD_SECRET_KEYS"] = kept
    assert checks(broadsheet, "--offline")["secret key"]["state"] == "ok"


def test_a_key_file_that_holds_no_key_stands_in_nobodys_way(broadsheet: Broadsheet, home: Path) -> None:
    broadsheet.settings["SECRET_KEY"] = "a key of more than thirty-two characters"
    (home / "secret_key").write_bytes(b"")
    assert checks(broadsheet, "--offline")["secret key"]["state"] == "ok"
    (home / "secret_key").write_bytes(b"\xff\xfe another")
    assert checks(broadsheet, "--offline")["secret key"]["state"] == "warn"
    (home / "secret_key").unlink()
    (home / "secret_key").mkdir()  # not even root reads it
    assert checks(broadsheet, "--offline")["secret key"]["state"] == "ok"


@pytest.mark.parametrize("held", [b"", b"\xff\xfe another"])
def test_where_no_other_key_is_set_such_a_file_stops_everything(
    broadsheet: Broadsheet, home: Path, held: bytes
) -> None:
    home.mkdir(exist_ok=True)
    (home / "secret_key").write_bytes(held)
    assert "holds no key" in checks(broadsheet, "--offline", code=1)["secret key"]["message"]
    assert "holds no key" in broadsheet("papers", "list", code=2).err


def test_a_key_others_can_read_is_a_warning(broadsheet: Broadsheet, home: Path) -> None:
    broadsheet("papers", "list", code=0)
    (home / "secret_key").chmod(0o644)
    assert "chmod 600" in checks(broadsheet, "--offline")["secret key"]["advice"]
    broadsheet.settings["SECRET_KEY"] = "short"
    assert checks(broadsheet, "--offline")["secret key"]["state"] == "warn"


def test_links_that_lead_nowhere_are_a_warning(broadsheet: Broadsheet, mail: MailSink) -> None:
    broadsheet.settings["SMTP_URL"] = mail.url
    assert "BROADSHEET_PUBLIC_URL" in checks(broadsheet, "--offline")["public address"]["advice"]
    broadsheet.settings["PUBLIC_URL"] = "http://papers.example"
    assert "one-click" in checks(broadsheet, "--offline")["public address"]["message"]


def test_redis_must_not_evict(broadsheet: Broadsheet, redis: RedisServer) -> None:
    broadsheet.settings["BROKER_URL"] = redis.url
    assert checks(broadsheet, "--offline")["broker"]["state"] == "ok"
    with eviction(redis, "allkeys-lru"):
        found = checks(broadsheet, "--offline", code=1)["broker"]
    assert "allkeys-lru" in found["message"]
    assert "noeviction" in found["advice"]
    broadsheet.settings["BROKER_URL"] = f"redis://:hunter2hunter2@127.0.0.1:{free_port()}/0"
    said = broadsheet("doctor", "--offline", code=1)
    assert "fail  broker" in said.out
    assert "hunter2hunter2" not in said.out


@contextmanager
def eviction(server: RedisServer, policy: str) -> Iterator[None]:
    """A Redis that drops what it has no room for, and as it was afterwards."""
    import redis

    client = redis.Redis.from_url(server.url)
    client.config_set("maxmemory-policy", policy)
    try:
        yield
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.close()


@pytest.mark.parametrize("scheme", ["smtp", "smtps", "smtp+starttls"])
def test_a_mail_server_that_is_away_or_speaks_otherwise_fails_without_the_password(
    online: Broadsheet, mail: MailSink, scheme: str
) -> None:
    port = free_port() if scheme == "smtp" else int(mail.url.rpartition(":")[2])
    login = "" if scheme == "smtp" else "ada:hunter2hunter2@"
    online.settings["SMTP_URL"] = f"{scheme}://{login}127.0.0.1:{port}"
    said = online("doctor", code=1)
    assert "fail  mail" in said.out
    assert "hunter2hunter2" not in said.out + said.err
    assert mail.received == []


def test_a_clock_that_is_off_is_found() -> None:
    from datetime import UTC, datetime, timedelta

    from workers.commands.remote_checks import check_clock

    now = datetime.now(UTC)
    assert check_clock([now, now + timedelta(hours=3)]).state == "ok", "one upstream's clock may be wrong"
    assert check_clock([now - timedelta(minutes=2)]).state == "warn"
    assert check_clock([now - timedelta(hours=2)]).state == "fail"
    assert check_clock([]).state == "warn"


# -- settings --------------------------------------------------------------------------------------------------


def test_every_setting_is_listed_with_its_source_and_secrets_are_hidden(broadsheet: Broadsheet, tmp_path: Path) -> None:
    broadsheet.settings |= {"GITHUB_TOKEN": "ghp_hunter2hunter2", "SMTP_URL": "smtps://ada:hunter2hunter2@mail.example"}
    broadsheet.settings["BROKER_URL"] = "redis://:hunter2hunter2@redis.example/0"
    (tmp_path / ".env").write_text("BROADSHEET_POLL_S=7\nBROADSHEET_ADMIN_PASSWORD=hunter2hunter2\n")
    said = broadsheet("settings", "--json", code=0)
    assert "hunter2hunter2" not in said.out
    rows = {row["name"]: row for row in said.data}
    assert set(rows) == {f"BROADSHEET_{name.upper()}" for name in Settings.model_fields}
    assert (rows["BROADSHEET_POLL_S"]["value"], rows["BROADSHEET_POLL_S"]["source"]) == (7, ".env")
    assert (rows["BROADSHEET_GITHUB_TOKEN"]["value"], rows["BROADSHEET_GITHUB_TOKEN"]["source"]) == (
        "***",
        "environment",
    )
    assert rows["BROADSHEET_TICK_S"]["source"] == "default"
    assert rows["BROADSHEET_BROKER_URL"]["value"].startswith("redis://:***@")
    shown = broadsheet("settings", code=0).out
    assert "hunter2hunter2" not in shown
    assert "BROADSHEET_POLL_S" in shown


def test_the_table_for_the_readme_names_every_setting(broadsheet: Broadsheet) -> None:
    lines = broadsheet("settings", "--markdown", code=0).out.splitlines()
    assert lines[:2] == ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    named = [line.split("`")[1] for line in lines[2:]]
    assert named == [f"BROADSHEET_{name.upper()}" for name in Settings.model_fields]
    assert all(line.count(" | ") == 2 and line.endswith(" |") for line in lines[2:])


def test_the_table_does_not_depend_on_what_is_set_here(broadsheet: Broadsheet) -> None:
    plain = broadsheet("settings", "--markdown", code=0).out
    broadsheet.settings |= {"POLL_S": "-1", "HOME": "/proc/nowhere"}
    assert broadsheet("settings", "--markdown", code=0).out == plain


def test_a_home_that_cannot_be_written_fails(broadsheet: Broadsheet) -> None:
    broadsheet.settings["HOME"] = "/proc/nowhere"  # not even root may make a folder there
    found = checks(broadsheet, "--offline", code=1)
    assert found["home"]["state"] == "fail"
    assert "BROADSHEET_HOME" in found["home"]["advice"]
