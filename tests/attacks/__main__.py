"""`python -m tests.attacks [--every N]`: every recorded answer through the real fetch and parse.

Prints a table of kinds and outcomes; exit code 1 when a file crashed a parser, was slow, or ended the process. The
recordings
are named by `BROADSHEET_CORPORA` (default: `../shared/corpora` beside the project).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

from tests.attacks.recordings import ROOT, confine, go_through, recorded

STATES = ("read", "refused", "slow", "crashed")
SECONDS = 900


def _confined(every: int) -> None:
    confine(SECONDS)
    for outcome in go_through(recorded()[::every]):
        print(json.dumps(asdict(outcome)), flush=True)


def run(every: int = 1) -> tuple[list[dict[str, Any]], int]:
    """Every N-th file in a confined process of its own: what each came to, and how many were to be gone through."""
    command = [sys.executable, "-m", "tests.attacks", "--every", str(every), "--confined"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=2 * SECONDS)
    return [json.loads(line) for line in done.stdout.splitlines()], len(recorded()[::every])


def main() -> int:
    """Go through the recordings and print the table."""
    asked = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    asked.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th file (default: all)")
    asked.add_argument("--confined", action="store_true", help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.confined:
        _confined(options.every)
        return 0
    outcomes, expected = run(options.every)
    if not expected:
        print(f"There are no recordings at {ROOT}; name their folder in BROADSHEET_CORPORA.", file=sys.stderr)
        return 2
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for one in outcomes:
        table[one["kind"]][one["state"]] += 1
        table[one["kind"]]["papers"] += one["papers"]
        table[one["kind"]]["rejected"] += one["rejected"]
    columns = (*STATES, "papers", "rejected")
    print(f"{'kind':<12}" + "".join(f"{name:>10}" for name in columns))
    for kind, row in sorted(table.items()):
        print(f"{kind:<12}" + "".join(f"{row[name]:>10,}" for name in columns))
    bad = [one for one in outcomes if one["state"] in {"crashed", "slow"}]
    for one in bad:
        print(f"{one['state'].upper()} {one['path']}: {one['detail']}")
    lost = expected - len(outcomes)
    print(
        f"{len(outcomes):,} of {expected:,} files, {len(bad)} crashed or slow"
        + (f", then the process ended: {lost} left" if lost else "")
    )
    return 1 if bad or lost else 0


if __name__ == "__main__":
    sys.exit(main())
