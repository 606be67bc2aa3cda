"""Users: the roles of those who look after the service, and what a name and a password must be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.domain.errors import InvalidInput

ROLES = ("viewer", "operator", "admin")
"""Each may all that those before it may: look; act on feeds, runs and deliveries; let others in."""

SCOPES = {"read": "viewer", "operate": "operator", "admin": "admin"}
"""What a program's token may do, and the role that is."""

ADMIN = "admin"
"""The account whose password is a setting. No other user has this name."""

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 500

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does something: for what they may do, and for the audit."""

    name: str
    role: str
    origin: str
    """web, api, command."""
    address: str = ""

    def may(self, role: str) -> bool:
        """Whether this is that role, or one that may more."""
        return allows(self.role, role)


def allows(role: str, needed: str) -> bool:
    """Whether somebody of `role` may do what wants `needed`; an unknown role may nothing."""
    return role in ROLES and needed in ROLES and ROLES.index(role) >= ROLES.index(needed)


def claimed(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts a login provider's claim holds, one or a list; `path` is its name, or names by dots, one in another."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]


def highest_role(values: Iterable[str], roles: Mapping[str, str]) -> str:
    """Of the roles these values stand for the one that may most; empty when they stand for none."""
    found = {roles[value] for value in values if value in roles}
    return max(found, key=ROLES.index, default="")


def checked_name(text: str) -> str:
    """A user's or a token's name, folded; `InvalidInput` says what it must look like."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise InvalidInput("a name holds 1 to 64 of a-z, 0-9 and . _ @ + - and begins and ends with a letter or digit")
    return name


def checked_role(text: str) -> str:
    """One of `ROLES`, or `InvalidInput`."""
    if text not in ROLES:
        raise InvalidInput(f"there is no role {text[:40]!r}; there are: {', '.join(ROLES)}")
    return text


def checked_scope(text: str) -> str:
    """One of `SCOPES`, or `InvalidInput`."""
    if text not in SCOPES:
        raise InvalidInput(f"there is no scope {text[:40]!r}; there are: {', '.join(SCOPES)}")
    return text


def checked_password(text: str, *, name: str = "") -> str:
    """A password that can be taken; `InvalidInput` says why not."""
    if not SHORTEST_PASSWORD <= len(text) <= LONGEST_PASSWORD:
        raise InvalidInput(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if name and text.strip().lower() == name:
        raise InvalidInput("the password is the name; choose another")
    if len(set(text)) < 4:
        raise InvalidInput("the password repeats the same characters; choose another")
    return text
