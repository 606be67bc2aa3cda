"""`broadsheet import`: saved listings and recorded answers become papers."""

from __future__ import annotations

import glob
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import opened
from workers.commands.options import Json, day, epilog
from workers.commands.output import counted, emit_json, progress, say, warn

if TYPE_CHECKING:
    from services.domain.papers import Rejected
    from services.pipeline.imports import ImportReport
    from services.runtime import Runtime

STDIN = "-"

EPILOG = epilog(
    "broadsheet import daily-papers.txt --as-of 2026-11-24",
    "broadsheet import 'days/*.json' records.jsonl.xz --json",
    "curl -s https://example.org/feed.xml | broadsheet import -",
)


def import_files(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Files, patterns such as 'days/*.json', or - for stdin.")
    ],
    kind: Annotated[
        str, typer.Option("--kind", help="What the files are; else it is found out.", show_default=False)
    ] = "",
    as_of: Annotated[
        date | None,
        typer.Option(
            "--as-of", parser=day, metavar="DATE", help="The day a saved listing was taken.", show_default=False
        ),
    ] = None,
    feed: Annotated[
        str, typer.Option("--feed", metavar="NAME", help="The feed to file them under.", show_default="by kind")
    ] = "",
    as_json: Json = False,
) -> None:
    """Read saved listings into the archive.

    Copied text or HTML of the Daily Papers page, JSON of its API, Atom, RSS, RDF, JSON Feed, OAI-PMH XML, JSON Lines
    of records, each plain, .gz or .xz. Importing a file again changes nothing; a refused file never stops the next.
    """
    from config.catalogue import NAME

    if feed and not NAME.fullmatch(feed):
        raise typer.BadParameter(
            f"{feed!r} may hold a-z, 0-9, . _ - and begins with a letter or digit", param_hint="--feed"
        )
    if kind:
        _known_kind(kind)
    reports: list[ImportReport] = []
    with opened(sync=True) as rt:
        for name in _names(files):
            reports.append(_import_one(rt, name, kind or None, as_of, feed or None))
            if not as_json:
                _tell(reports[-1])
    if as_json:
        emit_json([_import_json(report) for report in reports])
    elif len(reports) > 1:
        sums = {c: sum(getattr(r, c) for r in reports) for c in ("entries", "new", "changed", "known")}
        refused = sum(r.error is not None for r in reports)
        rejected = sum(len(r.rejected) for r in reports)
        say(
            f"{counted(len(reports), 'file')}: {counted(sums['entries'], 'entry', 'entries')}, {sums['new']:,} new, "
            f"{sums['changed']:,} changed, {sums['known']:,} known, {rejected:,} rejected, {refused:,} refused"
        )
    if any(report.error is not None or report.rejected for report in reports):
        raise typer.Exit(1)


def _known_kind(kind: str) -> None:
    from services.upstreams.kinds import KINDS

    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}", param_hint="--kind")


def _names(files: Sequence[str]) -> Iterator[str]:
    """The files named, patterns the shell left alone filled in, in order."""
    for name in files:
        is_pattern = name != STDIN and not os.path.lexists(name) and glob.has_magic(name)
        found = sorted(glob.glob(os.path.expanduser(name), recursive=True)) if is_pattern else []  # noqa: PTH207, PTH111
        yield from found or [name]


def _import_one(rt: Runtime, name: str, kind: str | None, as_of: date | None, feed: str | None) -> ImportReport:
    """Import one file; whatever goes wrong with it is in its report, and the next one goes on."""
    import structlog

    from services.pipeline.imports import ImportReport, import_file

    try:
        with _readable(name) as path, progress(f"Importing {name}", unit="papers") as told:
            report = import_file(rt, path, kind=kind, as_of=as_of, feed_name=feed, progress=told)
    except OSError as error:
        return ImportReport(file=name, error=f"{name}: cannot be read ({error.strerror or error})")
    except Exception as error:
        structlog.get_logger(__name__).exception("import.failed", file=name)
        return ImportReport(file=name, error=f"{name}: {type(error).__name__}: {error}")
    report.file = name
    return report


@contextmanager
def _readable(name: str) -> Iterator[Path]:
    """A path to read: the file itself, or stdin kept in a temporary one."""
    if name != STDIN:
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="broadsheet-") as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            while chunk := sys.stdin.buffer.read(1 << 20):
                file.write(chunk)
        yield path


def _tell(report: ImportReport) -> None:
    if report.error is not None:
        # A parser names the file only where it has to: the line must say which one was refused.
        words = report.error if report.error.startswith(report.file) else f"{report.file}: {report.error}"
        warn(f"refused: {words}")
        return
    say(
        f"{report.file}: {report.kind}, {counted(report.entries, 'entry', 'entries')}, {report.new:,} new, "
        f"{report.changed:,} changed, {report.known:,} known"
        + (f", {len(report.rejected):,} rejected" if report.rejected else "")
    )
    show_rejected(report.rejected)


def show_rejected(rejected: Sequence[Rejected], most: int = 5) -> None:
    """The first few rejected entries, and how many more there are."""
    for one in rejected[:most]:
        warn(f"  rejected: {one.reason} — {one.entry[:120]}")
    if len(rejected) > most:
        warn(f"  … and {len(rejected) - most:,} more; --json shows all")


def _import_json(report: ImportReport) -> dict[str, Any]:
    return {
        "file": report.file,
        "kind": report.kind,
        "entries": report.entries,
        "new": report.new,
        "changed": report.changed,
        "known": report.known,
        "rejected": [{"reason": r.reason, "entry": r.entry} for r in report.rejected],
        "error": report.error,
    }
