"""`broadsheet secrets …`: the secret key is changed for another."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, Yes, epilog
from workers.commands.output import counted, emit_json, note, progress, say

app = typer.Typer(no_args_is_help=True, help="The secret key: seal everything with a new one.")


@app.command(
    "rotate",
    epilog=epilog(
        "export BROADSHEET_OLD_SECRET_KEYS=$BROADSHEET_SECRET_KEY       # or the words in HOME/secret_key",
        "export BROADSHEET_SECRET_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(48))')",
        "broadsheet secrets rotate",
    ),
)
def rotate(
    forget_lost: Annotated[
        bool, typer.Option("--forget-lost", help="Give up addresses that no key opens: nothing is sent there any more.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Seal with the newest secret key what older ones sealed. It can be stopped and run again at any time."""
    from services.pipeline.secret_keys import rotate as reseal

    if forget_lost and not yes:
        from workers.commands.confirm import confirm

        confirm("Give up every address that the keys set do not open?")
    with opened() as rt:
        with progress("Rotation", unit="rows") as told:
            done = reseal(rt, me(), forget_lost=forget_lost, progress=told)
        kept = len(rt.old_secrets)
    if as_json:
        emit_json({"resealed": done.resealed, "lost": done.lost})
        return
    say(f"{counted(done.resealed, 'row')} sealed anew; all that is sealed depends on the newest key.", style="green")
    if done.lost:
        say(f"{counted(done.lost, 'row')} given up: no key that is set opens them. Add those subscriptions again.")
    if kept:
        note(
            "BROADSHEET_OLD_SECRET_KEYS still opens links in mails of before. Take a key out of it when those may end: "
            "at once if it has leaked."
        )
