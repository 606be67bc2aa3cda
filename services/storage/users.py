"""Users, their open sessions, and the tokens of programs. Secrets are kept as hashes only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from services.domain.errors import InvalidInput, NotFound
from services.storage.sql import insert_ignore
from services.storage.tables import ApiToken, Login, User

USED_EVERY = timedelta(minutes=1)
"""A token's last use is written down at most this often: programs come many times a second."""


# -- users -----------------------------------------------------------------------------------------------------


def add(session: Session, *, name: str, role: str, password_hash: str, now: datetime) -> User:
    """Add a user; `InvalidInput` when the name is taken."""
    row = {"name": name, "role": role, "password_hash": password_hash, "disabled": False, "created_at": now}
    if not insert_ignore(session, User, [row], ["name"], returning=["id"]):
        raise InvalidInput(f"there is a user {name!r} already")
    return get(session, name)


def find(session: Session, name: str) -> User | None:
    """The user of that name, or none."""
    return session.exec(select(User).where(User.name == name)).first()


def get(session: Session, name: str) -> User:
    """The user of that name, or `NotFound`."""
    user = find(session, name)
    if user is None:
        raise NotFound(f"there is no user {name[:80]!r}; `broadsheet users list` shows those there are")
    return user


def list_all(session: Session) -> list[User]:
    """All users by name."""
    return list(session.exec(select(User).order_by(User.name)))


def change(session: Session, name: str, **values: Any) -> None:
    """Set columns of one user."""
    session.execute(update(User).where(col(User.name) == name).values(**values))


# -- sessions --------------------------------------------------------------------------------------------------


def open_login(session: Session, *, key: str, user: str, mark: str, role: str, now: datetime, until: datetime) -> None:
    """Keep an open session; the user's last login is now."""
    session.add(Login(key=key, user=user, mark=mark, role=role, created_at=now, expires_at=until))
    change(session, user, last_login_at=now)


def find_login(session: Session, key: str, *, now: datetime) -> Login | None:
    """The session of that hash, unless it has run out."""
    return session.exec(select(Login).where(Login.key == key, Login.expires_at > now)).first()


def end_login(session: Session, key: str) -> None:
    """End one session, wherever its cookie is kept."""
    session.execute(delete(Login).where(col(Login.key) == key))


def end_logins(session: Session, user: str) -> int:
    """End all sessions of a user; returns how many."""
    ended = session.execute(delete(Login).where(col(Login.user) == user))
    return int(ended.rowcount)  # type: ignore[attr-defined]


# -- tokens of programs ----------------------------------------------------------------------------------------


def add_token(
    session: Session, *, name: str, scope: str, key: str, hint: str, made_by: str, now: datetime,
    expires_at: datetime | None,
) -> ApiToken:  # fmt: skip
    """Keep a token's hash; `InvalidInput` when the name is taken."""
    row = {
        "name": name, "scope": scope, "key": key, "hint": hint, "made_by": made_by, "created_at": now,
        "expires_at": expires_at,
    }  # fmt: skip
    if not insert_ignore(session, ApiToken, [row], ["name"], returning=["id"]):
        raise InvalidInput(f"there is, or was, a token {name!r}; choose another name")
    return get_token(session, name)


def get_token(session: Session, name: str) -> ApiToken:
    """The token of that name, or `NotFound`."""
    row = session.exec(select(ApiToken).where(ApiToken.name == name)).first()
    if row is None:
        raise NotFound(f"there is no token {name[:80]!r}; `broadsheet tokens list` shows those there are")
    return row


def find_token(session: Session, key: str, *, now: datetime) -> ApiToken | None:
    """The token of that hash, unless it has run out or was revoked."""
    row = session.exec(select(ApiToken).where(ApiToken.key == key, col(ApiToken.revoked_at).is_(None))).first()
    return None if row is None or (row.expires_at is not None and row.expires_at <= now) else row


def list_tokens(session: Session) -> list[ApiToken]:
    """All tokens, newest first, those that are worth nothing any more among them."""
    return list(session.exec(select(ApiToken).order_by(col(ApiToken.id).desc())))


def record_use(session: Session, token_id: int, *, now: datetime) -> None:
    """Write down that a token was used."""
    session.execute(update(ApiToken).where(col(ApiToken.id) == token_id).values(last_used_at=now))


def revoke_token(session: Session, name: str, *, now: datetime) -> bool:
    """Let nobody in with that token any more; False when that was so already."""
    get_token(session, name)
    done = session.execute(
        update(ApiToken).where(col(ApiToken.name) == name, col(ApiToken.revoked_at).is_(None)).values(revoked_at=now)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def forget(session: Session, *, now: datetime) -> None:
    """Drop sessions that have run out."""
    session.execute(delete(Login).where(col(Login.expires_at) <= now))
