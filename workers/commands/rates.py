"""`broadsheet deliveries rates`, `slow`, `restore`: how many messages an hour leave by a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, epilog
from workers.commands.output import Column, ago, emit_json, note, say, table

if TYPE_CHECKING:
    from datetime import datetime

    from services.pipeline.rates import Rate

EPILOGS = {
    "rates": epilog("broadsheet deliveries rates"),
    "slow": epilog("broadsheet deliveries slow email 200", "broadsheet deliveries slow slack 20"),
    "restore": epilog("broadsheet deliveries restore email"),
}

ChannelName = Annotated[str, typer.Argument(metavar="CHANNEL", help="email, slack, webhook or apprise.")]


def list_rates(as_json: Json = False) -> None:
    """Show how many messages an hour may leave by each channel, and how many did."""
    from services.pipeline.rates import all_rates

    with opened() as rt, rt.reading() as session:
        now = rt.now()
        found = all_rates(rt, session)
    if as_json:
        emit_json([rate.told() for rate in found])
        return
    table(
        ["Channel", Column("An hour", right=True), Column("Sent, 1 h", right=True),
         Column("Said by", fold=True)],
        [
            (rate.channel, f"{rate.per_hour:,}" if rate.per_hour else "no limit",
             f"{rate.used:,}" if rate.per_hour else "—", said_by(rate, now))
            for rate in found
        ],
    )  # fmt: skip


def said_by(rate: Rate, now: datetime) -> str:
    """Who holds a channel to its rate."""
    setting = f"BROADSHEET_SMTP_PER_HOUR, {rate.setting:,}" if rate.setting else ""
    if rate.held and rate.lowered:
        return f"{rate.lowered.by}, {ago(rate.lowered.at, now)}" + (f" (else {setting})" if setting else "")
    return setting


def slow_down(
    channel: ChannelName,
    per_hour: Annotated[int, typer.Argument(metavar="PER_HOUR", min=1, max=1_000_000, help="Most in any hour.")],
    as_json: Json = False,
) -> None:
    """Hold a channel to fewer messages an hour, from the next one on, for all workers: as when a provider complains."""
    from services.pipeline import rates

    with opened() as rt:
        rates.slow_down(rt, me(), channel, per_hour)
    if as_json:
        emit_json({"channel": channel, "per_hour": per_hour, "changed": True})
        return
    say(f"{channel} is held to {per_hour:,} an hour. What waits is not lost.")
    note(f"Let it go at its own rate again: broadsheet deliveries restore {channel}")


def restore(channel: ChannelName, as_json: Json = False) -> None:
    """Let a channel go at its setting again; what waited for its turn goes at once."""
    from services.pipeline import rates

    with opened() as rt:
        done = rates.restore(rt, me(), channel)
        with rt.reading() as session:
            (rate,) = (one for one in rates.all_rates(rt, session) if one.channel == channel)
    if as_json:
        emit_json({"channel": channel, "per_hour": rate.per_hour or None, "changed": done})
        return
    now = f"{rate.per_hour:,} an hour" if rate.per_hour else "as fast as it can"
    say(f"{channel} goes at its own rate again: {now}." if done else f"{channel} was not held: {now}.")
