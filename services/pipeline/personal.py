"""Personal: what is held of one person is given to them, or wiped: by an operator, or by their own signed link."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from services.domain.addresses import Address, parse_address
from services.domain.errors import NotFound
from services.domain.users import Actor
from services.pipeline.acts import acting
from services.pipeline.messages import unpack
from services.runtime import Runtime
from services.storage import personal, seals
from services.storage.engine import truncate_log

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wiped:
    """What a wipe came to."""

    rows: Mapping[str, int]
    """Rows changed, by table."""
    files: int
    """Messages taken out of the outbox folder."""


def export(rt: Runtime, actor: Actor, to: str) -> dict[str, Any]:
    """All that is held of an address, written as in `subscriptions add --to`, ready to be written as JSON.

    Raises `NotFound` where nothing is held, `InvalidInput` for what is no address. The audit keeps its hash alone.
    """
    address = parse_address(to, allowed_hosts=rt.settings.private_hosts)
    with acting(rt, actor, "subscriber.export", _name(rt, address)) as (session, said):
        found = personal.held(session, channel=address.channel, address=address.target)
        _must_be_known(found)
        said.after = {subject: len(rows) for subject, rows in found.items()}
    for line in found["audit"]:
        del line["who"], line["address"]  # who acted is another person
    for row in found["deliveries"]:
        packed = row.pop("message")
        message = unpack(packed) if packed else None
        row["message"] = {"subject": message.subject, "text": message.text} if message else None
    return {"address": str(address), "exported_at": rt.now(), **found}


def wipe(rt: Runtime, actor: Actor, to: str) -> Wiped:
    """Take everything out that tells who somebody is, or what they read. It cannot be taken back.

    What stays: that something was sent and what became of it, under a keyed hash of the address. So who subscribes
    again gets no paper twice, and an address that was suppressed stays so. Raises as `export`.
    """
    address = parse_address(to, allowed_hosts=rt.settings.private_hosts)
    with acting(rt, actor, "subscriber.wipe", _name(rt, address)) as (session, said):
        found = personal.held(session, channel=address.channel, address=address.target)
        _must_be_known(found)
        done = personal.wipe(session, channel=address.channel, address=address.target, now=rt.now())
        said.after = {"rows": dict(done)}
    truncate_log(rt.engine)
    files = 0
    for row in found["deliveries"]:
        for path in rt.settings.outbox.glob(f"{row['edition_id']}-{row['id']}.*"):
            with suppress(FileNotFoundError):
                path.unlink()
                files += 1
    log.info("subscriber.wiped", files=files, **done)
    return Wiped(rows=done, files=files)


def _name(rt: Runtime, address: Address) -> str:
    """What the audit calls the person."""
    with rt.writing() as session:
        return seals.wiped_as(session, address.channel, address.target)


def _must_be_known(found: Mapping[str, list[Any]]) -> None:
    if not any(rows for subject, rows in found.items() if subject != "audit"):
        raise NotFound("nothing is held of this address")
