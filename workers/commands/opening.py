"""Opening: settings are read, logging begins, the database is there. Every command comes through `opened`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config.settings import Settings
    from services.domain.users import Actor
    from services.runtime import Runtime


class SettingsFault(Exception):
    """A setting cannot be used. The message names the variable; commands end with exit code 2."""


@dataclass(slots=True)
class _Asked:
    """What was asked for: which command with which parameters, and the options before it."""

    verbose: bool = False
    command: str = ""
    """The command that runs, without the program's name: `feeds pause`."""
    given: dict[str, Any] = field(default_factory=dict)
    """Its parameters."""


asked = _Asked()


def load_settings() -> Settings:
    """The settings from the environment and `.env`; raises `SettingsFault` that names every variable at fault."""
    from pydantic import ValidationError

    from config.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        raise SettingsFault("\n".join(_fault(one["loc"], one["msg"]) for one in error.errors())) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsFault(f"the file .env cannot be read: {error}") from None


def _fault(place: tuple[int | str, ...], message: str) -> str:
    from config.settings import PREFIX
    from services.domain.redaction import redact

    text = redact(message.removeprefix("Value error, "))
    if place:
        return f"{PREFIX}{str(place[0]).upper()}: {text}"
    name, colon, rest = text.partition(": ")
    return f"{PREFIX}{name.upper()}: {rest}" if colon and name.isidentifier() else text


def begin_logging(settings: Settings, *, service: bool) -> None:
    """Log to stderr. Short commands keep quiet about what goes well unless `--verbose` or the setting asks."""
    from config.logging import configure_logging
    from services.domain.redaction import redact

    level = settings.log_level
    if not service and "log_level" not in settings.model_fields_set:
        level = "warning"
    if asked.verbose and level in {"warning", "error"}:
        level = "info"
    configure_logging(redact=redact, level=level, style=settings.log_format, secrets=settings.secret_values())


def me() -> Actor:
    """Whoever runs this command, for the audit. Who may run it may do everything: the database is theirs."""
    from getpass import getuser

    from services.domain.users import Actor

    try:
        name = getuser()
    except (OSError, KeyError):  # a container's user need have no name
        name = str(os.getuid())
    return Actor(name=name, role="admin", origin="command", address=socket.gethostname())


@contextmanager
def opened(
    *, settings: Settings | None = None, service: bool = False, migrate: bool = True, sync: bool = False
) -> Iterator[Runtime]:
    """A runtime on a database of the newest schema, closed at the end.

    `sync` brings feeds and digests up to date with the catalogue; `service` is for processes that stay, which log
    at the level that is set.
    """
    from services.runtime import Runtime
    from workers.commands.audited import audited

    settings = settings or load_settings()
    begin_logging(settings, service=service)
    check_settings(settings)
    rt = Runtime.from_settings(settings)
    rt.worker = (
        f"{socket.gethostname()}:{os.getpid()}:command"  # as `monitor.process_name`, without all it brings along
    )
    try:
        if migrate:
            bring_up_to_date(rt, sync=sync)
        with audited(rt):
            yield rt
    finally:
        rt.close()


def bring_up_to_date(rt: Runtime, *, sync: bool) -> None:
    """The newest schema, and with `sync` the catalogue's feeds and digests."""
    from services.storage import schema

    if not schema.is_current(rt.engine):
        schema.migrate(rt.engine)
    if sync:
        from services.pipeline.subscribe import sync_catalogue
        from services.storage import seals

        catalogue = rt.catalogue()
        with rt.writing() as session:
            seals.check(session)
            sync_catalogue(rt, session, catalogue)


def check_settings(settings: Settings) -> None:
    """Raise `SettingsFault` for values that are well-formed and still cannot work."""
    from services.channels.mime import sender
    from services.channels.smtp_url import parse_smtp_url, split_smtp_urls
    from services.domain.errors import BroadsheetError
    from services.runtime import dkim_signatures
    from services.storage.engine import make_engine

    try:
        for url in split_smtp_urls(settings.smtp_url.get_secret_value()):
            parse_smtp_url(url)
    except BroadsheetError as error:
        raise SettingsFault(f"BROADSHEET_SMTP_URL: {error}") from None
    try:
        sender(settings.mail_from)
    except BroadsheetError as error:
        raise SettingsFault(f"BROADSHEET_MAIL_FROM: {error}") from None
    try:
        dkim_signatures(settings)
    except BroadsheetError as error:
        raise SettingsFault(str(error)) from None
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        settings.signing_key()
    except OSError as error:
        raise SettingsFault(
            f"BROADSHEET_HOME: {settings.home} cannot be written ({error.strerror or error}); name another folder"
        ) from None
    except ValueError as error:
        raise SettingsFault(str(error)) from None
    try:
        make_engine(settings.database).dispose()
    except BroadsheetError as error:
        raise SettingsFault(str(error)) from None
    except (ImportError, OSError) as error:
        raise SettingsFault(f"BROADSHEET_DATABASE_URL: {error}") from None
