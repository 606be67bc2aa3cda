"""Seals: texts that only the holder of the secret key can read, and which key each was sealed with.

A sealed text is `sealed:KEY:TOKEN`: KEY names the secret key without telling it, TOKEN is Fernet's (AES-128-CBC with
HMAC-SHA256) under a key derived from it by HKDF. So rows that still depend on an old key are found without opening any.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from services.domain.errors import InvalidInput

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

MARK = "sealed:"
KEY_LENGTH = 8
"""Characters of a key's name."""


class WrongKey(InvalidInput):
    """Something was sealed with a secret key that is not among those set."""


class Seals:
    """Seals with the newest secret key, opens with it and with the `old` ones.

    Keys are derived when the first text is sealed or opened: until then the library (9 MB) is not loaded.
    """

    def __init__(self, secret: str, old: Sequence[str] = ()) -> None:
        self._secret, self._old = secret, tuple(old)

    @cached_property
    def current(self) -> str:
        """The name of the newest key."""
        return key_name(self._secret)

    @cached_property
    def _boxes(self) -> Mapping[str, Fernet]:
        from cryptography.fernet import Fernet

        secrets = (*self._old, self._secret)
        return {key_name(one): Fernet(base64.urlsafe_b64encode(_derive(one, 32, "seal"))) for one in secrets}

    def seal(self, text: str) -> str:
        """`text` sealed with the newest key."""
        return f"{MARK}{self.current}:{self._boxes[self.current].encrypt(text.encode()).decode('ascii')}"

    def open(self, sealed: str) -> str:
        """The text in `sealed`; `WrongKey` says what to do when none of the keys opens it."""
        from cryptography.fernet import InvalidToken

        name, _, token = sealed.removeprefix(MARK).partition(":")
        box = self._boxes.get(name)
        if box is not None:
            try:
                return box.decrypt(token.encode()).decode()
            except InvalidToken:
                raise WrongKey(f"what was sealed with the key {name} has been changed since; {LOST}") from None
        raise WrongKey(f"the database holds addresses sealed with the secret key {name}, which is not set: {ADVICE}")

    def knows(self, name: str) -> bool:
        """Whether the key of that name is set."""
        return name in self._boxes


LOST = "`broadsheet secrets rotate --forget-lost` gives up what cannot be opened"
ADVICE = (
    "set BROADSHEET_SECRET_KEY (or HOME/secret_key) to the key the database was used with, or list that key in "
    f"BROADSHEET_OLD_SECRET_KEYS. If it is lost, {LOST}"
)


def key_name(secret: str) -> str:
    """What a secret key is called where it must not be told: eight characters that cannot be traced back to it."""
    return _derive(secret, KEY_LENGTH // 2, "name").hex()


def _derive(secret: str, length: int, purpose: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt=None, info=f"broadsheet.{purpose}".encode()).derive(secret.encode())
