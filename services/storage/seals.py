"""What is sealed: which keys rows depend on, rotation, and what addresses are called where they are looked up.

An address that is sealed must still be unique, and be found: it goes by a keyed hash, and so does an address that was
wiped. The hash has a key of its own, made once and kept sealed: it stays the same when the secret key is rotated.
"""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Text, func, type_coerce
from sqlmodel import Session, SQLModel

from services.domain.addresses import CHANNELS
from services.domain.seals import KEY_LENGTH, MARK, Seals, WrongKey
from services.domain.urls import has_keys, without_keys
from services.storage.sealed import seals_of
from services.storage.sql import insert_ignore, table_of
from services.storage.tables import Feed, Seal, Subscriber

LOOKUP = "lookup"
SEALED: tuple[tuple[type[SQLModel], str, str], ...] = (
    (Subscriber, "id", "address"), (Feed, "id", "url"), (Seal, "name", "value"),
)  # fmt: skip
"""Where sealed texts are: table, primary key, column."""


# -- what addresses are called ---------------------------------------------------------------------------------


def new_key(session: Session, channel: str, address: str) -> str:
    """What a row about an address is called: the address itself, folded, or its hash where it is a secret."""
    return wiped_as(session, channel, address) if "://" in address else _plain(channel, address)


def keys_of(session: Session, channel: str, address: str) -> list[str]:
    """What a row about an address may be called: as `new_key` says, and by its hash once it was wiped."""
    plain = _plain(channel, address)
    return [*([] if "://" in address else [plain]), *known_as(session, channel, plain)]


def keys_of_whole(session: Session, text: str) -> list[str]:
    """What rows may be called whose address is sealed, and is this text."""
    return [key for channel in CHANNELS for key in keys_of(session, channel, text)] if "://" in text else []


def wiped_as(session: Session, channel: str, address: str) -> str:
    """What a row about an address is called once it was wiped."""
    return hashed(session, channel, _plain(channel, address))


def hashed(session: Session, kind: str, text: str) -> str:
    """What stands for a text that was wiped: `kind:#…`."""
    return f"{kind}:{_hash(_lookup(session, make=True), text)}"


def known_as(session: Session, kind: str, text: str) -> list[str]:
    """What stands for a text if it was wiped; nothing where nothing ever was."""
    key = _lookup(session)
    return [f"{kind}:{_hash(key, text)}"] if key else []


def shown_url(session: Session, url: str, *, make: bool = False) -> str:
    """What the address of a page is called where it is written down: itself, or without its keys and with a hash of
    them behind `#`, since another key may open another page. `make` where a row is written."""
    if not has_keys(url):
        return url
    return f"{without_keys(url)}#{_hash(_lookup(session, make=make), url)[1:13]}"


def _plain(channel: str, address: str) -> str:
    return f"{channel}:{address}".lower() if channel == "email" else f"{channel}:{address}"


def _hash(key: str, text: str) -> str:
    return "#" + hmac.new(key.encode(), text.encode("utf-8", "replace"), "sha256").hexdigest()[:40]


def _lookup(session: Session, *, make: bool = False) -> str:
    row = session.get(Seal, LOOKUP)
    if row is None and make:
        # Two processes may be the first at once.
        insert_ignore(session, Seal, [{"name": LOOKUP, "value": secrets.token_urlsafe(32)}], ["name"])
        row = session.get(Seal, LOOKUP)
    return row.value if row is not None else ""


# -- keys ------------------------------------------------------------------------------------------------------


def check(session: Session) -> None:
    """Raise `WrongKey` unless what the database sealed first can be opened."""
    _lookup(session)


def keys_in_use(session: Session) -> Counter[str]:
    """How many sealed texts depend on each key, by the keys' names."""
    found: Counter[str] = Counter()
    for model, _, name in SEALED:
        held = _raw(model, name)
        key = func.substr(held, len(MARK) + 1, KEY_LENGTH)
        query = sa.select(key, func.count()).where(held.startswith(MARK)).group_by(key)
        found.update({str(one): number for one, number in session.execute(query)})
    return found


def reseal(session: Session, *, limit: int, forget_lost: bool = False) -> tuple[int, int]:
    """Seal at most `limit` texts of older keys with the newest; returns (resealed, given up).

    What cannot be opened raises `WrongKey`, or with `forget_lost` loses its address: nothing is sent there any more.
    """
    seals = seals_in(session)
    done = lost = 0
    for model, primary, name in SEALED:
        table, held = table_of(model), _raw(model, name)
        stale = (
            sa.select(table.c[primary], held)
            .where(held.startswith(MARK), ~held.startswith(f"{MARK}{seals.current}:"))
            .order_by(table.c[primary])
            .limit(limit - done - lost)
        )
        for row, text in session.execute(stale).all():
            try:
                values: dict[str, Any] = {name: seals.open(text)}
                done += 1
            except WrongKey:
                if not forget_lost:
                    raise
                _forget(session, model, row)
                lost += 1
                continue
            session.execute(sa.update(table).where(table.c[primary] == row).values(**values))
    return done, lost


def _forget(session: Session, model: type[SQLModel], row: Any) -> None:
    if model is Seal:
        session.execute(sa.delete(Seal).where(sa.column("name") == row))
    elif model is Feed:
        values = {"url": "", "paused": True, "last_error": "its address was sealed with a secret key that is lost"}
        session.execute(sa.update(Feed).where(sa.column("id") == row).values(**values))
    else:
        values = {"address": "", "address_key": f"lost:{row}", "state": "unsubscribed"}
        session.execute(sa.update(Subscriber).where(sa.column("id") == row).values(**values))


def _raw(model: type[SQLModel], name: str) -> sa.ColumnElement[str]:
    """A column as it is in the database."""
    return type_coerce(table_of(model).c[name], Text)


def seals_in(session: Session) -> Seals:
    """The keys of this session's engine."""
    return seals_of(session.get_bind().dialect)
