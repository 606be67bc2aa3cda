"""`broadsheet users …`: who may log in at the pages for operators."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, epilog
from workers.commands.output import Column, emit_json, say, table, when

if TYPE_CHECKING:
    from services.storage.tables import User

app = typer.Typer(no_args_is_help=True, help="Who may log in at the pages for operators: add, list, role, disable.")

ROLES = ("viewer", "operator", "admin")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A user, as `users list` shows them.")]


def role_of(text: str) -> str:
    """A role."""
    if text not in ROLES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(ROLES)}")
    return text


Role = Annotated[str, typer.Option("--role", parser=role_of, metavar="|".join(ROLES), help="What they may do.")]


def asked_password(name: str) -> str:
    """The new password: asked for twice on a terminal, else the first line of standard input. Never an argument,
    which everybody on the machine could read."""
    if sys.stdin.isatty():
        return str(typer.prompt(f"New password of {name}", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def user_json(user: User) -> dict[str, Any]:
    """A user as scripts get one."""
    return {
        "name": user.name, "role": user.role, "disabled": user.disabled, "created_at": user.created_at,
        "last_login_at": user.last_login_at,
    }  # fmt: skip


def _told(user: User, words: str, as_json: bool) -> None:
    if as_json:
        emit_json(user_json(user))
    else:
        say(f"{user.name} ({user.role}): {words}")


@app.command(
    "add", epilog=epilog("broadsheet users add ada --role operator", "pass ada | broadsheet users add ada --role admin")
)
def add_user(name: Name, role: Role = "viewer", as_json: Json = False) -> None:
    """Let somebody in. The password is asked for, or read from standard input."""
    from services.pipeline import accounts

    with opened() as rt:
        user = accounts.add_user(rt, me(), name, asked_password(name), role)
    _told(user, "may log in at /admin", as_json)


@app.command("list", epilog=epilog("broadsheet users list"))
def list_users(as_json: Json = False) -> None:
    """Show who may log in. `admin`, whose password is BROADSHEET_ADMIN_PASSWORD, is not listed."""
    from services.storage import users

    with opened() as rt, rt.reading() as session:
        rows = users.list_all(session)
    if as_json:
        emit_json([user_json(user) for user in rows])
        return
    if not rows:
        say("Nobody yet but `admin`. Add somebody: broadsheet users add NAME --role operator")
        return
    table(
        ["Name", "Role", "State", Column("Made", from_width=90), "Last login"],
        [(u.name, u.role, "disabled" if u.disabled else "ok", when(u.created_at), when(u.last_login_at)) for u in rows],
    )


@app.command("role", epilog=epilog("broadsheet users role ada admin"))
def set_role(
    name: Name,
    role: Annotated[str, typer.Argument(parser=role_of, metavar="|".join(ROLES), help="What they may do from now on.")],
    as_json: Json = False,
) -> None:
    """Give somebody another role; it holds from their next click."""
    from services.pipeline import accounts

    with opened() as rt:
        user = accounts.set_role(rt, me(), name, role)
    _told(user, "the role is set", as_json)


@app.command("disable", epilog=epilog("broadsheet users disable ada"))
def disable(name: Name, as_json: Json = False) -> None:
    """Let somebody in no more; their sessions end at once."""
    from services.pipeline import accounts

    with opened() as rt:
        user = accounts.set_disabled(rt, me(), name, True)
    _told(user, "is let in no more", as_json)


@app.command("enable", epilog=epilog("broadsheet users enable ada"))
def enable(name: Name, as_json: Json = False) -> None:
    """Let somebody in again."""
    from services.pipeline import accounts

    with opened() as rt:
        user = accounts.set_disabled(rt, me(), name, False)
    _told(user, "is let in again", as_json)


@app.command("password", epilog=epilog("broadsheet users password ada"))
def set_password(name: Name, as_json: Json = False) -> None:
    """Give somebody another password; sessions opened with the old one end."""
    from services.pipeline import accounts

    with opened() as rt:
        user = accounts.set_password(rt, me(), name, asked_password(name))
    _told(user, "the password is set", as_json)
