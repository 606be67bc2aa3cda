"""Transfer: the whole database carried away, and brought back."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from services.domain.errors import InvalidInput
from services.runtime import Runtime
from services.storage import schema, service
from services.storage.tables import Heartbeat

log = structlog.get_logger(__name__)

ALIVE = timedelta(seconds=35)
"""A process that has not been seen for this long is taken for dead (it reports every ten seconds)."""

# -- backup and restore ----------------------------------------------------------------------------------------


def backup(rt: Runtime, target: Path, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Copy the database, while it is in use, to `target`; returns the copy's size in bytes.

    SQLite is copied by its online backup and the copy checked; PostgreSQL by pg_dump in its custom format. The
    file appears whole or not at all.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(mode=0o600)  # addresses of readers are in it
        if is_sqlite(rt.engine):
            source = sqlite3.connect(database_path(rt.engine))
            try:
                _copy(source, part, progress)
            finally:
                source.close()
            _one_file(part)
            check_copy(part)
        else:
            _postgres(rt.engine, ["pg_dump", "--format=custom", "--no-owner", f"--file={part}"])
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def restore(rt: Runtime, source: Path, *, progress: Callable[[int, int], None] | None = None) -> Path | None:
    """Put a backup in place of the database and bring it to the newest schema.

    What was there before is kept beside it (SQLite; its path is returned). Raises `InvalidInput` when the file is
    no backup of ours; then nothing was touched. The caller has made sure that nothing else is running.
    """
    if not is_sqlite(rt.engine):
        _check_archive(rt.engine, source)
        rt.engine.dispose()
        _postgres(
            rt.engine,
            ["pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction", str(source)],
            database_flag="--dbname",
        )
        schema.migrate(rt.engine)
        return None
    check_copy(source)
    path = Path(database_path(rt.engine))
    kept: Path | None = None
    rt.engine.dispose()
    if path.exists() and path.stat().st_size:
        kept = path.with_name(f"{path.name}.before-restore-{rt.now():%Y%m%dT%H%M%S}")
        shutil.copy2(path, kept)
        for tail in ("-wal", "-shm"):
            side = path.with_name(path.name + tail)
            if side.exists():
                shutil.copy2(side, kept.with_name(kept.name + tail))
    try:
        backup_file = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
        try:
            _copy(backup_file, path, progress)
        finally:
            backup_file.close()
    except sqlite3.DatabaseError as error:
        # What is there cannot even be written over (it is no database any more): begin anew, it is kept.
        log.warning("restore.anew", error=str(error))
        for tail in ("", "-wal", "-shm"):
            path.with_name(path.name + tail).unlink(missing_ok=True)
        shutil.copy2(source, path)
    schema.migrate(rt.engine)
    return kept


def alive(rt: Runtime) -> list[Heartbeat]:
    """Processes that work on this database now, by their heartbeats; empty when the database cannot say."""
    try:
        with rt.reading() as session:
            seen = service.list_heartbeats(session, since=rt.now() - ALIVE)
    except DatabaseError:
        return []
    return [row for row in seen if not (row.host == socket.gethostname() and _gone(row.pid))]


def is_sqlite(engine: Engine) -> bool:
    """Whether the database is a SQLite file."""
    return engine.dialect.name == "sqlite"


def database_path(engine: Engine) -> str:
    """The file of a SQLite database."""
    path = engine.url.database
    if not path or path == ":memory:":
        raise InvalidInput("the database lives in memory; there is nothing to copy")
    return path


def check_copy(path: Path) -> None:
    """Raise `InvalidInput` unless `path` is a whole SQLite database of ours."""
    if not path.is_file():
        raise InvalidInput(f"{path}: there is no such file")
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\x00":
            raise InvalidInput(f"{path} is not a backup of a SQLite database")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise InvalidInput(f"{path} is damaged: {verdict}")
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise InvalidInput(f"{path} is damaged: {error}") from error
    finally:
        connection.close()
    if not {"alembic_version", "papers", "deliveries"} <= tables:
        raise InvalidInput(f"{path} is a SQLite database, but not one of Broadsheet")


def _copy(source: sqlite3.Connection, target: Path, progress: Callable[[int, int], None] | None) -> None:
    copy = sqlite3.connect(target, timeout=30)

    def told(_: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    try:
        source.backup(copy, pages=2048, progress=told)
    finally:
        copy.close()


def _one_file(path: Path) -> None:
    """Out of WAL mode: a copy that can be read from a read-only disk, without files beside it."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()


def _postgres(engine: Engine, command: Sequence[str], *, database_flag: str = "--dbname") -> None:
    program = shutil.which(command[0])
    if program is None:
        raise InvalidInput(f"{command[0]} is not installed; it comes with PostgreSQL's client programs")
    url = engine.url
    environment = dict(os.environ)
    if url.password:
        environment["PGPASSWORD"] = str(url.password)  # not on the command line, where others see it
    address = url.set(drivername="postgresql", password=None).render_as_string()
    done = subprocess.run(
        [program, *command[1:], f"{database_flag}={address}"], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["no reason given"]
        raise InvalidInput(f"{command[0]} failed: {' '.join(lines[:3])[:500]}")


def _check_archive(engine: Engine, source: Path) -> None:
    if not source.is_file():
        raise InvalidInput(f"{source}: there is no such file")
    with source.open("rb") as file:
        if file.read(5) != b"PGDMP":
            raise InvalidInput(f"{source} is not a backup made by pg_dump, and the database is {engine.dialect.name}")


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
