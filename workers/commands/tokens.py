"""`broadsheet tokens …` and `broadsheet audit`: what lets programs in, and what everybody did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, Limit, epilog
from workers.commands.output import Column, emit_json, note, say, table, when

if TYPE_CHECKING:
    from services.storage.tables import ApiToken

app = typer.Typer(no_args_is_help=True, help="Tokens that let programs in at /api/v1 and /metrics: add, list, revoke.")

SCOPES = ("read", "operate", "admin")
DEFAULT_LIMIT = 30
AUDIT_EPILOG = epilog("broadsheet audit --act feed", "broadsheet audit --who ada --json")


def scope_of(text: str) -> str:
    """A scope."""
    if text not in SCOPES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(SCOPES)}")
    return text


def token_json(token: ApiToken) -> dict[str, Any]:
    """A token as scripts get it, without its value."""
    return {
        "name": token.name, "scope": token.scope, "hint": token.hint, "made_by": token.made_by,
        "created_at": token.created_at, "expires_at": token.expires_at, "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    }  # fmt: skip


@app.command(
    "add", epilog=epilog("broadsheet tokens add prometheus --scope read", "broadsheet tokens add ci --days 90")
)
def add_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The program it is for.")],
    scope: Annotated[
        str, typer.Option("--scope", parser=scope_of, metavar="|".join(SCOPES), help="What it may do.")
    ] = "read",
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3650, help="How long it lasts.", show_default="for good")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once: it is kept as a hash."""
    from services.pipeline import accounts

    with opened() as rt:
        value, row = accounts.make_token(rt, me(), name, scope, days=days)
    if as_json:
        emit_json(token_json(row) | {"token": value})
        return
    say(value)
    note(f"Token {row.name} ({row.scope}), {f'until {when(row.expires_at)}' if row.expires_at else 'for good'}.")
    note("Copy it now; nobody can show it again. Programs send it as `Authorization: Bearer …`.")


@app.command("list", epilog=epilog("broadsheet tokens list"))
def list_tokens(as_json: Json = False) -> None:
    """Show the tokens there are, and those that are worth nothing any more."""
    from services.storage import users

    with opened() as rt:
        with rt.reading() as session:
            rows = users.list_tokens(session)
        now = rt.now()
    if as_json:
        emit_json([token_json(row) for row in rows])
        return
    if not rows:
        say("No tokens yet. Make one: broadsheet tokens add NAME --scope read")
        return

    def state(row: ApiToken) -> str:
        if row.revoked_at:
            return "revoked"
        return "expired" if row.expires_at and row.expires_at <= now else "ok"

    table(
        [
            "Name",
            "Scope",
            "Begins",
            "State",
            Column("Made by", from_width=100),
            "Last used",
            Column("Until", from_width=90),
        ],
        [
            (r.name, r.scope, f"{r.hint}…", state(r), r.made_by, when(r.last_used_at), when(r.expires_at, never="—"))
            for r in rows
        ],
    )


@app.command("revoke", epilog=epilog("broadsheet tokens revoke ci"))
def revoke_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A token, as `tokens list` shows it.")],
    as_json: Json = False,
) -> None:
    """Let nobody in with a token any more."""
    from services.pipeline import accounts

    with opened() as rt:
        row = accounts.revoke_token(rt, me(), name)
    if as_json:
        emit_json(token_json(row))
    else:
        say(f"Token {row.name} lets nobody in any more.")


# -- the audit -------------------------------------------------------------------------------------------------


def audit(
    who: Annotated[str, typer.Option("--who", help="Only of this person or program.", show_default=False)] = "",
    act: Annotated[
        str, typer.Option("--act", help="Only this act, or group: feed.pause, feed.", show_default=False)
    ] = "",
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show who did what, newest first (30; with --json all), by page, API and command line alike."""
    from services.storage import audit as kept

    with opened() as rt, rt.reading() as session:
        rows = kept.find(session, who=who, act=act, limit=limit or (1_000_000 if as_json else DEFAULT_LIMIT))
    if as_json:
        emit_json([row.model_dump() for row in rows])
        return
    if not rows:
        say("Nothing was done yet." if not (who or act) else "No such act.")
        return
    table(
        ["When", "Who", Column("From", from_width=100), "Act", Column("Subject", fold=True), "Outcome"],
        [(when(r.at), r.who, f"{r.origin} {r.address}", r.act, r.subject, r.outcome) for r in rows],
    )
