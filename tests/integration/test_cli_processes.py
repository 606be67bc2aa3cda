"""The processes: the whole service in one, or worker, beat and web apart; started, used, stopped cleanly."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from services.runtime import Runtime
from tests.integration.command import Broadsheet
from tests.servers import RedisServer, free_port, wait_until
from workers.commands import service
from workers.demo.replay import Replay
from workers.monitor import heart_of

WITHIN_S = 120
"""Nothing here takes long; a machine that is busy with other things does."""

QUIET_S = 100
"""So long nobody looks for work that no message told of."""


@contextmanager
def running(broadsheet: Broadsheet, *args: object, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is stopped at the end, and has to end well."""
    process = broadsheet.process(*args, **changes)
    try:
        yield process
        assert process.poll() is None, "it ended by itself"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=WITHIN_S)
        assert process.returncode == 0, (out, err)
        assert "Traceback" not in err, err
    except BaseException as error:
        process.kill()
        out, err = process.communicate()
        error.add_note(f"{' '.join(map(str, args))} printed:\n{out[-3000:]}\n{err[-6000:]}")
        raise


def soon(process: subprocess.Popen[str], check: Callable[[], bool], what: str) -> None:
    """Wait for `check` while the process lives."""

    def holds() -> bool:
        assert process.poll() is None, f"it ended before {what}"
        return check()

    wait_until(holds, within_s=WITHIN_S, what=what, every_s=0.3)


def status(url: str) -> int:
    """The HTTP status of a page; 0 while nobody answers."""
    try:
        with urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


def alive(broadsheet: Broadsheet) -> set[str]:
    """The roles of the processes that say they are alive."""
    (check,) = [c for c in broadsheet("doctor", "--offline", "--json").data["checks"] if c["name"] == "processes"]
    return set(re.findall(r"(\w+) \(pid", check["message"]))


