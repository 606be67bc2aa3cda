"""One target in one process: `python -m tests.fuzz.one TARGET --seconds N --folder DIR`. Started by `tests.fuzz`.

What breaks a target is written down and the run goes on, so that one shallow fault does not hide the deep ones: once
per
kind of error and place. Only what kills or freezes the process ends it. Figures are in `DIR/TARGET.json`, written each
second, since the process is ended by the fuzzer from within.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import atheris

SLOW_S = 3.0
"""Processor time that one input may take."""

with atheris.instrument_imports(include=["services"]):
    from tests.attacks.recordings import ROOT, recorded
    from tests.fuzz.seeds import TOKENS
    from tests.fuzz.targets import TARGETS, Target


MOST_RECORDED = 400


def recorded_seeds(target: Target) -> Iterator[bytes]:
    """Recorded answers short enough to begin with, evenly chosen where there are many."""
    paths = [
        path
        for path in (recorded() if target.recorded else [])
        if path.relative_to(ROOT).parts[0] in target.recorded and path.stat().st_size <= target.longest
    ]
    for path in paths[:: len(paths) // MOST_RECORDED + 1]:
        yield path.read_bytes()


def place_of(error: BaseException) -> str:
    """The kind of an error and where it came up: two finds of one place are one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/fuzz/one" not in frame.filename]
    last = next((frame for frame in reversed(frames) if "/services/" in frame.filename), frames[-1] if frames else None)
    where = f"{Path(last.filename).name}:{last.name}" if last else "?"
    return f"{type(error).__name__} in {where}"


def main() -> None:
    """Fuzz until the time is over."""
    asked = argparse.ArgumentParser()
    asked.add_argument("target", choices=sorted(TARGETS))
    asked.add_argument("--seconds", type=int, required=True)
    asked.add_argument("--folder", type=Path, required=True)
    options = asked.parse_args()
    target = TARGETS[options.target]
    corpus, found = options.folder / "corpus" / target.name, options.folder / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in (*target.seeds, *recorded_seeds(target)):
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = options.folder / "words"
    words.write_text("".join('"' + "".join(f"\\x{b:02x}" for b in word.encode()) + '"\n' for word in TOKENS))
    seen: dict[str, str] = {}
    count = 0
    slowest = 0.0
    said_at = 0.0

    def keep(what: str, data: bytes) -> None:
        if what not in seen:
            path = found / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            seen[what] = path.name
            sys.stderr.write(f"FOUND {what}: {path}\n")

    def one(data: bytes) -> None:
        nonlocal count, slowest, said_at
        count += 1
        started = time.thread_time()
        try:
            target.try_it(data)
        except Exception as error:
            keep(place_of(error), data)
            if seen[place_of(error)].endswith(hashlib.sha256(data).hexdigest()[:12]):
                traceback.print_exc(limit=-6)
        spent = time.thread_time() - started
        slowest = max(slowest, spent)
        if spent > SLOW_S:
            keep(f"slow ({SLOW_S:g} s)", data)
        if time.monotonic() - said_at > 1:
            said_at = time.monotonic()
            report()

    def report() -> None:
        figures = {"target": target.name, "executions": count, "slowest_s": round(slowest, 3), "found": seen}
        (options.folder / f"{target.name}.json").write_text(json.dumps(figures))

    report()
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={options.seconds}",
            "-timeout=60",
            "-rss_limit_mb=2048",
            f"-max_len={target.longest}",
            f"-artifact_prefix={found}/{target.name}-stopped-",
            f"-dict={words}",
            "-print_final_stats=1",
            "-verbosity=0",
            str(corpus),
        ],
        one,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
