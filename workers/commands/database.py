"""`broadsheet migrate`, `backup` and `restore`: the database as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from workers.commands.opening import opened
from workers.commands.options import Json, Yes, epilog
from workers.commands.output import counted, emit_json, note, progress, say, warn, when

EPILOGS = {
    "migrate": epilog("broadsheet migrate"),
    "backup": epilog("broadsheet backup broadsheet-$(date +%F).db"),
    "restore": epilog("broadsheet restore broadsheet-2026-11-24.db"),
}


def migrate(as_json: Json = False) -> None:
    """Bring the database to the newest schema (other commands do it by themselves)."""
    from services.storage import schema

    with opened(migrate=False) as rt:
        before, now = schema.migrate(rt.engine)
    if as_json:
        emit_json({"from": before, "to": now})
    elif before == now:
        say(f"The database has the newest schema, {now}.")
    else:
        say(f"Database: {before or 'empty'} → {now}")


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the database to a file, while the service runs."""
    from services.domain.errors import InvalidInput
    from services.pipeline.transfer import backup as copy

    if file.exists() and not force:
        raise InvalidInput(f"{file} is there already; name another file, or say --force")
    with opened() as rt:
        with progress("Backup", unit="pages") as told:
            size = copy(rt, file, progress=told)
        home, own_key = rt.settings.home, not rt.settings.secret_key.get_secret_value()
    if as_json:
        emit_json({"file": str(file), "bytes": size})
        return
    say(f"{file}: {size / 2**20:,.1f} MiB", style="green")
    if own_key:
        note(f"Keep {home / 'secret_key'} with it: it signs links already sent, and opens what is sealed.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `broadsheet backup` wrote.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Put a backup in place of the database. What may have been sent since it was made is not sent by itself."""
    from services.domain.errors import InvalidInput
    from services.domain.seals import WrongKey
    from services.pipeline.restored import hold_what_may_have_left
    from services.pipeline.transfer import alive, check_copy, is_sqlite
    from services.pipeline.transfer import restore as bring_back
    from services.storage import seals

    with opened(migrate=False) as rt:
        if is_sqlite(rt.engine):
            check_copy(file)
        running = alive(rt)
        if running:
            names = ", ".join(f"{row.role} (pid {row.pid} on {row.host})" for row in running)
            raise InvalidInput(f"the service is running: {names}. Stop it first, then restore.")
        if not yes:
            from workers.commands.confirm import confirm

            confirm(f"Put {file} in place of the database?")
        with progress("Restore", unit="pages") as told:
            kept = bring_back(rt, file, progress=told)
        held = hold_what_may_have_left(rt)
        try:
            with rt.reading() as session:
                seals.check(session)
        except WrongKey as error:
            warn(f"Restored, but {error}.")
    if as_json:
        emit_json({"file": str(file), "kept": str(kept) if kept else None, "deliveries_expired": held.expired,
                   "deliveries_held": held.deliveries, "editions_held": held.editions})  # fmt: skip
        return
    say(f"Restored from {file} (written {when(datetime.fromtimestamp(file.stat().st_mtime, UTC))}).", style="green")
    if kept:
        note(f"What was there before is kept as {kept}")
    if held.expired:
        say(f"{counted(held.expired, 'delivery', 'deliveries')} not sent yet would be too late: they are expired.")
    if held.deliveries:
        warn(f"{counted(held.deliveries, 'delivery', 'deliveries')} may have left since: they are `unknown`, and kept.")
    if held.editions:
        warn(
            f"{counted(held.editions, 'edition')} came due between backup and restore and may have left then: the "
            "service composes them and sends none."
        )
    if held.deliveries or held.editions:
        note("See `broadsheet deliveries list`; one that has not arrived: `broadsheet deliveries resend EDITION`.")
