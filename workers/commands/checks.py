"""Checks: what has to be right for the service to work, one function each, and what to do where it is not."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from config.catalogue import CatalogueError
from config.settings import PREFIX, Settings
from services.channels.smtp_url import is_loopback
from services.domain.errors import BroadsheetError
from services.domain.feeds import FeedInfo
from services.domain.redaction import redact
from services.runtime import Runtime, disk_under
from services.upstreams import kinds
from workers.commands.faults import is_damage
from workers.commands.output import counted, when

if TYPE_CHECKING:
    from config.catalogue import Catalogue

TIMEOUT_S = 8.0
LITTLE_DISK = 1024 * 1024 * 1024
NO_DISK = 100 * 1024 * 1024
MOST_FEEDS = 10
"""Failing feeds named one by one."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line: `state` is ok, warn or fail; `advice` says what to do."""

    name: str
    state: str
    message: str
    advice: str = ""


def ok(name: str, message: str) -> Check:
    """All is well."""
    return Check(name, "ok", message)


def warning(name: str, message: str, advice: str = "") -> Check:
    """It works, but somebody should know."""
    return Check(name, "warn", message, advice)


def failure(name: str, message: str, advice: str = "") -> Check:
    """It does not work."""
    return Check(name, "fail", message, advice)


# -- this machine ----------------------------------------------------------------------------------------------


def check_environment() -> Iterator[Check]:
    """Settings are well-formed (else we would not be here); names that are no settings are spelling mistakes."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    strange = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if not strange:
        yield ok("settings", f"all valid ({sum(n.upper() in known for n in os.environ)} set in the environment)")
    for name in strange:
        near = get_close_matches(name.upper(), known, n=1)
        meant = f"did you mean {near[0]}?" if near else "`broadsheet settings` lists all there are"
        yield warning("settings", f"{name} is not a setting and has no effect", meant)


def check_home(settings: Settings) -> Check:
    """The data folder can be written."""
    home = settings.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return failure(
            "home",
            f"{home} cannot be written: {error.strerror or error}",
            "name another folder in BROADSHEET_HOME, or give us the right to write there",
        )
    return ok("home", str(home))


def check_disk(settings: Settings) -> Check:
    """There is room for what comes."""
    free, _ = disk_under(settings.home)
    said = f"{free / 2**30:,.1f} GiB free"
    if free < NO_DISK:
        return failure("disk", said, "make room: the database cannot grow")
    if free < LITTLE_DISK:
        return warning("disk", said, "make room, or lower BROADSHEET_DOCUMENTS_KEEP_DAYS")
    return ok("disk", said)


def check_key(settings: Settings) -> Check:
    """The key that signs links is there, secret, and long enough."""
    key = settings.secret_key.get_secret_value()
    path = settings.home / "secret_key"
    if key:
        if len(key) < 32:
            return warning(
                "secret key",
                f"set, but only {len(key)} characters long",
                "use 32 or more: python -c 'import secrets; print(secrets.token_urlsafe(48))'",
            )
        if _kept(path) not in ("", key, *settings.old_keys):
            return warning(
                "secret key",
                f"set in BROADSHEET_SECRET_KEY; {path} holds another, and links signed with that one do not open",
                "put it into BROADSHEET_OLD_SECRET_KEYS, or remove the file",
            )
        return ok("secret key", "set in BROADSHEET_SECRET_KEY")
    try:
        settings.signing_key()
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return failure(
            "secret key",
            f"{path} cannot be used: {error.strerror or error}",
            "give us the right to read it, or set BROADSHEET_SECRET_KEY",
        )
    except ValueError:
        return failure(
            "secret key", f"{path} holds no key", "bring it back from a backup, or set BROADSHEET_SECRET_KEY"
        )
    if mode & 0o077:
        return warning("secret key", f"{path} can be read by others on this machine", f"chmod 600 {path}")
    return ok("secret key", f"kept in {path}")


def _kept(path: Path) -> str:
    """The key in a file, as far as it can be read."""
    try:
        return path.read_bytes().decode(errors="replace").strip()
    except OSError:
        return ""


def has_database(rt: Runtime) -> bool:
    """Whether there is something to look into: a look must not make an empty file."""
    return rt.engine.dialect.name != "sqlite" or Path(rt.engine.url.database or "").exists()


def check_database(rt: Runtime) -> Iterator[Check]:
    """It is reached, whole, and of the newest schema; its clock agrees with ours."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from services.storage import schema

    where = redact(rt.engine.url.render_as_string(hide_password=True))
    path = Path(rt.engine.url.database or "")
    sqlite = rt.engine.dialect.name == "sqlite"
    if not has_database(rt):
        yield ok("database", f"{path} is made at the first start")
        return
    try:
        with rt.engine.connect().execution_options(broadsheet_reads=True) as connection:
            held = schema.current(connection)
            if sqlite:
                verdict = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
                if verdict != "ok":
                    yield failure(
                        "database", f"{path} is damaged: {verdict}", "bring back a copy: broadsheet restore FILE"
                    )
                    return
            else:
                theirs = connection.execute(text("SELECT now()")).scalar_one()
                apart = abs(theirs - datetime.now(UTC))
                if apart > timedelta(seconds=30):
                    yield warning(
                        "database clock",
                        f"{apart.total_seconds():.0f} s away from ours",
                        "let both machines keep time by NTP",
                    )
    except SQLAlchemyError as error:
        said = redact(" ".join(str(getattr(error, "orig", None) or error).split()))
        if sqlite and is_damage(said):
            advice = "bring back a copy: broadsheet restore FILE"
        elif sqlite:
            advice = f"see that {path} can be read and written, that its disk has room, and which process holds it"
        else:
            advice = "check BROADSHEET_DATABASE_URL; see that the server runs"
        yield failure("database", f"{where}: {said}", advice)
        return
    newest = schema.head()
    if held != newest:
        yield warning(
            "database",
            f"{where} has schema {held or 'none'}, the newest is {newest}",
            "it is brought up to date at the next start, or by `broadsheet migrate`",
        )
    else:
        yield ok("database", f"{where}, schema {newest}")


