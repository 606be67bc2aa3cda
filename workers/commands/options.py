"""Options that several commands share."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from types import FrameType
from typing import Annotated

import typer


def day(text: str) -> date:
    """A day as people type it: 2026-11-24, `today`, `yesterday` (UTC)."""
    today = datetime.now(UTC).date()
    match text.strip().lower():
        case "today":
            return today
        case "yesterday":
            return today - timedelta(days=1)
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; write it as 2026-11-24 (or today, yesterday)") from None


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Limit = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many.", show_default=False)
]
Since = Annotated[
    date | None, typer.Option("--since", parser=day, metavar="DATE", help="From this day on.", show_default=False)
]
Until = Annotated[
    date | None,
    typer.Option("--until", parser=day, metavar="DATE", help="Up to this day, included.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def epilog(*examples: str) -> str:
    """Examples below a command's help, a line each."""
    return "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that running work is finished first; a second one ends at once."""
    stop = threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
