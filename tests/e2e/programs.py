"""Whole processes under test: started as a person would, watched through the database, ended by any means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.settings import PREFIX, Settings
from services.domain.jobs import NewJob
from services.pipeline.schedule import edition_job
from services.pipeline.subscribe import subscribe, sync_catalogue
from services.runtime import Runtime
from services.storage import feeds, schema
from services.storage.tables import Feed, Job
from tests.factories import all_rows
from workers.demo.catalogue import demo_feeds_toml
from workers.demo.replay import Replay

ROOT = Path(__file__).parents[2]

EMBEDDED = (
    "-c",
    """
from config.logging import configure_logging
from config.settings import Settings
from services.domain.redaction import redact
from services.runtime import Runtime
from workers.embedded import Service, wait_for_signal

configure_logging(redact=redact, style="json")
rt = Runtime.from_settings(Settings(_env_file=None))
wait = wait_for_signal()
with Service(rt):
    wait()
rt.close()
""",
)
"""The embedded service without its web pages: half the time to start. Whoever runs it has prepared the database."""


def settings_for(replay: Replay, home: Path, **more: Any) -> dict[str, Any]:
    """Settings (names in small letters) of an installation whose upstreams are the replay, in a hurry."""
    home.mkdir(parents=True, exist_ok=True)
    catalogue = home / "feeds.toml"
    text = demo_feeds_toml(replay.base_url)
    catalogue.write_text(text[: text.index("[[digest]]")], encoding="utf-8")
    return {
        **{name.lower(): url for name, url in replay.urls().items() if name != "BLOG_FEED_URL"},
        "home": home, "feeds": catalogue, "github_token": "token", "allowed_private_hosts": "127.0.0.1",
        "gate_scale": 0, "retry_first_s": 0.1, "poll_s": 0.2, "tick_s": 0.2, "secret_key": "a key for tests only",
        "mail_from": "Broadsheet <broadsheet@papers.example>", "log_format": "json", "admin_password": "for tests only",
        **more,
    }  # fmt: skip


def runtime(settings: Mapping[str, Any]) -> Runtime:
    """Our own view of the same installation."""
    return Runtime.from_settings(Settings(_env_file=None, **settings))


class Program:
    """`broadsheet …`, or `EMBEDDED`, as a process of its own; its output goes to a file."""

    def __init__(self, settings: Mapping[str, Any], *arguments: str, log: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
        environment["PYTHONPATH"] = str(ROOT)
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *(arguments if arguments == EMBEDDED else ("-m", "workers", *arguments))],
                env=environment,
                cwd=log.parent,
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        """End it without a word, as a power cut does."""
        self.process.kill()
        self.process.wait()

    def stop(self, *, within_s: float = 30) -> int:
        """Ask it to end; its exit code. AssertionError with its last words when it does not in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop within {within_s} s:\n{self.said()}") from None

    def said(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-6000:]

    def check_alive(self) -> None:
        """AssertionError with its last words when it has ended by itself."""
        assert self.process.poll() is None, f"it ended by itself with {self.process.returncode}:\n{self.said()}"


@contextmanager
def running(settings: Mapping[str, Any], *arguments: str, log: Path) -> Iterator[Program]:
    """A program that is killed at the latest when the block ends."""
    program = Program(settings, *arguments, log=log)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.kill()


def wait_for_quiet(rt: Runtime, *programs: Program, within_s: float) -> None:
    """Return once nothing is due, waiting or running; AssertionError that says what is left when it takes longer."""
    limit = time.monotonic() + within_s
    still = 0
    while still < 3:
        for program in programs:
            program.check_alive()
        left = [j for j in all_rows(rt, Job) if j.state in {"ready", "running"}]
        with rt.reading() as session:
            due = [f.name for f in feeds.list_due(session, now=rt.now())]
        still = 0 if left or due else still + 1
        if time.monotonic() > limit:
            words = [f"{j.kind} {j.key} {j.state} {j.attempts} {j.last_error}" for j in left]
            raise AssertionError(f"not quiet within {within_s} s: {words} {due}\n{programs[0].said()}")
        time.sleep(0.15)


def subscribe_now(rt: Runtime, to: str, **wanted: Any) -> NewJob:
    """A confirmed subscription, and the job that composes its edition at once."""
    with rt.writing() as session:
        subscription, _ = subscribe(rt, session, to=to, confirmed=True, **wanted)
    job = edition_job(subscription.id or 0, subscription.cadence, subscription.timezone, rt.now())
    return NewJob(kind=job.kind, key=job.key, payload={**job.payload, "now": True}, priority=-1)


def prepare(rt: Runtime) -> None:
    """The newest schema, and the catalogue's feeds."""
    schema.migrate(rt.engine)
    with rt.writing() as session:
        sync_catalogue(rt, session, rt.catalogue())


def make_due(rt: Runtime, feed: Feed) -> None:
    """The feed is due now."""
    with rt.writing() as session:
        feeds.update_feed(session, feed.id or 0, next_check_at=rt.now())
