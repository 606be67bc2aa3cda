"""The process itself: how soon it answers, how much memory it holds."""

from __future__ import annotations

import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.benchmarks.bench_pipeline import resident_mb
from tests.benchmarks.harness import Options, Result, allowance
from tests.servers import free_port

IDLE_MB = 120
IDLE_SHARE = 0.01
HELP_S, UP_S = 0.3, 1.5


def embedded(options: Options) -> Iterator[Result]:
    """`broadsheet --help` and the embedded service, both beside the bare interpreter."""
    with tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as folder:
        yield from _measured(options, Path(folder))


def _measured(options: Options, folder: Path) -> Iterator[Result]:
    # An installed program has its bytecode; a checkout in which nothing may be written has not.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BROADSHEET_") and k != "PYTHONDONTWRITEBYTECODE"}
    environment = kept | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    with _service(environment, folder / "first"):
        pass
    bare, helped = [], []
    for _ in range(options.some(5, 1)):
        bare.append(_seconds(environment, "-c", "pass"))
        helped.append(_seconds(environment, "-m", "workers", "--help"))
    floor = statistics.median(bare)
    yield allowance(
        "start: --help", used=statistics.median(helped) - floor, allowed=HELP_S,
        what="0.3 s of processor over python -c pass",
        note=f"{statistics.median(helped):.2f} s, the interpreter alone {floor:.2f} s",
    )  # fmt: skip
    with _service(environment, folder / "home") as (process, passed):
        up = _processor_s(process.pid)
        time.sleep(2)  # what the start left to do
        before, began = _processor_s(process.pid), time.perf_counter()
        time.sleep(options.some(60, 3))
        share = (_processor_s(process.pid) - before) / (time.perf_counter() - began)
        held = resident_mb(process.pid)
    yield allowance(
        "start: first answer", used=up - floor, allowed=UP_S, what="1.5 s of processor over python -c pass",
        note=f"{up:.2f} s of processor, {passed:.1f} s by the clock, the new database included",
    )  # fmt: skip
    yield allowance(
        "processor: embedded, idle", used=max(share, 1e-4), allowed=IDLE_SHARE, what="1 % of a core",
        note=f"{share:.2%} of a core",
    )  # fmt: skip
    yield allowance("memory: embedded, idle", used=held, allowed=IDLE_MB, what="120 MB", note=f"{held:.0f} MB")


@contextmanager
def _service(environment: Mapping[str, str], home: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The embedded service with nothing to do, once it has answered, and the seconds until then."""
    home.mkdir()
    (home / "feeds.toml").write_text("")
    own = {"BROADSHEET_HOME": str(home), "BROADSHEET_FEEDS": str(home / "feeds.toml")}
    port, start = free_port(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "workers", "up", "--port", str(port)], env={**environment, **own},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not _answers(port):
            assert process.poll() is None, "the service ended"
            assert time.perf_counter() - start < 60, "no answer within a minute"
            time.sleep(0.02)
        yield process, time.perf_counter() - start
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _seconds(environment: Mapping[str, str], *arguments: str) -> float:
    """Processor time of a program of ours, since the clock measures what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _answers(port: int) -> bool:
    address = f"http://127.0.0.1:{port}/healthz"
    with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(address, timeout=2) as answer:
        return bool(answer.status == 200)
    return False
