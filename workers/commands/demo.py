"""`broadsheet demo`: the main job from end to end, with a replay of the upstreams on loopback.

Everything between the replay and the outbox is the real thing: the schedule, the Celery worker with its
in-process broker, the ledger, the renderer. Only the addresses differ from a real installation.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from config.catalogue import load_catalogue
from config.logging import configure_logging
from config.settings import PREFIX, Settings
from services.domain.errors import InvalidInput
from services.domain.jobs import STAGES, NewJob
from services.domain.redaction import redact
from services.pipeline.schedule import edition_job
from services.pipeline.subscribe import sync_catalogue
from services.runtime import Runtime
from services.storage import archive, deliveries, feeds, jobs, runs, schema, subscribers
from services.storage.tables import Repo
from workers.demo.catalogue import demo_feeds_toml
from workers.demo.replay import Replay
from workers.embedded import Service, WebServer, wait_for_signal

MARKER = "demo.json"
LONGEST_S = 180
"""A demo that is not done by then says so and exits 1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the closing table."""

    feed: str
    announced: int
    missing: int
    stored: int
    requests: int
    unchanged: int
    new: int
    rejected: int


def demo(once: bool, port: int, home: Path | None, as_json: bool) -> int:
    """Run the demo; returns the exit code. `port` 0 takes a free one for the web page."""
    console = Console(stderr=as_json)
    folder = _folder(home)
    state = _open_folder(folder)
    with _replay(state.get("port", 0)) as replay:
        _save(folder, {"port": replay.port})
        settings = _settings(folder, replay)
        configure_logging(redact=redact, level="warning", style=settings.log_format)
        if not as_json:
            _greet(console, folder, replay)
        rt = Runtime.from_settings(settings)
        web: WebServer | None = None
        try:
            schema.migrate(rt.engine)
            with rt.writing() as session:
                sync_catalogue(rt, session, load_catalogue(settings.feeds or folder))
                for feed in feeds.list_all(session):
                    feeds.update_feed(session, feed.id or 0, next_check_at=rt.now())
            started = rt.now()
            with Service(rt):
                complete = _watch(rt, replay, console, quiet=as_json)
                _compose(rt)
                complete = _watch(rt, replay, console, quiet=as_json) and complete
                if not once:
                    web = _serve(rt, port, console)
                code = _report(rt, replay, console, started=started, complete=complete, web=web, as_json=as_json)
                if web is not None:
                    console.print("Press Ctrl-C to stop.", style="dim")
                    wait_for_signal()()
        finally:
            if web is not None:
                web.stop()
            rt.close()
    return code


# -- setting up ------------------------------------------------------------------------------------------------


def _folder(home: Path | None) -> Path:
    if home is not None:
        return home.expanduser().absolute()
    named = os.environ.get(f"{PREFIX}HOME")
    return Path(named).expanduser().absolute() if named else Path("~/.broadsheet/demo").expanduser()


def _open_folder(folder: Path) -> dict[str, Any]:
    """What the last demo in this folder left; refuses a folder that holds somebody's real archive."""
    marker = folder / MARKER
    if marker.exists():
        data = json.loads(marker.read_text(encoding="utf-8"))
        return data if isinstance(data, dict) else {}
    if (folder / "broadsheet.db").exists():
        raise InvalidInput(
            f"{folder} holds an archive that is not a demo's; name another folder with --home or {PREFIX}HOME"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return {}


def _save(folder: Path, state: dict[str, Any]) -> None:
    (folder / MARKER).write_text(json.dumps(state) + "\n", encoding="utf-8")


@contextmanager
def _replay(port: int) -> Iterator[Replay]:
    """The replay on the port of the last run, so that what it said then can be asked for conditionally."""
    replay = Replay(port=port)
    try:
        replay.start()
    except OSError:
        replay = Replay()
        replay.start()
    try:
        yield replay
    finally:
        replay.stop()


def _settings(folder: Path, replay: Replay) -> Settings:
    """A demo's settings: nothing of the environment but how to log, so that no real service is called."""
    path = folder / "demo-feeds.toml"
    path.write_text(demo_feeds_toml(replay.base_url), encoding="utf-8")
    urls = {name.lower(): value for name, value in replay.urls().items() if name != "BLOG_FEED_URL"}
    values: dict[str, Any] = {
        **urls,
        "home": folder,
        "database_url": "",
        "broker_url": "",
        "smtp_url": "",
        "feeds": path,
        "github_token": "demo-token",
        "allowed_private_hosts": f"127.0.0.1:{replay.port}",
        "mail_from": "Broadsheet demo <broadsheet@demo.example>",
        "gate_scale": 0.02,
        "retry_first_s": 0.5,
        "poll_s": 1,
        "tick_s": 1,
    }
    return Settings(_env_file=None, **values)


# -- running ---------------------------------------------------------------------------------------------------


def _compose(rt: Runtime) -> None:
    """Ask for every digest's edition of today now, whatever its hour."""
    asked: list[NewJob] = []
    with rt.reading() as session:
        for subscription, _ in subscribers.list_subscriptions(session):
            job = edition_job(subscription.id or 0, subscription.cadence, subscription.timezone, rt.now())
            asked.append(NewJob(kind=job.kind, key=job.key, payload={**job.payload, "now": True}, priority=-1))
    rt.add_jobs(asked)


def _watch(rt: Runtime, replay: Replay, console: Console, *, quiet: bool) -> bool:
    """Show what is going on until nothing is; False when it takes too long."""
    limit = time.monotonic() + LONGEST_S
    time.sleep(0.3)  # the first tick
    still = 0
    with Live(console=console, refresh_per_second=8, transient=True, auto_refresh=not quiet) as live:
        while time.monotonic() < limit:
            with rt.reading() as session:
                counted = jobs.counts(session)
                due = feeds.list_due(session, now=rt.now())
            busy = sum(n for states in counted.values() for state, n in states.items() if state in {"ready", "running"})
            if not quiet:
                live.update(_progress(counted, replay))
            still = still + 1 if not busy and not due else 0
            if still >= 3:
                return True
            time.sleep(0.1)
    return False


def _progress(counted: dict[str, dict[str, int]], replay: Replay) -> Table:
    table = Table(box=None, padding=(0, 2))
    for heading in ("stage", "waiting", "running", "done", "given up"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in STAGES:
        states = counted.get(stage, {})
        table.add_row(stage, *(str(states.get(state, 0)) for state in ("ready", "running", "done", "dead")))
    table.caption = f"{len(replay.requests)} requests, {replay.conditional_hits()} answered with 304"
    return table


def _serve(rt: Runtime, port: int, console: Console) -> WebServer | None:
    from workers.web.app import make_web

    web = WebServer(make_web(rt), host="127.0.0.1", port=port)
    try:
        web.start()
    except OSError as error:
        console.print(f"[yellow]The web page cannot listen on port {port}: {error}. Name another with --port.")
        return None
    object.__setattr__(rt.settings, "public_url", f"http://127.0.0.1:{web.port}")
    return web


# -- telling ---------------------------------------------------------------------------------------------------


def _greet(console: Console, folder: Path, replay: Replay) -> None:
    console.print(Text("Broadsheet demo", style="bold"))
    console.print(f"Hugging Face, arXiv, a blog and GitHub are replayed on {replay.base_url}")
    console.print(f"Data folder: {folder}\n", soft_wrap=True)


def _report(
    rt: Runtime, replay: Replay, console: Console, *, started: datetime, complete: bool, web: WebServer | None,
    as_json: bool,
) -> int:  # fmt: skip
    outcomes = [_outcome(rt, replay, name, started) for name in _feed_names(rt)]
    with rt.reading() as session:
        sent = deliveries.list_all(session)
        papers = archive.count(session)
        repos = _repos(session)
    ours = [(d, s, keys) for d, s, keys in sent]
    delivered = bool(ours) and all(d.state == "accepted" for d, _, _ in ours)
    stored = all(o.missing == 0 for o in outcomes)
    code = 0 if complete and delivered and stored else 1
    if as_json:
        print(
            json.dumps(
                {
                    "ok": code == 0,
                    "papers": papers,
                    "feeds": [{k: getattr(o, k) for k in Outcome.__slots__} for o in outcomes],
                    "repos": repos,
                    "deliveries": [
                        {"to": s.address, "channel": d.channel, "state": d.state, "papers": len(keys)}
                        for d, s, keys in ours
                    ],
                    "outbox": [str(p) for p in _outbox(rt)],
                    "requests": len(replay.requests),
                    "not_modified": replay.conditional_hits(),
                },
                ensure_ascii=False,
            )
        )
        return code
    table = Table(title=f"{papers} papers in the archive", title_justify="left")
    for heading in ("feed", "announced", "stored", "new", "rejected", "missing", "GETs", "304"):
        table.add_column(heading, justify="left" if heading == "feed" else "right", no_wrap=True)
    for o in outcomes:
        table.add_row(
            o.feed, str(o.announced), str(o.stored), str(o.new), str(o.rejected),
            Text(str(o.missing), style="red" if o.missing else ""), str(o.requests), str(o.unchanged),
        )  # fmt: skip
    console.print(table)
    console.print("Repositories: " + ", ".join(f"{n} {what}" for what, n in repos.items()) + "\n")
    table = Table(title="Deliveries", title_justify="left")
    for heading in ("to", "channel", "papers", "state", "when"):
        table.add_column(heading, justify="right" if heading == "papers" else "left")
    for d, s, keys in ours:
        when = "now" if d.planned_at >= started else f"{d.planned_at:%d %b %H:%M} UTC, not sent again"
        state = Text(d.state, style="" if d.state == "accepted" else "red")
        table.add_row(s.address, d.channel, str(len(keys)), state, when)
    console.print(table)
    for path in _outbox(rt):
        console.print(f"  {path}", soft_wrap=True)
    if not complete:
        console.print(f"[red]Not everything was done within {LONGEST_S} s: `broadsheet runs list` shows what is left.")
    for error, count in _failures(rt).items():
        console.print(Text(f"{count} x {error}", style="red"))
    if web is not None:
        console.print(f"\nThe day's papers:  http://127.0.0.1:{web.port}/")
        console.print(f"For operators:     http://127.0.0.1:{web.port}/admin")
        _tell_password(rt, console)
    else:
        console.print("\nRun [bold]broadsheet demo[/bold] without --once to browse the papers and the runs.")
    return code


def _failures(rt: Runtime) -> Counter[str]:
    """What was given up, by its error."""
    with rt.reading() as session:
        return Counter(job.last_error or "unknown" for job in runs.list_runs(session, states=["dead"]))


def _tell_password(rt: Runtime, console: Console) -> None:
    from workers.web.auth import ensure_admin_password

    console.print(f"                   user admin, password {ensure_admin_password(rt.settings)}")


def _feed_names(rt: Runtime) -> list[str]:
    with rt.reading() as session:
        return [feed.name for feed in feeds.list_all(session)]


def _outcome(rt: Runtime, replay: Replay, name: str, started: datetime) -> Outcome:
    """What one feed announced by the replay's own account, and what the archive holds of it."""
    announced = replay.announced().get(name, set())
    with rt.reading() as session:
        feed = feeds.get(session, name)
        held = {
            identifier.value
            for paper in archive.load(session, archive.ids(session, feeds=[name]), now=rt.now())
            for identifier in paper.identifiers
        }
        pages = [p for p in feeds.pages(session, feed.id or 0) if p.fetched_at >= started - timedelta(seconds=1)]
    missing = {a for a in announced if a not in held and a.removeprefix("https://") not in held}
    return Outcome(
        feed=name, announced=len(announced), missing=len(missing), stored=len(announced) - len(missing),
        requests=len(pages), unchanged=sum(p.status == 304 for p in pages), new=sum(p.new for p in pages),
        rejected=sum(p.rejected for p in pages),
    )  # fmt: skip


def _repos(session: Any) -> dict[str, int]:
    """Repositories by what became of them."""
    from sqlmodel import select

    counted = {"read": 0, "missing": 0, "archived": 0}
    for repo in session.exec(select(Repo)):
        counted["read"] += repo.state == "found"
        counted["missing"] += repo.state == "missing"
        counted["archived"] += repo.archived
    return counted


def _outbox(rt: Runtime) -> list[Path]:
    folder = rt.settings.outbox
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def command(
    once: Annotated[bool, typer.Option("--once", help="Exit when all is delivered (0), or is not (1).")] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the web page; 0 takes a free one.")] = 0,
    home: Annotated[
        Path | None,
        typer.Option(help="Data folder; else BROADSHEET_HOME, else ~/.broadsheet/demo.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document; implies --once.")] = False,
) -> None:
    """The main job with no network: replayed upstreams, the real pipeline, digests in the outbox, the web page."""
    raise typer.Exit(demo(once or as_json, port, home, as_json))
