"""Accounts: passwords checked, sessions opened and ended, tokens of programs made; users added and changed.

What is secret is kept as a hash only: argon2 for passwords, SHA-256 for what is random by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlmodel import Session

from services.domain.errors import InvalidInput
from services.domain.users import (
    ADMIN,
    LONGEST_PASSWORD,
    SCOPES,
    Actor,
    checked_name,
    checked_password,
    checked_role,
    checked_scope,
)
from services.pipeline.acts import acting
from services.runtime import Runtime
from services.storage import users
from services.storage.tables import ApiToken, User

SESSION_LIVES = timedelta(hours=12)
TOKEN_STARTS = "bst_"  # noqa: S105 - how tokens begin, and none itself
"""What every token begins with, so that scanners of leaked secrets can tell one."""
LONGEST_TOKEN_DAYS = 3650

HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""As OWASP's password storage cheat sheet wants it of argon2id, at least."""
_one_at_a_time = threading.Lock()
"""Each hash takes 19 MB: a crowd at the login page must not take all there is."""


def hash_password(password: str) -> str:
    """What is kept of a password."""
    with _one_at_a_time:
        return HASHER.hash(password)


def _verify(kept: str, password: str) -> bool:
    with _one_at_a_time, suppress(VerificationError, InvalidHashError):
        return HASHER.verify(kept, password[:LONGEST_PASSWORD])
    return False


def fingerprint(secret: str, text: str) -> str:
    """What stands for a secret where it must be compared and not known."""
    return hmac.new(secret.encode(), text.encode("utf-8", "replace"), "sha256").hexdigest()[:40]


def key_of(value: str) -> str:
    """What is kept of something random: of a session's cookie, of a token."""
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()


class Accounts:
    """Who may come in. One a process: it keeps the hash of the password that is a setting."""

    def __init__(self, rt: Runtime, password: str) -> None:
        self._rt = rt
        self._password = password
        self._own_mark = fingerprint(rt.secret, f"password:{password}")
        s = rt.settings
        self._provider_mark = fingerprint(rt.secret, f"provider:{s.oidc_issuer} {s.oidc_client_id}")

    @cached_property
    def _own_hash(self) -> str:
        return hash_password(self._password)  # when somebody first comes: it takes 19 MB

    # -- people ------------------------------------------------------------------------------------------------

    def check(self, name: str, password: str) -> str | None:
        """The role of whoever has this name and password, or `None`; as long for a name nobody has."""
        name = name.strip().lower()[:100]
        own = self._own_hash  # whoever it is, so that the first to come learns nothing from how long it takes
        with self._rt.reading() as session:
            user = None if name == ADMIN else users.find(session, name)
        known = user if user is not None and not user.disabled else None
        good = _verify(known.password_hash if known else own, password)
        if not good:
            return None
        if name == ADMIN:
            return "admin"
        return known.role if known else None

    def open_session(self, name: str, *, vouched: str = "") -> str:
        """A new session's cookie value; nothing anybody had before is worth it.

        `vouched`: the role of who comes from a login provider, and not with a password.
        """
        value = secrets.token_urlsafe(32)
        now = self._rt.now()
        with self._rt.writing() as session:
            users.open_login(
                session, key=key_of(value), user=name, mark=self._mark(session, name, vouched), role=vouched,
                now=now, until=now + SESSION_LIVES,
            )  # fmt: skip
        return value

    def _mark(self, session: Session, name: str, vouched: str) -> str:
        if vouched:
            return self._provider_mark
        if name == ADMIN:
            return self._own_mark
        return fingerprint(self._rt.secret, users.get(session, name).password_hash)

    def of_session(self, value: str) -> tuple[str, str] | None:
        """(name, role) of whoever a cookie stands for; `None` when it is forged, too old or ended, or its password
        (its provider) is another by now."""
        if not 20 <= len(value) <= 100:
            return None
        with self._rt.reading() as session:
            login = users.find_login(session, key_of(value), now=self._rt.now())
            if login is None:
                return None
            user = None if login.user == ADMIN else users.find(session, login.user)
            if user is None and login.user != ADMIN and not login.role:
                return None
            if user is not None and user.disabled:
                return None
            if not hmac.compare_digest(login.mark, self._mark(session, login.user, login.role)):
                return None
            return login.user, user.role if user is not None else login.role or "admin"

    def end_session(self, value: str) -> None:
        """No cookie of this session is worth anything from now on, whichever process it comes to."""
        with self._rt.writing() as session:
            users.end_login(session, key_of(value))

    def role_of(self, name: str, *, otherwise: str) -> str | None:
        """The role of somebody whom a trusted proxy or a login provider vouches for; `None` for one who is disabled,
        or unknown and unwanted."""
        with self._rt.reading() as session:
            user = users.find(session, name)
        if user is None:
            return otherwise or None
        return None if user.disabled else user.role

    def anybody(self) -> bool:
        """Whether there are users beside the one whose password is a setting."""
        with self._rt.reading() as session:
            return any(not user.disabled for user in users.list_all(session))

    # -- programs ----------------------------------------------------------------------------------------------

    def of_token(self, value: str) -> tuple[str, str] | None:
        """(name, role) of a program's token, or `None`; its use is written down, once a minute at most."""
        if not value.startswith(TOKEN_STARTS) or len(value) > 100:
            return None
        now = self._rt.now()
        with self._rt.reading() as session:
            token = users.find_token(session, key_of(value), now=now)
        if token is None or token.scope not in SCOPES:
            return None
        if token.last_used_at is None or now - token.last_used_at >= users.USED_EVERY:
            with self._rt.writing() as session:
                users.record_use(session, token.id or 0, now=now)
        return f"token:{token.name}", SCOPES[token.scope]