def check_seals(rt: Runtime) -> Iterator[Check]:
    """What is sealed can be opened, and depends on the newest secret key alone."""
    from sqlalchemy.exc import SQLAlchemyError

    from services.domain.seals import ADVICE
    from services.storage import seals

    if not has_database(rt):
        return
    try:
        with rt.reading() as session:
            keys, held = seals.seals_in(session), seals.keys_in_use(session)
    except SQLAlchemyError:
        return  # no database yet, or one that its own check has told of
    lost = {name: number for name, number in held.items() if not keys.knows(name)}
    stale = sum(number for name, number in held.items() if name != keys.current) - sum(lost.values())
    if lost:
        said = f"{counted(sum(lost.values()), 'row')} sealed with a secret key that is not set ({', '.join(lost)})"
        yield failure("sealed rows", said, ADVICE)
    if stale:
        yield warning(
            "sealed rows", f"{counted(stale, 'row')} still depend on an old secret key", "broadsheet secrets rotate"
        )
    if not lost and not stale and held:
        yield ok("sealed rows", f"{counted(sum(held.values()), 'row')}, all by the newest secret key")


def check_catalogue(rt: Runtime) -> Iterator[Check]:
    """feeds.toml can be read, and each of its feeds can be asked for."""
    from config.catalogue import SHIPPED

    path = rt.settings.feeds or rt.settings.home / "feeds.toml"
    name = str(path) if rt.settings.feeds or path.exists() else f"the shipped one ({SHIPPED.name})"
    try:
        catalogue = rt.catalogue()
    except CatalogueError as error:
        yield failure("feeds.toml", str(error), "mend the entry named")
        return
    broken = list(_broken_feeds(rt, catalogue))
    yield from broken
    if not broken:
        yield ok(
            "feeds.toml",
            f"{name}: {counted(len(catalogue.feeds), 'feed')}, {counted(len(catalogue.digests), 'digest')}",
        )


def _broken_feeds(rt: Runtime, catalogue: Catalogue) -> Iterator[Check]:
    for spec in catalogue.feeds:
        feed = FeedInfo(name=spec.name, kind=spec.kind, url=spec.url, params=spec.params)
        try:
            kinds.for_kind(spec.kind).request(feed, rt.urls)
        except BroadsheetError as error:
            yield failure("feeds.toml", str(error), "mend the entry named")


def check_addresses(settings: Settings) -> Check:
    """Links in digests lead somewhere."""
    parts = urlsplit(settings.public_url)
    if settings.smtp_url.get_secret_value() and is_loopback(parts.hostname or ""):
        return warning(
            "public address",
            f"{settings.public_url}: links in digests work on this machine only",
            "set BROADSHEET_PUBLIC_URL to where readers reach the pages",
        )
    if settings.smtp_url.get_secret_value() and parts.scheme != "https":
        return warning(
            "public address",
            f"{settings.public_url} is not https: mail programs offer no one-click unsubscribe",
            "serve the pages by https, and set BROADSHEET_PUBLIC_URL",
        )
    return ok("public address", settings.public_url)


