"""Seals: texts that only the holder of the secret key can read, and which key each was sealed with.

A sealed text is `sealed:KEY:TOKEN`: KEY names the secret key without telling it, TOKEN is Fernet's (AES-128-CBC with
HMAC-SHA256) under a key derived from it by HKDF. So rows that still depend on an old key are found without opening any.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.domain.errors import InvalidInput

MARK = "sealed:"
KEY_LENGTH = 8
"""Characters of a key's name."""


class WrongKey(InvalidInput):
    """Something was sealed with a secret key that is not among those set."""


class Seals:
    """Seals with the newest secret key, opens with it and with the `old` ones."""

    def __init__(self, secret: str, old: Sequence[str] = ()) -> None:
        self.current = key_name(secret)
        self._boxes = {key_name(one): Fernet(base64.urlsafe_b64encode(_derive(one, 32, "seal"))) for one in old}
        self._boxes[self.current] = Fernet(base64.urlsafe_b64encode(_derive(secret, 32, "seal")))

    def seal(self, text: str) -> str:
        """`text` sealed with the newest key."""
        return f"{MARK}{self.current}:{self._boxes[self.current].encrypt(text.encode()).decode('ascii')}"

    def open(self, sealed: str) -> str:
        """The text in `sealed`; `WrongKey` says what to do when none of the keys opens it."""
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
    return HKDF(SHA256(), length, salt=None, info=f"broadsheet.{purpose}".encode()).derive(secret.encode())