# -- acts ------------------------------------------------------------------------------------------------------


def add_user(rt: Runtime, actor: Actor, name: str, password: str, role: str) -> User:
    """Add a user. Raises `InvalidInput` for a name, password or role that cannot be used."""
    with acting(rt, actor, "user.add", name[:80]) as (session, said):
        name = _own_name(name)
        checked_role(role)
        hashed = hash_password(checked_password(password, name=name))
        said.after = {"role": role}
        return users.add(session, name=name, role=role, password_hash=hashed, now=rt.now())


def set_role(rt: Runtime, actor: Actor, name: str, role: str) -> User:
    """Give a user another role; it holds from their next click."""
    with acting(rt, actor, "user.role", name[:80]) as (session, said):
        user = users.get(session, _own_name(name))
        said.before, said.after = {"role": user.role}, {"role": checked_role(role)}
        users.change(session, user.name, role=role)
        session.refresh(user)
        return user


def set_disabled(rt: Runtime, actor: Actor, name: str, disabled: bool) -> User:
    """Let a user in no more (open sessions end at once), or again."""
    with acting(rt, actor, "user.disable" if disabled else "user.enable", name[:80]) as (session, said):
        user = users.get(session, _own_name(name))
        if disabled and user.name == actor.name:
            raise InvalidInput("nobody shuts the door on themselves; ask another admin")
        said.before, said.after = {"disabled": user.disabled}, {"disabled": disabled}
        users.change(session, user.name, disabled=disabled)
        if disabled:
            said.after["sessions_ended"] = users.end_logins(session, user.name)
        session.refresh(user)
        return user


def set_password(rt: Runtime, actor: Actor, name: str, password: str) -> User:
    """Give a user another password; sessions opened with the old one end."""
    with acting(rt, actor, "user.password", name[:80]) as (session, said):
        user = users.get(session, _own_name(name))
        users.change(session, user.name, password_hash=hash_password(checked_password(password, name=user.name)))
        said.after = {"sessions_ended": users.end_logins(session, user.name)}
        session.refresh(user)
        return user


def _own_name(text: str) -> str:
    name = checked_name(text)
    if name == ADMIN:
        raise InvalidInput("the password of `admin` is the setting BROADSHEET_ADMIN_PASSWORD; choose another name")
    return name


def make_token(rt: Runtime, actor: Actor, name: str, scope: str, *, days: int | None = None) -> tuple[str, ApiToken]:
    """A new token for a program: its value, shown this once, and its row. `days` until it runs out; `None`: never.

    Nobody makes a token that may more than they may themselves.
    """
    with acting(rt, actor, "token.add", name[:80]) as (session, said):
        name = checked_name(name)
        if not actor.may(SCOPES[checked_scope(scope)]):
            raise InvalidInput(f"a token of scope {scope} may more than the {actor.role} you are")
        if days is not None and not 1 <= days <= LONGEST_TOKEN_DAYS:
            raise InvalidInput(f"a token lasts 1 to {LONGEST_TOKEN_DAYS} days")
        now: datetime = rt.now()
        value = TOKEN_STARTS + secrets.token_urlsafe(32)
        until = now + timedelta(days=days) if days is not None else None
        said.after = {"scope": scope, "expires_at": until}
        row = users.add_token(
            session, name=name, scope=scope, key=key_of(value), hint=value[: len(TOKEN_STARTS) + 4],
            made_by=actor.name, now=now, expires_at=until,
        )  # fmt: skip
    return value, row


def revoke_token(rt: Runtime, actor: Actor, name: str) -> ApiToken:
    """Let nobody in with that token any more."""
    with acting(rt, actor, "token.revoke", name[:80]) as (session, said):
        said.after = {"revoked": users.revoke_token(session, name.strip().lower(), now=rt.now())}
        row = users.get_token(session, name.strip().lower())
        session.refresh(row)
        return row
