"""`broadsheet bounces …`: what came back, whom nothing is sent to for it, and since when."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, epilog
from workers.commands.output import Column, emit_json, say, table, warn, when

app = typer.Typer(
    no_args_is_help=True,
    help="Mail that came back, and addresses nothing is sent to: read, list, show, suppress, lift.",
)

EPILOG = epilog(
    "broadsheet bounces read Maildir/new/*",
    "broadsheet bounces read - < report.eml      # as a mail server's pipe",
)

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="EMAIL, or as in `subscriptions add --to`.")]
Why = Annotated[str, typer.Option("--why", metavar="WORDS", help="Kept with it.", show_default=False)]


def bounce(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Mails as they came; - reads one from stdin.")],
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


@app.command("list", epilog=epilog("broadsheet bounces list", "broadsheet bounces list --json"))
def list_suppressed(as_json: Json = False) -> None:
    """Show the addresses nothing is sent to, newest first, and why."""
    from services.storage import suppressions

    with opened() as rt, rt.reading() as session:
        rows = suppressions.page(session)
    if as_json:
        emit_json([{"address": r.address_key, "reason": r.reason, "detail": r.detail, "at": r.at} for r in rows])
    elif not rows:
        say("No address is suppressed: mail goes to everybody who asked for it.")
    else:
        table(
            [Column("Address", fold=True), "Why", "Since", Column("What was said", fold=True)],
            [(_shown(r.address_key), r.reason.replace("_", " "), when(r.at), r.detail) for r in rows],
        )


@app.command("show", epilog=epilog("broadsheet bounces show ada@example.org"))
def show_address(address: Address, as_json: Json = False) -> None:
    """Show all that is known of one address: each report, and each time it was suppressed or lifted."""
    from services.pipeline.bounces import history

    with opened() as rt:
        found = history(rt, address)
    acts = [{"at": e.at, "act": e.act, "reason": e.reason, "by": e.by, "detail": e.detail} for e in found.events]
    reports = [
        {"at": r.at, "kind": r.kind, "code": r.code, "detail": r.detail, "message_id": r.message_id}
        for r in found.reports
    ]
    if as_json:
        emit_json({"address": found.key, "suppressed": found.suppressed, "acts": acts, "reports": reports})
        return
    say(f"{_shown(found.key)} is {'suppressed: nothing is sent to it' if found.suppressed else 'written to'}.")
    rows = [(e.at, e.act, e.reason.replace("_", " "), e.by, e.detail) for e in found.events]
    rows += [(r.at, "reported", r.kind, r.code, r.detail) for r in found.reports]
    if rows:
        rows.sort(key=lambda row: row[0], reverse=True)
        table(
            ["When", "What", "Why", "By, or code", Column("What was said", fold=True)],
            [(when(at), *rest) for at, *rest in rows],
        )
    else:
        say("Nothing was ever reported of it.")


@app.command("suppress", epilog=epilog("broadsheet bounces suppress ada@example.org --why 'asked by telephone'"))
def suppress_address(address: Address, why: Why = "", as_json: Json = False) -> None:
    """Send nothing to an address any more, whoever subscribes it."""
    from services.pipeline import operate

    with opened() as rt:
        key = operate.suppress(rt, me(), address, detail=why)
    if as_json:
        emit_json({"address": key, "suppressed": True})
    else:
        say(f"Nothing is sent to {_shown(key)} any more.", style="green")


@app.command("lift", epilog=epilog("broadsheet bounces lift ada@example.org --why 'mailbox was full, is mended'"))
def lift_suppression(address: Address, why: Why = "", as_json: Json = False) -> None:
    """Let an address be written to again. Reports from before stay on record, and count no more."""
    from services.pipeline import operate
    from services.pipeline.bounces import key_of

    with opened() as rt:
        with rt.writing() as session:
            key = key_of(rt, session, address)
        operate.lift(rt, me(), key, detail=why)
    if as_json:
        emit_json({"address": key, "suppressed": False})
    else:
        say(f"{_shown(key)} is written to again.", style="green")


def _shown(key: str) -> str:
    """An address as people write it; the secret part of a hook is not shown."""
    from services.domain.redaction import redact

    return redact(key.removeprefix("email:"))
