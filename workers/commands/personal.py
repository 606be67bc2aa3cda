"""`broadsheet subscriptions export` and `wipe`: what is held of one person, given to them or wiped."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, Yes, epilog
from workers.commands.output import counted, emit_json, note, say

EXPORT_EPILOG = epilog("broadsheet subscriptions export ada@example.org > ada.json")
WIPE_EPILOG = epilog("broadsheet subscriptions wipe ada@example.org")

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="EMAIL, or as in `subscriptions add --to`.")]


def export_person(address: Address, as_json: Json = False) -> None:  # noqa: ARG001 - it is JSON either way
    """Print everything held of one person as JSON: subscriptions, editions, deliveries, feedback, reports, audit."""
    from services.pipeline.personal import export

    with opened() as rt:
        emit_json(export(rt, me(), address))


def wipe_person(address: Address, yes: Yes = False, as_json: Json = False) -> None:
    """Wipe everything that tells who a person is or what they read.

    What remains is a keyed hash of the address: so that nobody gets a paper twice who comes back, and a suppressed
    address stays so.
    """
    from services.pipeline.personal import wipe

    if not yes and not as_json:
        from workers.commands.confirm import confirm

        confirm(f"Wipe all that is held of {address}? It cannot be taken back.")
    with opened() as rt:
        done = wipe(rt, me(), address)
    if as_json:
        emit_json({"rows": dict(done.rows), "files": done.files})
        return
    rows = ", ".join(f"{number} {table.replace('_', ' ')}" for table, number in done.rows.items() if number)
    say(f"Wiped: {rows}; {counted(done.files, 'file')} in the outbox.", style="green")
    note("Backups made before, logs, and what has been sent are not changed.")
