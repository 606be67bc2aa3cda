"""`broadsheet doctor` and `broadsheet settings`: is everything as it has to be, and what is set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import SettingsFault, begin_logging, load_settings
from workers.commands.options import Json, epilog
from workers.commands.output import Column, emit, emit_json, say, table, warn

if TYPE_CHECKING:
    from config.settings import Settings
    from services.pipeline.rates import Rate
    from workers.commands.checks import Check

EPILOG = epilog("broadsheet doctor", "broadsheet doctor --offline --json")
SETTINGS_EPILOG = epilog(
    "broadsheet settings", "BROADSHEET_POLL_S=1 broadsheet settings --json", "broadsheet settings --markdown"
)

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Leave out mail server and upstreams.")] = False,
    alive: Annotated[
        str | None,
        typer.Option("--alive", metavar="ROLE", help="Ask one thing only: does a worker, or beat, of this host live?"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at everything the service needs, and say what to do where it is not right. Nothing is sent or changed."""
    if alive is not None:
        _is_alive(alive)
        return
    found: list[Check] = []
    try:
        settings = load_settings()
    except SettingsFault as error:
        from workers.commands.checks import failure

        found = [
            failure("settings", line, "`broadsheet settings --markdown` tells what each takes")
            for line in str(error).splitlines()
        ]
        if not as_json:
            _show(found[0])
            for check in found[1:]:
                _show(check)
    else:
        from workers.commands.all_checks import all_checks

        begin_logging(settings, service=False)
        for check in all_checks(settings, network=not offline):
            found.append(check)
            if not as_json:
                _show(check)
    failed = sum(check.state == "fail" for check in found)
    warned = sum(check.state == "warn" for check in found)
    if as_json:
        emit_json(
            {
                "ok": not failed,
                "checks": [
                    {"name": c.name, "state": c.state, "message": c.message, "advice": c.advice or None} for c in found
                ],
            }
        )
    elif failed:
        say(f"{failed} failed, {warned} to look at.", style="red")
    else:
        say(f"Nothing stands in the way{f', {warned} to look at' if warned else ''}.", style="green")
    if failed:
        raise typer.Exit(1)


ALIVE_FOR_S = 60
"""A process says every ten seconds that it lives; after six missed words it is taken for dead."""


def _is_alive(role: str) -> None:
    """Exit 1 unless a process of this role on this host was heard of within a minute: a container's health check."""
    import socket
    from datetime import timedelta

    from services.storage import service
    from workers.commands.opening import opened

    with opened() as rt, rt.reading() as session:
        now = rt.now()
        beats = service.list_heartbeats(session, since=now - timedelta(seconds=ALIVE_FOR_S))
        mine = [beat for beat in beats if beat.role == role and beat.host == socket.gethostname()]
    if not mine:
        say(f"No {role} of this host was heard of in the last {ALIVE_FOR_S} s.", style="red")
        raise typer.Exit(1)
    say(f"{role} {mine[0].name} lives.", style="green")


def _show(check: Check) -> None:
    say(f"{check.state:<4}  {check.name}: {check.message}", style=STYLES[check.state])
    if check.advice:
        say(f"      → {check.advice}", style="dim")


# -- settings --------------------------------------------------------------------------------------------------


def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of all settings for the README.")] = False,
    as_json: Json = False,
) -> None:
    """List every setting with its value and where it comes from; secrets are not shown."""
    if markdown:
        emit(settings_markdown())
        return
    current = load_settings()
    rows = settings_rows(current)
    lowered = _lowered(current)
    if as_json:
        in_force = {name: {"in_force": rate.per_hour} for name, rate in lowered.items()}
        emit_json([row | in_force.get(row["name"], {}) for row in rows])
        return
    table(
        [
            Column("Setting", fold=True),
            Column("Value", fold=True),
            "From",
            Column("Meaning", fold=True, from_width=120),
        ],
        [(row["name"], row["value"], row["source"], row["description"]) for row in rows],
    )
    for name, rate in lowered.items():
        at_once = f"broadsheet deliveries restore {rate.channel}"
        warn(f"{name}: an operator has lowered it to {rate.per_hour:,} an hour; `{at_once}` takes that back.")


def _lowered(current: Settings) -> dict[str, Rate]:
    """Settings of which an operator has made less; none where the database cannot be asked, as `doctor` tells."""
    from sqlalchemy.exc import SQLAlchemyError

    from config.settings import PREFIX
    from services.domain.errors import BroadsheetError
    from services.pipeline.rates import all_rates
    from services.runtime import Runtime
    from workers.commands.checks import has_database

    if not current.smtp_per_hour:
        return {}
    try:
        rt = Runtime.from_settings(current)
    except (BroadsheetError, OSError, ImportError, ValueError):
        return {}
    try:
        if not has_database(rt):
            return {}
        with rt.reading() as session:
            return {f"{PREFIX}SMTP_PER_HOUR": one for one in all_rates(rt, session) if one.setting and one.held}
    except SQLAlchemyError:
        return {}
    finally:
        rt.close()


def settings_rows(current: Settings) -> list[dict[str, Any]]:
    """Every setting: name, value (secrets as ***), source (environment, .env or default), description."""
    from config.settings import PREFIX
    from services.domain.redaction import redact

    in_environment = {name.upper() for name in os.environ}
    rows = []
    for name, about in type(current).model_fields.items():
        variable = f"{PREFIX}{name.upper()}"
        source = (
            "environment" if variable in in_environment else ".env" if name in current.model_fields_set else "default"
        )
        rows.append(
            {
                "name": variable,
                "value": _shown(getattr(current, name), redact),
                "source": source,
                "description": about.description or "",
            }
        )
    return rows


def _shown(value: Any, redact: Any) -> str | int | float | bool | None:
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(redact(str(value)))


def settings_markdown() -> str:
    """The table of all settings: variable, default, meaning."""
    from pydantic import SecretStr

    from config.settings import PREFIX, Settings

    lines = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    for name, about in Settings.model_fields.items():
        default = about.default.get_secret_value() if isinstance(about.default, SecretStr) else about.default
        shown = (
            "unset" if default in (None, "") else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        lines.append(
            f"| `{PREFIX}{name.upper()}` | {shown} | {(about.description or '').replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines)
