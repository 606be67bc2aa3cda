"""Rates: how many messages an hour leave by a channel. A setting says it, and an operator may lower it at once.

The lower of the two holds. Every worker reads it before each message, so that a change holds from the next one on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlmodel import Session

from services.domain.addresses import CHANNELS
from services.domain.errors import InvalidInput, NotFound, RateLimited, there_are
from services.domain.users import Actor
from services.pipeline.acts import acting
from services.runtime import Runtime
from services.storage import deliveries
from services.storage import rates as rows
from services.storage.tables import MailRate

SMTP_GATE = "smtp"
HOUR, SHORTEST_WAIT = timedelta(hours=1), timedelta(seconds=1)
MOST = 1_000_000
"""An hour, the most that can be asked for; as of the setting."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many messages an hour may leave by a channel."""

    channel: str
    setting: int
    """0: none is set."""
    lowered: MailRate | None
    used: int
    """How many left within the last hour; 0 where nothing limits it."""

    @property
    def per_hour(self) -> int:
        """What holds; 0: nothing does."""
        return lower_of(self.setting, self.lowered.per_hour if self.lowered else None)

    @property
    def what(self) -> str:
        """What leaves by it, for people."""
        return what_leaves(self.channel)

    def told(self) -> dict[str, Any]:
        """As programs get it."""
        row = self.lowered
        return {
            "channel": self.channel, "per_hour": self.per_hour or None, "setting": self.setting or None,
            "used": self.used, "lowered_to": row.per_hour if row else None, "lowered_by": row.by if row else None,
            "lowered_at": row.at if row else None,
        }  # fmt: skip

    @property
    def held(self) -> bool:
        """Whether what an operator said is what holds."""
        return self.lowered is not None and (not self.setting or self.lowered.per_hour < self.setting)


def lower_of(setting: int, lowered: int | None) -> int:
    """The rate that holds, 0 for none."""
    return min((one for one in (setting, lowered) if one), default=0)


def keep_to_rate(rt: Runtime, channel: str, held_to: int | None) -> bool:
    """Wait for a channel's turn; whether it has a rate. `RateLimited` where the job is put off until there is room.

    `held_to` is what an operator holds it to. The hour is a sliding window over what has left. Workers that look at the
    same moment may exceed it by one each. Each of those that wait draws one of the turns to come: did all come back for
    the next one, thousands would look for each that leaves. They draw from half as many as they are, so that few turns
    are left over.
    """
    limit = lower_of(_setting(rt, channel), held_to) if channel in CHANNELS else 0
    if limit:
        now = rt.now()
        with rt.reading() as session:
            left = deliveries.sent_since(session, channel, now - HOUR)
            waiting = deliveries.waiting(session, channel) if len(left) >= limit else 0
        if len(left) >= limit:
            hours, turn = divmod(int(rt.jitter() * waiting / 2), limit)
            wait = left[len(left) - limit + turn] + HOUR * (1 + hours) - now
            raise RateLimited(f"{_said(channel)}: {len(left)} of {limit}", retry_after=max(wait, SHORTEST_WAIT))
    a_second = rt.settings.smtp_per_second if channel == "email" else 0
    if a_second:
        with rt.gate(SMTP_GATE, 1 / a_second):
            pass
    return bool(limit or a_second)


def _setting(rt: Runtime, channel: str) -> int:
    return rt.settings.smtp_per_hour if channel == "email" else 0


def _said(channel: str) -> str:
    return f"the hour's {what_leaves(channel)} have left"


def what_leaves(channel: str) -> str:
    """What leaves by a channel, for people: `mails`."""
    return "mails" if channel == "email" else f"messages by {channel}"


def all_rates(rt: Runtime, session: Session) -> list[Rate]:
    """Every channel with what holds for it."""
    lowered, since = rows.list_all(session), rt.now() - HOUR
    found = []
    for channel in CHANNELS:
        setting, row = _setting(rt, channel), lowered.get(channel)
        used = len(deliveries.sent_since(session, channel, since)) if setting or row else 0
        found.append(Rate(channel, setting, row, used))
    return found


def slow_down(rt: Runtime, actor: Actor, channel: str, per_hour: int) -> None:
    """Let no more than `per_hour` messages leave by a channel in any hour, from the next one on."""
    with acting(rt, actor, "rate.lower", channel) as (session, said):
        _known(channel)
        if not 1 <= per_hour <= MOST:
            raise InvalidInput(f"give 1 to {MOST:,} an hour; to send nothing, pause the stage notify")
        setting, held_to = _setting(rt, channel), rows.per_hour(session, channel)
        if setting and per_hour >= setting:
            if held_to:
                raise InvalidInput(
                    f"{channel} is held to {held_to:,} an hour; `broadsheet deliveries restore {channel}` lets it go at"
                    f" its setting, {setting:,}"
                )
            raise InvalidInput(f"{channel} is held to {setting:,} an hour by its setting already; give fewer")
        before = lower_of(setting, held_to)
        said.before = {"per_hour": before or None}
        said.after = {"per_hour": per_hour}
        rows.put(session, channel, per_hour=per_hour, by=actor.name, now=rt.now())
        if before and per_hour > before:  # those that wait drew turns of the slower rate
            said.hints = rows.hurry(session, _said(channel), now=rt.now())


def restore(rt: Runtime, actor: Actor, channel: str) -> bool:
    """Let a channel go at its setting again, and what waits go at once; `False` when nobody held it."""
    with acting(rt, actor, "rate.restore", channel) as (session, said):
        _known(channel)
        said.before = {"per_hour": rows.per_hour(session, channel)}
        said.after = {"per_hour": _setting(rt, channel) or None}
        gone = rows.drop(session, channel)
        if gone:
            said.hints = rows.hurry(session, _said(channel), now=rt.now())
    return gone


def _known(channel: str) -> None:
    if channel not in CHANNELS:
        raise NotFound(f"there is no channel {channel[:40]!r}; {there_are(channel, CHANNELS)}: {', '.join(CHANNELS)}")
