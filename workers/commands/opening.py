"""Opening: settings are read, logging begins, the database is there. Every command comes through `opened`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.settings import Settings
    from services.runtime import Runtime


class SettingsFault(Exception):
    """A setting cannot be used. The message names the variable; commands end with exit code 2."""


@dataclass(slots=True)
class _Asked:
    """What the options before the command said."""

    verbose: bool = False


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
    from config.logging import redact
    from config.settings import PREFIX

    text = redact(message.removeprefix("Value error, "))
    if place:
        return f"{PREFIX}{str(place[0]).upper()}: {text}"
    name, colon, rest = text.partition(": ")
    return f"{PREFIX}{name.upper()}: {rest}" if colon and name.isidentifier() else text


def begin_logging(settings: Settings, *, service: bool) -> None:
    """Log to stderr. Short commands keep quiet about what goes well unless `--verbose` or the setting asks."""
    from config.logging import configure_logging

    level = settings.log_level
    if not service and "log_level" not in settings.model_fields_set:
        level = "warning"
    if asked.verbose and level in {"warning", "error"}:
        level = "info"
    configure_logging(level=level, style=settings.log_format, secrets=secrets_of(settings))


def secrets_of(settings: Settings) -> list[str]:
    """Values that must never be printed."""
    hidden = (settings.secret_key, settings.smtp_url, settings.github_token, settings.admin_password)
    return [value.get_secret_value() for value in hidden if value.get_secret_value()]


@contextmanager
def opened(
    *, settings: Settings | None = None, service: bool = False, migrate: bool = True, sync: bool = False
) -> Iterator[Runtime]:
    """A runtime on a database of the newest schema, closed at the end.

    `sync` brings feeds and digests up to date with the catalogue; `service` is for processes that stay, which log
    at the level that is set.
    """
    from services.runtime import Runtime

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

        catalogue = rt.catalogue()
        with rt.writing() as session:
            sync_catalogue(rt, session, catalogue)


def check_settings(settings: Settings) -> None:
    """Raise `SettingsFault` for values that are well-formed and still cannot work."""
    from services.channels.mime import sender
    from services.channels.smtp_url import parse_smtp_url
    from services.domain.errors import BroadsheetError
    from services.storage.engine import make_engine

    smtp = settings.smtp_url.get_secret_value()
    try:
        if smtp:
            parse_smtp_url(smtp)
    except BroadsheetError as error:
        raise SettingsFault(f"BROADSHEET_SMTP_URL: {error}") from None
    try:
        sender(settings.mail_from)
    except BroadsheetError as error:
        raise SettingsFault(f"BROADSHEET_MAIL_FROM: {error}") from None
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        settings.signing_key()
    except OSError as error:
        raise SettingsFault(
            f"BROADSHEET_HOME: {settings.home} cannot be written ({error.strerror or error}); name another folder"
        ) from None
    try:
        make_engine(settings.database).dispose()
    except BroadsheetError as error:
        raise SettingsFault(str(error)) from None
    except (ImportError, OSError) as error:
        raise SettingsFault(f"BROADSHEET_DATABASE_URL: {error}") from None
