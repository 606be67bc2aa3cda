"""What runs: the whole service in one process, one round of it for cron, or its parts as processes of their own."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import SettingsFault, load_settings, opened
from workers.commands.options import Json, epilog, stopping
from workers.commands.output import counted, emit_json, say, warn, when
from workers.loading import loading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from services.runtime import Runtime
    from services.storage.runs import Outcome
    from workers.embedded import WebServer

POOLS = ("prefork", "threads")
STAGES = ("fetch", "parse", "enrich", "notify")
CONCURRENCY = "BROADSHEET_CONCURRENCY, 4"

Host = Annotated[
    str | None, typer.Option("--host", help="Address to listen on.", show_default="BROADSHEET_WEB_HOST, 127.0.0.1")
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65_535,
        help="Port to listen on; 0 takes a free one.",
        show_default="BROADSHEET_WEB_PORT, 8100",
    ),
]


def pool_of(text: str) -> str:
    """A pool of workers."""
    if text not in POOLS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(POOLS)}")
    return text


def stages_of(text: str) -> list[str]:
    """Stages, parted by commas."""
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in STAGES]
    if unknown or not wanted:
        raise typer.BadParameter(f"{(unknown or [text])[0]!r} is none of {', '.join(STAGES)}", param_hint="--stages")
    return list(dict.fromkeys(wanted))


# -- one process -----------------------------------------------------------------------------------------------


def up(host: Host = None, port: Port = None) -> None:
    """Run the whole service in this process: web pages, schedule and workers. Ctrl-C ends it."""
    with loading():
        from workers.embedded import Service, wait_for_signal

    settings = _listening(load_settings(), host, port)
    with opened(settings=settings, service=True, sync=True) as rt:
        login = _login(rt)
        wait = wait_for_signal()
        with _web(rt), Service(rt):
            _greet(rt, login)
            wait()
            say("Stopping: running work is finished first. A second signal ends at once.")
    say("Stopped.")


def web(host: Host = None, port: Port = None) -> None:
    """Serve the web pages alone; workers and the schedule run elsewhere."""
    with loading():
        from workers.embedded import wait_for_signal
        from workers.processes import publisher_for

    settings = _listening(load_settings(), host, port)
    with opened(settings=settings, service=True, sync=True) as rt:
        from workers import monitor

        rt.worker = monitor.process_name("web")
        rt.publish = publisher_for(settings)
        login = _login(rt)
        wait = wait_for_signal()
        with _web(rt):
            beat_ = monitor.heartbeat(rt, "web", slots=0).start()
            _greet(rt, login)
            wait()
            beat_.stop()
    say("Stopped.")


def _listening(settings: Settings, host: str | None, port: int | None) -> Settings:
    """The settings with the address to listen on, and links that lead there where no public address is set."""
    where = host if host is not None else settings.web_host
    number = port if port is not None else settings.web_port
    number = number or _free_port(where)
    changed: dict[str, Any] = {"web_host": where, "web_port": number}
    if "public_url" not in settings.model_fields_set:
        shown = "127.0.0.1" if where in {"0.0.0.0", "::", ""} else where  # noqa: S104 - compared, not bound
        changed["public_url"] = f"http://{f'[{shown}]' if ':' in shown else shown}:{number}"
    return settings.model_copy(update=changed)


def _free_port(host: str) -> int:
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise _cannot_listen(host, 0, error) from error
        return int(probe.getsockname()[1])


def _cannot_listen(host: str, port: int, error: OSError) -> Exception:
    import errno

    from services.domain.errors import InvalidInput

    if error.errno == errno.EADDRINUSE:
        return InvalidInput(
            f"port {port} on {host} is taken: another program listens there. Choose one with --port, or set "
            "BROADSHEET_WEB_PORT."
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return InvalidInput(f"port {port} on {host} is not for us to open; choose one above 1023 with --port")
    return InvalidInput(
        f"cannot listen on {host}:{port}: {error.strerror or error}. Check --host, or BROADSHEET_WEB_HOST."
    )


@contextmanager
def _web(rt: Runtime) -> Iterator[WebServer]:
    with loading():
        from workers.embedded import WebServer
        from workers.web.app import make_web

    server = WebServer(make_web(rt), host=rt.settings.web_host, port=rt.settings.web_port)
    try:
        server.start()
    except OSError as error:
        raise _cannot_listen(rt.settings.web_host, rt.settings.web_port, error) from error
    try:
        yield server
    finally:
        server.stop()


def _greet(rt: Runtime, login: str) -> None:
    """The addresses, and how an operator gets in."""
    s = rt.settings
    say(f"Broadsheet is up: {s.public_url}", style="bold green")
    if f":{s.web_port}" not in s.public_url:
        say(f"  listening     {s.web_host}:{s.web_port}")
    say(f"  today's page  {s.public_url}/")
    say(f"  operators     {s.public_url}/admin   ({login})")
    say(f"  data          {s.home}")
    if not s.smtp_url.get_secret_value():
        say(f"  outbox        {s.outbox}   (no mail server is set; BROADSHEET_SMTP_URL)")
    say("Ctrl-C stops it.")


def _login(rt: Runtime) -> str:
    """How an operator gets in. A password made just now is shown this once; later its file is named."""
    from workers.web.auth import ensure_admin_password, password_file

    if rt.settings.admin_password.get_secret_value():
        return "user admin, the password of BROADSHEET_ADMIN_PASSWORD"
    path = password_file(rt.settings)
    fresh = not path.exists()
    password = ensure_admin_password(rt.settings)
    kept = f"kept in {path}"
    return f"user admin, {f'password {password}, {kept}' if fresh else f'password {kept}'}; from this machine only"


# -- once ------------------------------------------------------------------------------------------------------


def run(
    once: Annotated[bool, typer.Option("--once", help="Do everything that is due, then exit.")] = False,
    patience: Annotated[
        float,
        typer.Option(
            "--patience", metavar="SECONDS", min=0, max=86_400, help="Also wait for what becomes due within so long."
        ),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Do everything that is due, once, then exit: for cron. Needs no broker and no other process."""
    from services.pipeline.drain import run_until_idle
    from services.storage import jobs, runs, stages
    from workers.monitor import process_name, recover

    if not once:
        raise typer.BadParameter("say --once; a service that keeps running is `broadsheet up`", param_hint="--once")
    with stopping() as stop, opened(sync=True) as rt:
        rt.worker = process_name("once")
        recover(rt)
        began = rt.now()
        counted_jobs = run_until_idle(
            rt, threads=rt.settings.concurrency, patience=timedelta(seconds=patience), stop=stop
        )
        with rt.reading() as session:
            outcome = runs.outcome_since(session, began)
            next_at = jobs.next_due_at(session)
            resting = sorted(stages.paused(session))
            dead = [
                j
                for j in runs.list_runs(session, states=["dead"], limit=200)
                if j.finished_at and j.finished_at >= began
            ]
    failed = (
        bool(counted_jobs.get("dead")) or any(outcome.deliveries.get(s) for s in ("failed", "unknown")) or stop.is_set()
    )
    if as_json:
        emit_json(
            {"jobs": counted_jobs, "fetches": outcome.fetches,
             "papers": {c: getattr(outcome, c) for c in ("seen", "new", "changed", "known", "rejected")},
             "deliveries": outcome.deliveries, "next_due_at": next_at, "stopped": stop.is_set(), "paused": resting,
             "dead": [{"id": j.id, "kind": j.kind, "key": j.key, "error": j.last_error} for j in dead]}
        )  # fmt: skip
    else:
        _show_round(counted_jobs, outcome)
        for job in dead[:10]:
            warn(f"Given up: run {job.id}, {job.kind} {job.key}: {(job.last_error or '').partition(chr(10))[0]}")
        for stage in resting:
            warn(f"{stage} is paused, and nothing of it was done. Let it go on: broadsheet runs resume {stage}")
        if next_at is not None:
            say(f"Next work is due {when(next_at)}.")
        if stop.is_set():
            warn("Stopped by a signal before everything was done.")
    if failed:
        raise typer.Exit(1)


