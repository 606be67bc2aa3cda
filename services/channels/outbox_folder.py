"""The outbox: messages as files in a folder, for a service that has no mail server yet, and for looking at.

A file is there whole or not at all, under its delivery's name, so that trying again changes nothing: the one
channel that delivers exactly once.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from services.channels import no_intent
from services.channels.mime import build_mime, sender
from services.domain.errors import DeliveryDeferred, DeliveryRefused
from services.domain.messages import Message, Receipt

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME = 120


class OutboxFolder:
    """Writes `<key>.eml` for mail addresses, `<key>.slack.json` for Slack, `<key>.json` for webhooks."""

    name = "outbox"

    def __init__(
        self, path: Path, mail_from: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        sender(mail_from)
        self._path = path
        self._mail_from = mail_from
        self._clock = clock

    def send(self, message: Message, to: str, key: str, *, commit_intent: Callable[[], None] = no_intent) -> Receipt:
        """Write the message's file; the receipt's detail is its path.

        A disk that cannot take it now is DeliveryDeferred; a message without the form `to` needs is refused.
        """
        suffix, data = self._form(message, to)
        target = self._path / f"{file_name(key)}{suffix}"
        part = self._path / f".{target.name}.{os.getpid()}.part"
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            _write(part, data)
        except OSError as error:
            _discard(part)
            raise DeliveryDeferred(f"{target} cannot be written: {error.strerror or error}") from error
        try:
            commit_intent()
            part.replace(target)
            _sync_folder(self._path)
        except OSError as error:
            raise DeliveryDeferred(f"{target} cannot be written: {error.strerror or error}") from error
        finally:
            _discard(part)
        return Receipt(code="written", detail=str(target), accepted_at=self._clock())

    def _form(self, message: Message, to: str) -> tuple[str, bytes]:
        if "://" not in to and "@" in to:
            return ".eml", build_mime(message, self._mail_from, to)
        kind, _, rest = to.partition(":")
        if kind == "webhook" or (kind in ("http", "https") and not rest.startswith("//hooks.slack.com/")):
            return ".json", _json(message.data, "data for webhooks")
        return ".slack.json", _json(message.slack, "Slack form")


def file_name(key: str) -> str:
    """`key` as a plain file name; a key that had to be changed gets a fingerprint, so that no two meet."""
    name = _UNFIT.sub("-", key).strip(".-")[:_MAX_NAME]
    return (
        name
        if name and name == key
        else f"{name or 'message'}-{sha256(key.encode('utf-8', 'replace')).hexdigest()[:12]}"
    )


def _json(payload: Mapping[str, Any] | None, what: str) -> bytes:
    if payload is None:
        raise DeliveryRefused(f"The message has no {what}.")
    return (json.dumps(payload, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Make the new name itself durable; not every system lets a folder be opened for it."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _discard(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
