"""Signed links: what a reader may do without a password, and for how long.

A token names a row and a version, never an address; one salt a purpose, so that a link made for one act is
worth nothing for another. Raising a subscriber's `token_version` ends every link made before.
"""

from __future__ import annotations

from datetime import timedelta

from itsdangerous import BadData, URLSafeTimedSerializer

from services.domain.errors import InvalidInput

PURPOSES = ("confirm", "unsubscribe", "preferences", "pause")


def make_token(secret: str, purpose: str, row_id: int, version: int) -> str:
    """A URL-safe token for one act on one row."""
    if purpose not in PURPOSES:
        raise ValueError(f"unknown purpose {purpose!r}")
    return URLSafeTimedSerializer(secret, salt=f"broadsheet.{purpose}").dumps([row_id, version])


def read_token(secret: str, purpose: str, token: str, *, max_age: timedelta | None = None) -> tuple[int, int]:
    """The row and version a token stands for; `InvalidInput` when it is forged, too old or for another act."""
    try:
        data = URLSafeTimedSerializer(secret, salt=f"broadsheet.{purpose}").loads(
            token, max_age=int(max_age.total_seconds()) if max_age else None
        )
        row_id, version = data
    except (BadData, ValueError, TypeError) as error:
        raise InvalidInput("this link is not valid or has expired; ask for a new one") from error
    if not isinstance(row_id, int) or not isinstance(version, int):
        raise InvalidInput("this link is not valid or has expired; ask for a new one")
    return row_id, version