def children_of(process: subprocess.Popen[str]) -> int:
    """How many processes it has started that still run."""
    found = subprocess.run(
        ["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True, check=False
    )
    return len(found.stdout.split())


def test_up_serves_fetches_and_stops_cleanly(online: Broadsheet, today_replay: Replay, quiet_feeds: Path) -> None:
    quiet_feeds.write_text(quiet_feeds.read_text().replace("paused = true", ""))
    port = free_port()
    with running(online, "up", "--port", port) as process:
        soon(process, lambda: status(f"http://127.0.0.1:{port}/healthz") == 200, "the pages answer")
        soon(process, lambda: len(online.json("papers", "list")) > 10, "papers arrive")
        assert process.stdout is not None
        text = "".join(iter(process.stdout.readline, "Ctrl-C stops it.\n"))
    assert f"http://127.0.0.1:{port}/admin" in text
    assert re.search(r"user admin, password \S+, kept in .*admin_password", text)
    assert "BROADSHEET_SMTP_URL" in text
    assert online.json("runs", "list", "--failed") == []
    assert "running" not in {r["state"] for r in online.json("runs", "list")}


def test_up_says_when_its_port_is_taken(online: Broadsheet, today_replay: Replay) -> None:
    said = online("up", "--port", today_replay.port, code=1)
    assert f"port {today_replay.port} on 127.0.0.1 is taken" in said.err
    assert "--port" in said.err
    assert "cannot listen on 203.0.113.1" in online("up", "--host", "203.0.113.1", "--port", free_port(), code=1).err


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_separate_processes_need_a_broker_and_say_so(broadsheet: Broadsheet, command: str) -> None:
    said = broadsheet(command, code=2)  # a setting: systemd starts it no more
    assert f"a separate {command} needs BROADSHEET_BROKER_URL" in said.err
    assert "broadsheet up" in said.err


def test_the_pages_are_loaded_before_there_is_a_heartbeat(
    broadsheet: Broadsheet, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    @contextmanager
    def pages(rt: Runtime) -> Iterator[None]:
        order.append("loaded")
        yield

    class Beat:
        def start(self) -> Beat:
            order.append("beats")
            return self

        def stop(self) -> None:
            order.append("stopped")

    monkeypatch.setattr(service, "_web", pages)
    monkeypatch.setattr("workers.monitor.heartbeat", lambda rt, role, slots: Beat())
    monkeypatch.setattr("workers.embedded.wait_for_signal", lambda: lambda: order.append("served"))
    broadsheet("web", code=0)
    assert order == ["loaded", "beats", "served", "stopped"]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_worker_beat_and_web_do_the_work_together(
    online: Broadsheet, today_replay: Replay, redis: RedisServer, quiet_feeds: Path, pool: str
) -> None:
    redis.flush()
    online.settings |= {"BROKER_URL": redis.url, "POLL_S": str(QUIET_S), "TICK_S": "1", "LOG_LEVEL": "info"}
    with running(online, "worker", "--pool", pool, "--concurrency", "2") as worker:
        soon(worker, lambda: alive(online) == {"worker"}, "the worker reports")
        with running(online, "beat"), running(online, "web", "--port", "0"):
            soon(worker, lambda: alive(online) == {"worker", "beat", "web"}, "all report")
            online("feeds", "resume", "daily-papers", code=0)
            began = time.monotonic()
            soon(worker, lambda: len(online.json("papers", "list")) > 10, "papers arrive")
            assert time.monotonic() - began < QUIET_S, "hints came over the broker: nobody had to look for the work"
        assert children_of(worker) == (2 if pool == "prefork" else 0)
    assert online.json("runs", "list", "--failed") == []
    workers = {t["worker"] for r in online.json("runs", "list") for t in online.json("runs", "show", r["id"])["tries"]}
    assert all(heart_of(name).endswith(f":{worker.pid}:worker") for name in workers)
    parent = f":{worker.pid}:"
    assert any(parent in name for name in workers) == (pool == "threads"), "children have names of their own"


def test_a_worker_keeps_to_its_stages(
    online: Broadsheet, today_replay: Replay, redis: RedisServer, quiet_feeds: Path
) -> None:
    redis.flush()
    online.settings |= {"BROKER_URL": redis.url, "POLL_S": "0.5", "TICK_S": "0.5"}
    with running(online, "worker", "--stages", "fetch", "--pool", "threads") as process, running(online, "beat"):
        online("feeds", "resume", "daily-papers", code=0)
        soon(process, lambda: any(r["stage"] == "parse" for r in online.json("runs", "list")), "pages arrive")
        time.sleep(2)
    states = {
        r["stage"]: {x["state"] for x in online.json("runs", "list", "--stage", r["stage"])}
        for r in online.json("runs", "list")
    }
    assert states["fetch"] == {"done"}
    assert states["parse"] == {"ready"}


def test_a_killed_command_leaves_work_that_the_next_one_takes_over(
    online: Broadsheet, today_replay: Replay, quiet_feeds: Path
) -> None:
    quiet_feeds.write_text(quiet_feeds.read_text().replace("paused = true", ""))
    today_replay.hang("/hf", 30)
    process = online.process("run", "--once")
    soon(process, lambda: any(r["state"] == "running" for r in online.json("runs", "list")), "a run begins")
    process.kill()
    process.communicate()
    today_replay.is_up()
    assert online.json("run", "--once")["jobs"].get("dead", 0) == 0
    assert {r["state"] for r in online.json("runs", "list", "--stage", "fetch")} == {"done"}
    assert len(online.json("papers", "list")) > 10


def test_run_once_stops_at_a_signal_after_what_it_is_doing(
    online: Broadsheet, today_replay: Replay, quiet_feeds: Path
) -> None:
    quiet_feeds.write_text(quiet_feeds.read_text().replace("paused = true", ""))
    today_replay.hang("/hf", 2)
    process = online.process("run", "--once", CONCURRENCY="1")
    soon(process, lambda: any(r["state"] == "running" for r in online.json("runs", "list")), "a run begins")
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 1
    assert "Stopped by a signal" in err, (out, err)
    states = {r["state"] for r in online.json("runs", "list")}
    assert "running" not in states
    assert "ready" in states
