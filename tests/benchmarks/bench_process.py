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
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.benchmarks.bench_pipeline import resident_mb
from tests.benchmarks.harness import Options, Result, allowance
from tests.servers import free_port

IDLE_MB = 120
HELP_S, UP_S = 0.3, 1.5


def embedded(options: Options) -> Iterator[Result]:
    """`broadsheet --help` and the embedded service, both beside the bare interpreter."""
    bare, helped = [], []
    for _ in range(options.some(5, 1)):
        bare.append(_seconds("-c", "pass"))
        helped.append(_seconds("-m", "workers", "--help"))
    floor = statistics.median(bare)
    yield allowance(
        "start: --help", used=statistics.median(helped) - floor, allowed=HELP_S,
        what="0.3 s of processor over python -c pass",
        note=f"{statistics.median(helped):.2f} s, the interpreter alone {floor:.2f} s",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as home:
        port = free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BROADSHEET_")}
        none = Path(home) / "feeds.toml"
        none.write_text("")
        environment |= {"BROADSHEET_HOME": home, "BROADSHEET_FEEDS": str(none)}
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", "up", "--port", str(port)], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not _answers(port):
                assert process.poll() is None, "the service ended"
                assert time.perf_counter() - start < 60, "no answer within a minute"
                time.sleep(0.02)
            passed, up = time.perf_counter() - start, _processor_s(process.pid)
            time.sleep(options.some(20, 3))
            held = resident_mb(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    yield allowance(
        "start: first answer", used=up - floor, allowed=UP_S, what="1.5 s of processor over python -c pass",
        note=f"{up:.2f} s of processor, {passed:.1f} s by the clock, the new database included",
    )  # fmt: skip
    yield allowance("memory: embedded, idle", used=held, allowed=IDLE_MB, what="120 MB", note=f"{held:.0f} MB")


def _seconds(*arguments: str) -> float:
    """Processor time of a program of ours, since the clock measures what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
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
