"""`broadsheet deliveries bounce`: saved bounce mails, read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.commands.opening import opened
from workers.commands.options import Json, epilog
from workers.commands.output import emit_json, say, table, warn

EPILOG = epilog(
    "broadsheet deliveries bounce Maildir/new/*",
    "broadsheet deliveries bounce - < report.eml      # as a mail server's pipe",
)


def bounce(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Mails as they came; - reads one from stdin.")],
    as_json: Json = False,
) -> None:
    """Read bounce mails and complaints: addresses that are dead or do not want mail are written to no more."""
    from services.domain.bounces import MAX_REPORT, parse_report
    from services.domain.errors import InvalidInput
    from services.pipeline.bounces import record_bounce

    found: list[dict[str, Any]] = []
    failed = False
    with opened() as rt:
        for path in files:
            try:
                raw = _read(path, MAX_REPORT + 1)
                reported = parse_report(raw)
            except (OSError, InvalidInput) as error:
                warn(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
                failed = True
                continue
            noted = record_bounce(rt, reported, report=raw)
            found += [
                {
                    "file": str(path), "address": one.bounce.address, "kind": one.bounce.kind, "code": one.bounce.code,
                    "detail": one.bounce.detail, "message_id": one.bounce.message_id, "known": one.known,
                    "suppressed": one.suppressed,
                }
                for one in noted
            ]  # fmt: skip
    if as_json:
        emit_json(found)
    elif found:
        table(
            ["Address", "Kind", "Code", "Now", "What was said"],
            [
                (one["address"], one["kind"], one["code"], "suppressed" if one["suppressed"] else "kept", one["detail"])
                for one in found
            ],
        )
    else:
        say("No bounces and no complaints.")
    if failed:
        raise typer.Exit(1)


def _read(path: Path, limit: int) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(limit)
    with path.open("rb") as file:
        return file.read(limit)
