"""`python -m tests.fuzz --minutes 10 [--target NAME …] [--folder DIR]`: fuzz every parser, one after the other.

Slow parsers get a larger share of the time. Inputs that broke something lie in `DIR/found` afterwards (default: a new
folder in the system's temporary place); put one into `tests/upstreams/fuzzed/` with its fix, and every run of the tests
reads it again.
The corpus in `DIR/corpus` is gone on with when the same folder is named again. Exit code 1 when anything was found.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS


def run(target: str, seconds: int, folder: Path) -> dict[str, Any]:
    """Fuzz one target; its figures."""
    command = [sys.executable, "-m", "tests.fuzz.one", target, "--seconds", str(seconds), "--folder", str(folder)]
    with (folder / f"{target}.log").open("wb") as log:
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    path = folder / f"{target}.json"
    figures: dict[str, Any] = (
        json.loads(path.read_text())
        if path.exists()
        else {"target": target, "executions": 0, "slowest_s": 0, "found": {}}
    )
    stopped = sorted(one.name for one in (folder / "found").glob(f"{target}-stopped-*"))
    if stopped or code not in (0, 1) or not path.exists():
        figures["found"] |= {f"stopped with {code}, see {target}.log": ", ".join(stopped) or "?"}
    return figures


def main() -> int:
    """Fuzz, and print a table."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("--minutes", type=float, default=10.0, help="for all targets together (default: 10)")
    asked.add_argument("--target", action="append", choices=sorted(TARGETS), help="only these (default: all)")
    asked.add_argument("--folder", type=Path, help="where the corpus and the finds are kept")
    options = asked.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("Fuzzing needs atheris: uv sync --group fuzz (Python 3.13 or older)", file=sys.stderr)
        return 2
    names = options.target or list(TARGETS)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="broadsheet-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    seconds = options.minutes * 60 / sum(TARGETS[name].share for name in names)
    print(f"{len(names)} targets, {seconds:.0f} s a share; corpus and finds in {folder}", flush=True)
    total = finds = 0
    for name in names:
        figures = run(name, max(1, int(seconds * TARGETS[name].share)), folder)
        total += figures["executions"]
        finds += len(figures["found"])
        print(f"{name:<16}{figures['executions']:>10,} runs  slowest {figures['slowest_s']:>6.2f} s  ", end="")
        print("; ".join(f"{what} ({where})" for what, where in figures["found"].items()) or "nothing found", flush=True)
    print(f"{total:,} executions, {finds} finds")
    return 1 if finds else 0


if __name__ == "__main__":
    sys.exit(main())
