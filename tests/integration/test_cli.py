"""The command as a whole: help, usage, settings, and what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.integration.command import Broadsheet
from workers.cli import app

HEAVY = ("celery", "sqlalchemy", "sqlmodel", "pydantic", "fastapi", "rich", "structlog", "lxml", "feedparser")


def all_commands() -> list[tuple[tuple[str, ...], Any]]:
    """Every command and group with its path."""
    found: list[tuple[tuple[str, ...], Any]] = []

    def walk(path: tuple[str, ...], command: Any) -> None:
        found.append((path, command))
        for name, child in getattr(command, "commands", {}).items():
            walk((*path, name), child)

    walk((), get_command(app))
    return found


COMMANDS = all_commands()
IDS = [" ".join(path) or "broadsheet" for path, _ in COMMANDS]

PROMISED = {
    "demo", "up", "run", "worker", "beat", "web", "migrate", "import", "backfill", "replay", "backup", "restore",
    "doctor", "settings", "feeds list", "feeds add", "feeds fetch", "feeds pause", "feeds resume", "feeds remove",
    "feeds import-opml", "feeds export-opml", "papers list", "papers show", "papers search", "papers explain",
    "subscriptions add", "subscriptions list", "subscriptions show", "subscriptions pause", "subscriptions resume",
    "subscriptions remove", "editions preview", "editions send", "editions list", "deliveries list",
    "deliveries resend", "runs list", "runs show", "runs retry", "runs redrive",
}  # fmt: skip


def test_every_promised_command_exists() -> None:
    assert set(IDS) >= PROMISED


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=IDS)
def test_every_command_and_option_has_help_and_leaf_commands_have_an_example(
    path: tuple[str, ...], command: Any
) -> None:
    assert command.help, path
    for parameter in command.params:
        if parameter.name not in {"install_completion", "show_completion"}:
            assert getattr(parameter, "help", None), (path, parameter.name)
    if path and not getattr(command, "commands", None):
        assert "broadsheet " + " ".join(path) in (command.epilog or ""), path


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=IDS)
def test_help_of_every_command_is_printed_on_stdout(path: tuple[str, ...], broadsheet: Broadsheet) -> None:
    said = broadsheet(*path, "--help", code=0)
    assert said.out.startswith("Usage: broadsheet")
    assert said.err == ""


def test_help_needs_none_of_the_heavy_libraries() -> None:
    script = (
        "import sys; sys.argv = ['broadsheet', '--help']\n"
        "from workers.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('HEAVY', sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["feeds", "lst"], "Did you mean 'list'"),
        (["run"], "--once"),
        (["papers", "list", "--sort", "luck"], "newest, trending, upvotes, stars"),
        (["papers", "list", "--since", "soon"], "write it as 2026-11-24"),
        (["papers", "list", "--since", "2026-11-24", "--until", "2026-11-01"], "is before"),
        (["papers", "list", "--limit", "0"], "--limit"),
        (["import", "--kind", "csv", "x"], "hf_papers"),
        (["import"], "FILE"),
        (["feeds", "add"], "--kind"),
        (["feeds", "add", "--name", "No Spaces!", "https://a.example/feed"], "a-z"),
        (["feeds", "add", "--kind", "rss", "--set", "nonsense"], "KEY=VALUE"),
        (["subscriptions", "add"], "--to"),
        (["subscriptions", "add", "--to", "a@example.org", "--cadence", "hourly"], "weekdays"),
        (["subscriptions", "add", "--to", "a@example.org", "--budget", "0"], "--budget"),
        (["editions", "preview", "--subscription", "1", "--format", "pdf"], "html, text, slack, json"),
        (["deliveries", "list", "--state", "lost"], "accepted"),
        (["runs", "list", "--stage", "cook"], "enrich"),
        (["runs", "retry"], "--all-failed"),
        (["backfill", "daily-papers", "--from", "2999-01-01"], "future"),
        (["backfill", "daily-papers", "--from", "2026-11-24", "--to", "2026-11-01"], "is before"),
        (["worker", "--stages", "fetch,cook"], "fetch, parse, enrich, notify"),
        (["worker", "--pool", "gevent"], "prefork, threads"),
        (["papers", "explain", "x", "--to", "a@example.org", "--subscription", "1"], "not both"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_says_what_would_be_right(
    broadsheet: Broadsheet, arguments: list[str], words: str
) -> None:
    said = broadsheet(*arguments, code=2)
    assert words in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["feeds", "fetch", "nope"], "there are: daily-papers"),
        (["feeds", "pause", "nope"], "there are: daily-papers"),
        (["papers", "show", "2611.99999"], "papers search"),
        (["papers", "list", "--feed", "nope"], "there are: daily-papers"),
        (["papers", "list", "--query", "title:(a"], "parenthesis"),
        (["subscriptions", "show", "99"], "subscriptions list"),
        (["subscriptions", "add", "--to", "nobody"], "mail address"),
        (["subscriptions", "add", "--to", "a@example.org", "--timezone", "Mars/Base"], "Europe/Berlin"),
        (["subscriptions", "add", "--to", "a@example.org", "--at", "8 o'clock"], "HH:MM"),
        (["subscriptions", "add", "--to", "a@example.org", "--feed", "nope"], "there are: daily-papers"),
        (["editions", "preview", "--subscription", "99"], "subscriptions list"),
        (["deliveries", "resend", "99"], "editions list"),
        (["runs", "show", "99"], "runs list"),
        (["backfill", "nope", "--from", "2026-11-01"], "there are: daily-papers"),
        (["replay", "nope"], "there are: daily-papers"),
        (["restore", "nowhere.db", "--yes"], "no such file"),
    ],
)
def test_what_is_not_there_ends_with_1_and_one_clear_line(
    broadsheet: Broadsheet, arguments: list[str], words: str
) -> None:
    said = broadsheet(*arguments, code=1)
    assert said.err.startswith("Error: ")
    assert words in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLL_S", "-1"), ("PUBLIC_URL", "papers.example"), ("BROKER_URL", "kafka://x"), ("SMTP_URL", "mail.example"),
        ("DATABASE_URL", "mysql://u:hunter2hunter2@h/x"), ("MAIL_FROM", "a@b.example\nBcc: c@d.example"),
        ("CONCURRENCY", "many"), ("HOME", "/proc/nowhere"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_ends_with_2_and_is_named(broadsheet: Broadsheet, name: str, value: str) -> None:
    broadsheet.settings[name] = value
    said = broadsheet("papers", "list", code=2)
    assert f"BROADSHEET_{name}" in said.err
    assert "hunter2hunter2" not in said.err
    assert said.out == ""


def test_all_settings_at_fault_are_named_at_once(broadsheet: Broadsheet) -> None:
    broadsheet.settings |= {"POLL_S": "-1", "TICK_S": "0"}
    said = broadsheet("papers", "list", code=2)
    assert "BROADSHEET_POLL_S" in said.err
    assert "BROADSHEET_TICK_S" in said.err


def test_a_database_that_is_away_is_one_line_without_its_password(broadsheet: Broadsheet) -> None:
    broadsheet.settings["DATABASE_URL"] = "postgresql://reader:hunter2hunter2@127.0.0.1:9/papers"
    said = broadsheet("papers", "list", code=1)
    assert said.err.startswith("Error: the database cannot be used")
    assert "hunter2hunter2" not in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_a_damaged_database_is_said_to_be_damaged(broadsheet: Broadsheet, home: Path) -> None:
    (home / "broadsheet.db").write_bytes(b"this was a database once " * 100)
    said = broadsheet("papers", "list", code=1)
    assert "damaged" in said.err
    assert "broadsheet restore" in said.err


def test_a_broken_catalogue_is_named_with_its_entry(broadsheet: Broadsheet, quiet_feeds: Path) -> None:
    quiet_feeds.write_text('[[feed]]\nname = "a"\nkind = "rss"\ntitle = "A"\ninterval_minutes = "often"\n')
    said = broadsheet("feeds", "list", code=1)
    assert str(quiet_feeds) in said.err
    assert "interval_minutes" in said.err


def test_version_is_told(broadsheet: Broadsheet) -> None:
    assert broadsheet("--version", code=0).out.startswith("broadsheet ")


def test_short_commands_log_nothing_of_what_goes_well_unless_asked(broadsheet: Broadsheet) -> None:
    assert broadsheet("run", "--once", code=0).err == ""
    broadsheet.settings["LOG_LEVEL"] = "info"
    broadsheet("subscriptions", "add", "--to", "slack:outbox")
    said = broadsheet("editions", "send", "--subscription", "1", "--now")
    assert "edition.empty" in said.err
    assert json.loads(broadsheet("-v", "runs", "list", "--json").out)


def test_migrate_tells_from_where_to_where(broadsheet: Broadsheet, home: Path) -> None:
    newest = broadsheet.json("migrate")["to"]
    assert broadsheet.json("migrate") == {"from": newest, "to": newest}
    (home / "broadsheet.db").unlink()
    assert broadsheet.json("migrate") == {"from": None, "to": newest}


@pytest.mark.parametrize(
    "arguments", [[name, "list"] for name in ("feeds", "papers", "subscriptions", "editions", "deliveries", "runs")]
)
def test_an_empty_list_says_what_to_do_next_and_is_an_empty_array_for_scripts(
    broadsheet: Broadsheet, quiet_feeds: Path, arguments: list[str]
) -> None:
    quiet_feeds.write_text("")
    assert broadsheet.json(*arguments) == []
    said = broadsheet(*arguments, code=0)
    assert "yet" in said.out
    assert "broadsheet " in said.out or "first edition" in said.out


@pytest.mark.parametrize("name", ["papers", "subscriptions", "editions", "deliveries", "runs", "feeds"])
def test_a_first_command_makes_the_database_by_itself(tmp_path: Path, name: str) -> None:
    fresh = Broadsheet({"HOME": str(tmp_path / "fresh")})
    assert isinstance(fresh.json(name, "list"), list)
    assert (tmp_path / "fresh" / "broadsheet.db").exists()
