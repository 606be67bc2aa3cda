"""Sealed: a column type whose secrets are sealed with the secret key on their way in, and opened on their way out.

An address that is an URL (a webhook's, a Slack hook's, an Apprise service's) is a password: whoever has it can post.
The address of a feed is one where its query holds a key.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Engine, Text
from sqlalchemy.types import TypeDecorator

from services.domain.seals import MARK, Seals

_seals: WeakKeyDictionary[Dialect, Seals] = WeakKeyDictionary()
"""The keys of each engine; its dialect is what a column type gets to see of it."""


def use_seals(engine: Engine, seals: Seals) -> None:
    """Seal and open with these keys on this engine."""
    _seals[engine.dialect] = seals


def seals_of(dialect: Dialect) -> Seals:
    """The keys of an engine, by its dialect."""
    return _seals[dialect]


def is_url(address: str) -> bool:
    """Whether an address of a reader is a password. Mail addresses are not sealed: operators look for parts of them."""
    return "://" in address


def always(_: str) -> bool:
    """For what is a secret by its nature."""
    return True


class Sealed(TypeDecorator[str]):
    """Text; what `wants` to be sealed is sealed in the database."""

    impl = Text
    cache_ok = True

    def __init__(self, wants: Callable[[str], bool]) -> None:
        super().__init__()
        self.wants = wants

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """On the way in."""
        return seals_of(dialect).seal(value) if value is not None and self.wants(value) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """On the way out; `WrongKey` when the key it was sealed with is not set."""
        return seals_of(dialect).open(value) if value is not None and value.startswith(MARK) else value
