"""Redis dies under a worker, and its main process with it: it begins anew by itself and goes on when Redis is back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests import servers
from tests.faults import backing
from tests.servers import wait_until


def test_a_worker_that_fails_when_redis_dies_goes_on_when_it_is_back(tmp_path: Path) -> None:
    try:
        redis = backing.Redis()
    except backing.Missing as reason:
        servers.missing(str(reason))
    log = tmp_path / "log"
    settings = {"HOME": str(tmp_path), "BROKER_URL": redis.url, "LOG_FORMAT": "json"}
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.frail_worker", "worker", "--concurrency", "1"],
            env=os.environ | {f"BROADSHEET_{name}": value for name, value in settings.items()}, stderr=out, stdout=out,
        )  # fmt: skip

    def lives() -> int:
        assert worker.poll() is None, log.read_text()
        return log.read_text().count(" ready.")

    try:
        wait_until(lambda: lives() == 1, within_s=20, what="it listens")
        redis.kill()
        wait_until(lambda: b"worker.failed" in log.read_bytes(), within_s=6, what="it fails")
        redis.start()
        wait_until(lambda: lives() == 2, within_s=20, what="it listens again, as the same process")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0, log.read_text()
    except AssertionError as error:
        error.add_note(log.read_text()[-6000:])
        raise
    finally:
        worker.kill()
        worker.wait()
        redis.kill()
