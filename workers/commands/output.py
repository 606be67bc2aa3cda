"""Output: what commands print. Results go to stdout, all else to stderr; `--json` is one document on stdout.

Text that came from outside is printed as text: no markup, no control characters.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 200
"""Columns where nobody's terminal sets them: wide enough for grep."""

Progress = Callable[[int, int], None]
"""Called with (done, total) as work goes on."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. It is left out on terminals narrower than `from_width`; `fold` lets long values wrap."""

    title: str
    right: bool = False
    fold: bool = False
    from_width: int = 0


def console(stderr: bool = False) -> Console:
    """A console for stdout or stderr, as wide as the terminal."""
    from rich.console import Console

    stream = _stream(stderr)
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def _stream(stderr: bool) -> TextIO:
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")  # a terminal that knows no Unicode shows a ? rather than nothing
    return stream


def plain(text: object) -> str:
    """`text` without anything a terminal would obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in str(text))


def say(text: object = "", *, style: str = "", to_stderr: bool = False) -> None:
    """Print a line (or several), wrapped at words on a terminal."""
    stream = _stream(to_stderr)
    if not stream.isatty() and not os.environ.get("FORCE_COLOR"):  # nothing to colour or wrap, and no need of rich
        print(plain(text), file=stream, flush=True)
        return
    from rich.text import Text

    out = console(to_stderr)
    out.print(Text(plain(text), style=style), soft_wrap=not out.is_terminal)
    out.file.flush()  # a log file shows the greeting while the service runs


def note(text: object) -> None:
    """A remark beside the result, on stderr."""
    say(text, style="dim", to_stderr=True)


def warn(text: object) -> None:
    """Something to look at, on stderr."""
    say(text, style="yellow", to_stderr=True)


def fail(text: object) -> None:
    """The reason why a command did not do what was asked, on stderr."""
    say(f"Error: {text}", style="red", to_stderr=True)


def emit(text: str) -> None:
    """Write `text` to stdout as it is, with a line end."""
    encoding = sys.stdout.encoding or "ascii"
    shown = text.encode(encoding, "replace").decode(encoding)
    sys.stdout.write(shown if shown.endswith("\n") else shown + "\n")
    sys.stdout.flush()


def emit_json(value: object) -> None:
    """Print one JSON document: times as ISO 8601 in UTC, days as dates."""
    emit(_json(value, indent=2))


def emit_json_array(items: Iterable[object]) -> int:
    """Print one JSON array item by item, so that a whole archive needs no memory; returns how many."""
    count = 0
    opening = "[\n"  # with the first item: what fails before it leaves stdout empty
    for item in items:
        sys.stdout.write((",\n" if count else opening) + _json(item, indent=None))
        count += 1
    if not count:
        sys.stdout.write("[")
    sys.stdout.write("\n]\n" if count else "]\n")
    sys.stdout.flush()
    return count


def _json(value: object, indent: int | None) -> str:
    # Where the terminal cannot show all of Unicode, escapes keep the document whole.
    unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
    text = json.dumps(value, ensure_ascii=not unicode, indent=indent, default=_plain_value)
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(columns: Sequence[Column | str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print rows under their columns, as narrow as the terminal asks."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    out = console()
    wanted = [c if isinstance(c, Column) else Column(c) for c in columns]
    shown = [n for n, c in enumerate(wanted) if out.width >= c.from_width]
    grid = Table(
        box=SIMPLE_HEAD, title=plain(title) if title else None, title_justify="left", pad_edge=False, show_edge=False
    )
    for n in shown:
        column = wanted[n]
        grid.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=not column.fold,
            overflow="fold" if column.fold else "ellipsis",
        )  # fmt: skip
    for row in rows:
        grid.add_row(*(Text(plain("" if row[n] is None else row[n])) for n in shown))
    out.print(grid)


def pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values side by side; what has no value is left out."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value not in (None, "", (), []):
            grid.add_row(name, Text(plain(value)))
    console().print(grid)


def when(at: datetime | None, *, never: str = "never") -> str:
    """A time as the clock on this machine's wall shows it, with its zone."""
    if at is None:
        return never
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return f"{aware.astimezone():%Y-%m-%d %H:%M %Z}"


def ago(at: datetime | None, now: datetime, *, never: str = "never") -> str:
    """How long ago, for lists: `12 min ago`."""
    from services.digests.words import age

    return age(at, now) if at is not None else never


def coming(at: datetime, now: datetime) -> str:
    """How soon, for lists: `in 12 min`; `now` for what is due."""
    from services.digests.words import span

    if at <= now:
        return "now"
    length = span(now, at)
    return "in a moment" if length == "moments" else f"in {length}"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 paper`, `3 papers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


@contextmanager
def progress(what: str, *, unit: str = "") -> Iterator[Progress]:
    """A progress bar on stderr; where stderr is no terminal, nothing is drawn."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console(stderr=True), transient=True) as bars:
        task = bars.add_task(plain(what), total=None)

        def update(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield update