def _show_round(done: dict[str, int], outcome: Outcome) -> None:
    if not done:
        say("Nothing was due.")
        return
    words = {
        "done": "done",
        "retry": "to be tried again",
        "waited": "waiting for a host",
        "dead": "given up",
        "lost": "taken over",
    }
    say("Runs: " + ", ".join(f"{number} {words.get(name, name)}" for name, number in sorted(done.items())))
    if outcome.fetches:
        say("Fetches: " + ", ".join(f"{n} {state}" for state, n in sorted(outcome.fetches.items())))
        say(
            f"Papers: {counted(outcome.seen, 'entry', 'entries')} seen, {outcome.new:,} new, "
            f"{outcome.changed:,} changed, {outcome.known:,} known, {outcome.rejected:,} rejected"
        )
    if outcome.deliveries:
        say("Deliveries: " + ", ".join(f"{n} {state}" for state, n in sorted(outcome.deliveries.items())))


# -- separate processes ----------------------------------------------------------------------------------------


def _needs_broker(settings: Settings, what: str) -> None:
    from workers.processes import has_broker

    if not has_broker(settings):
        raise SettingsFault(
            f"a separate {what} needs BROADSHEET_BROKER_URL, an address that all processes reach, such as "
            "redis://127.0.0.1:6379/0. Without a broker, `broadsheet up` runs everything in one process."
        )


def worker(
    stages: Annotated[
        str, typer.Option("--stages", metavar="STAGE,…", help="Which stages to work on, parted by commas.")
    ] = ",".join(STAGES),
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, max=256, help="Work done at the same time.", show_default=CONCURRENCY),
    ] = None,
    pool: Annotated[
        str, typer.Option("--pool", parser=pool_of, metavar="|".join(POOLS), help="Processes, or threads of one.")
    ] = "prefork",
) -> None:
    """Run a worker process: Celery on your broker. Start as many as you want, on as many machines."""
    with loading():
        from workers.processes import run_worker
    from workers.restarts import keep_running

    wanted = stages_of(stages)
    settings = load_settings()
    if concurrency is not None:
        settings = settings.model_copy(update={"concurrency": concurrency})
    _needs_broker(settings, "worker")

    def run_once() -> int:
        with opened(settings=settings, service=True, sync=True) as rt:
            return run_worker(rt, stages=wanted, pool=pool)

    code = keep_running(run_once)
    if code:
        raise typer.Exit(code)


def beat() -> None:
    """Run the schedule alone: it adds what has become due. Two of them do no harm."""
    from workers.processes import run_beat

    settings = load_settings()
    _needs_broker(settings, "beat")
    with opened(settings=settings, service=True, sync=True) as rt:
        run_beat(rt)
    say("Stopped.")


EPILOGS = {
    "up": epilog("broadsheet up", "broadsheet up --host 0.0.0.0 --port 8080"),
    "run": epilog("broadsheet run --once", "*/15 * * * *  broadsheet run --once --patience 60     (a line for cron)"),
    "worker": epilog("broadsheet worker", "broadsheet worker --stages fetch,parse --concurrency 8 --pool threads"),
    "beat": epilog("broadsheet beat"),
    "web": epilog("broadsheet web --host 0.0.0.0"),
}  # fmt: skip
