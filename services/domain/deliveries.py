"""Deliveries: one edition to one subscriber by one channel, its states, and whether to send it now.

    planned ──> sending ──> accepted
       │           ├──────> deferred ──> sending …      certainly not delivered, later again
       │           ├──────> failed                      certainly not delivered, never will be
       │           └──────> unknown                     the connection died between hand-over and answer
       ├─────────> suppressed                           the subscriber left, or the address is dead
       └─────────> expired                              too late to be of use

`sending` is committed just before the message is handed over. A delivery found in it later has crashed in
that window: the message may have arrived, and a setting says what happens (`AMBIGUITIES`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.domain.errors import InvalidInput
from services.domain.text import ascii_host

STATES = ("planned", "sending", "accepted", "deferred", "failed", "suppressed", "expired", "unknown")

SETTLED = frozenset({"accepted", "failed", "suppressed", "expired"})
"""Nothing more happens by itself."""

AMBIGUITIES = ("resend", "hold")
"""When nobody can say whether a message left: send it again with the same Message-ID and bytes, or keep it
`unknown` until a person decides."""

MOVES: Mapping[str, frozenset[str]] = {
    # Trouble before the hand-over (no connection, a refused recipient) leaves `planned` without `sending`.
    # unknown: found in a backup that was put back; it may have left after that was made.
    "planned": frozenset({"sending", "deferred", "failed", "unknown", "suppressed", "expired"}),
    # sending → sending is a second try after a crash; suppressed and expired: found so before that try.
    "sending": frozenset({"sending", "accepted", "deferred", "failed", "unknown", "suppressed", "expired"}),
    "deferred": frozenset({"sending", "deferred", "failed", "unknown", "suppressed", "expired"}),
    # accepted: a person or the channel's own history says that it arrived.
    "unknown": frozenset({"sending", "accepted", "deferred", "failed", "suppressed", "expired"}),
    # A person asks for another try; an accepted delivery is never sent again.
    "failed": frozenset({"planned"}),
    "suppressed": frozenset({"planned"}),
    "expired": frozenset({"planned"}),
    "accepted": frozenset(),
}
"""Legal moves."""

LIFETIMES: Mapping[str, timedelta] = {
    "instant": timedelta(hours=24),
    "daily": timedelta(hours=24),
    "weekdays": timedelta(hours=24),
    "weekly": timedelta(days=3),
    "monthly": timedelta(days=7),
}
"""How long after its due time an edition is still worth sending: long enough to sit out a mail server's bad
day, short enough that a restored backup does not send old news."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a delivery that has been begun: the mail, a main message, a reply in its thread."""

    via: str = ""
    """Through which server, where there are several."""
    receipt: str | None = None
    """What the other side said when it took it; `None`: nobody knows whether it did."""


def parts_from_json(kept: Mapping[str, Any]) -> dict[str, Part]:
    """The parts as kept on a delivery's row: `{"main": {"via": "", "receipt": "1732…"}}`."""
    return {name: Part(str(one.get("via") or ""), one.get("receipt")) for name, one in kept.items()}


def parts_to_json(parts: Mapping[str, Part]) -> dict[str, Any]:
    """The parts as `parts_from_json` reads them."""
    return {name: {"via": part.via, "receipt": part.receipt} for name, part in parts.items()}


def certain_state(state: str, parts: Mapping[str, Part]) -> str:
    """The state of a delivery by what is known of its parts: one that stopped between two parts, with each that was
    begun taken, leaves no doubt, and can go on with the next."""
    if state in {"sending", "unknown"} and parts and all(part.receipt is not None for part in parts.values()):
        return "deferred"
    return state


def may_move(state: str, to: str) -> bool:
    """Whether a delivery in `state` may become `to`."""
    return to in MOVES.get(state, frozenset())


def message_id(delivery: str, secret: str, domain: str) -> str:
    """The Message-ID of a delivery, `<…@domain>`: the same at every try, so that a second copy can be dropped.

    `delivery` is what makes it this one: edition, subscriber, channel.
    It says nothing of the recipient and cannot be guessed without `secret`. Raises `InvalidInput` for an
    empty secret and for a domain that is no host name.
    """
    host = ascii_host(domain.strip())
    if not secret:
        raise InvalidInput("the secret key is empty; without one Message-IDs could be guessed")
    if host is None:
        raise InvalidInput(f"{domain[:100]!r} is no domain for a Message-ID; use a host name like news.example.org")
    name = f"delivery:{delivery}".encode("utf-8", "surrogatepass")
    digest = hmac.new(secret.encode(), name, hashlib.sha256).hexdigest()
    return f"<{digest[:32]}@{host}>"


def expires_at(due_at: datetime, cadence: str) -> datetime:
    """When an edition due at `due_at` is too late to send. Raises `InvalidInput` for an unknown cadence."""
    lifetime = LIFETIMES.get(cadence)
    if lifetime is None:
        raise InvalidInput(f"there is no cadence {cadence[:40]!r}; use one of {', '.join(LIFETIMES)}")
    return due_at + lifetime


def should_send(state: str, subscriber_state: str, now: datetime, expires_at: datetime, ambiguity: str) -> str:
    """What to do with a delivery found in `state`.

    `done`      it is settled;
    `hold`      it may have arrived already, and `ambiguity` is `hold` or it is too late to send it again: record
                `unknown`, a person decides;
    `suppress`  the subscriber is not `active`;
    `expire`    it is too late;
    `send`      none of these.

    Raises `InvalidInput` for an unknown state or ambiguity.
    """
    if state not in STATES:
        raise InvalidInput(f"there is no delivery state {state[:40]!r}; states are {', '.join(STATES)}")
    if ambiguity not in AMBIGUITIES:
        raise InvalidInput(f"ambiguity must be one of {', '.join(AMBIGUITIES)}, not {ambiguity[:40]!r}")
    if state in SETTLED:
        return "done"
    if state in ("sending", "unknown") and ambiguity == "hold":
        return "hold"
    if subscriber_state != "active":
        return "suppress"
    if now < expires_at:
        return "send"
    return "hold" if state in ("sending", "unknown") else "expire"