# -- the service's own state -----------------------------------------------------------------------------------


def check_quotas(rt: Runtime) -> Iterator[Check]:
    """What is left of what each host allows us, in the window that runs now."""
    from sqlalchemy.exc import SQLAlchemyError

    from services.storage import quotas

    if not has_database(rt):
        return
    share, now = rt.settings.quota_share, rt.now()
    try:
        with rt.reading() as session:
            running = [row for row in quotas.list_all(session) if row.reset_at is not None and row.reset_at > now]
    except SQLAlchemyError:
        return  # no database yet, or one that its own check has told of
    for row in running:
        said = f"{quotas.used(row):,} of {row.limit:,} calls used until {when(row.reset_at)}; we stop at {share:.0%}"
        if quotas.used(row) < quotas.usable(row.limit, share):
            yield ok(f"allowance {row.name}", said)
        else:
            advice = "nothing: what is left waits until then"
            if row.name == "api.github.com":
                advice += "; with BROADSHEET_GITHUB_TOKEN it is 5,000 an hour, 50 repositories a call"
            yield warning(f"allowance {row.name}", said, advice)


def check_rates(rt: Runtime) -> Iterator[Check]:
    """How many messages an hour may leave by each channel, where that is limited, and who said so."""
    from sqlalchemy.exc import SQLAlchemyError

    from services.pipeline.rates import all_rates

    if not has_database(rt):
        return
    try:
        with rt.reading() as session:
            limited = [rate for rate in all_rates(rt, session) if rate.per_hour]
    except SQLAlchemyError:
        return  # no database yet, or one that its own check has told of
    for rate in limited:
        said = f"{rate.used:,} of {rate.per_hour:,} an hour have left"
        if rate.held and rate.lowered:
            said += f"; {rate.lowered.by} lowered it at {when(rate.lowered.at)}"
            advice = f"broadsheet deliveries restore {rate.channel}"
            yield warning(f"rate of {rate.channel}", said, advice)
        else:
            yield ok(f"rate of {rate.channel}", said)


def check_feeds(rt: Runtime) -> Iterator[Check]:
    """Each feed is read, or it is said why not."""
    from sqlalchemy.exc import SQLAlchemyError

    from services.storage import feeds

    if not has_database(rt):
        return
    try:
        with rt.reading() as session:
            failing = [feed for feed in feeds.list_all(session) if feed.failures and not feed.paused]
    except SQLAlchemyError:
        return  # no database yet, or one that its own check has told of
    for feed in failing[:MOST_FEEDS]:
        times = "once" if feed.failures == 1 else f"{feed.failures} times in a row"
        yield warning(f"feed {feed.name}", f"failed {times}: {redact(feed.last_error or 'no reason given')}")
    if len(failing) > MOST_FEEDS:
        yield warning("feeds", f"{len(failing) - MOST_FEEDS} more fail", "broadsheet feeds list")


def check_work(rt: Runtime) -> Iterator[Check]:
    """Who is running, and what waits for a person."""
    from sqlalchemy.exc import SQLAlchemyError

    from services.pipeline.transfer import alive
    from services.storage import deliveries, runs

    if not has_database(rt):
        return
    try:
        running = alive(rt)
        with rt.reading() as session:
            dead = len(runs.list_runs(session, states=["dead"]))
            unknown = len(deliveries.list_all(session, states=["unknown"]))
            failed = len(deliveries.list_all(session, states=["failed"]))
            deferred = len(deliveries.list_all(session, states=["deferred"]))
    except SQLAlchemyError:
        return  # no database yet, or one that its own check has told of
    if running:
        yield ok(
            "processes",
            ", ".join(f"{row.role} (pid {row.pid} on {row.host}, seen {when(row.seen_at)})" for row in running),
        )
    else:
        yield warning("processes", "none is running", "broadsheet up, or `broadsheet run --once` by cron")
    if dead:
        yield warning("runs", f"{counted(dead, 'run')} given up", "broadsheet runs list --failed")
    if failed or unknown:
        yield warning(
            "deliveries",
            f"{failed} failed, {unknown} unknown",
            "broadsheet deliveries list --state failed --state unknown",
        )
    if deferred:
        yield warning(
            "deliveries",
            f"{counted(deferred, 'waits', 'wait')} for another try",
            "they are tried again by themselves; broadsheet deliveries list --state deferred",
        )
    if not (dead or failed or unknown or deferred):
        yield ok("work", "nothing has failed")
