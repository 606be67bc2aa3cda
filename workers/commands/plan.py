"""`broadsheet plan`: what an installation of a given size needs, and where it saturates first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workers.commands.options import Json, epilog
from workers.commands.output import Column, emit_json, note, say, table

if TYPE_CHECKING:
    from services.domain.capacity import Plan

EPILOG = epilog(
    "broadsheet plan --papers 3e6 --subscribers 1e6 --feeds 1e5",
    "broadsheet plan --papers 50000 --subscribers 200 --feeds 300 --mail-hours 0.5 --json",
)


def number(text: str | float) -> float:
    """A number of things as people write it: 3e6, 1_000_000, 2,500, 0.5; a default is one already."""
    try:
        return float(str(text).replace(",", "").replace("_", ""))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number; write it as 3000000 or 3e6") from None


def plan(
    papers: Annotated[float, typer.Option("--papers", parser=number, metavar="N", help="Held in the archive.")],
    subscribers: Annotated[
        float, typer.Option("--subscribers", parser=number, metavar="N", help="Who get an edition each.")
    ],
    feeds: Annotated[float, typer.Option("--feeds", parser=number, metavar="N", help="Polled on a schedule.")],
    papers_a_day: Annotated[
        float | None,
        typer.Option("--papers-a-day", parser=number, metavar="N", help="New ones.", show_default="papers / 3000"),
    ] = None,
    polls_a_day: Annotated[float, typer.Option("--polls-a-day", parser=number, metavar="N", help="Of each feed.")] = 24,
    editions_a_day: Annotated[
        float, typer.Option("--editions-a-day", parser=number, metavar="N", help="For each subscriber.")
    ] = 1,
    queries: Annotated[
        float | None,
        typer.Option("--queries", parser=number, metavar="N", help="Different.", show_default="subscribers / 100"),
    ] = None,
    mail_hours: Annotated[
        float, typer.Option("--mail-hours", parser=number, metavar="H", help="All mails leave within.")
    ] = 2,
    backfill_days: Annotated[
        float, typer.Option("--backfill-days", parser=number, metavar="D", help="The archive is filled within.")
    ] = 30,
    cores: Annotated[float, typer.Option("--cores", parser=number, metavar="N", help="Of one machine.")] = 8,
    as_json: Json = False,
) -> None:
    """Say what an installation of that size needs: machines, memory, disk, quotas, mail; and what runs out first."""
    from services.domain import capacity
    from services.domain.measured import FIGURES

    load = capacity.Load(
        papers=papers, subscribers=subscribers, feeds=feeds, papers_a_day=papers_a_day, polls_a_day=polls_a_day,
        editions_a_day=editions_a_day, queries=queries, mail_hours=mail_hours, backfill_days=backfill_days,
        cores=cores,
    )  # fmt: skip
    found = capacity.plan(load, FIGURES)
    if as_json:
        emit_json(found.as_json())
        return
    _show(found)


def _show(found: Plan) -> None:
    from services.domain.measured import MACHINE, MEASURED_ON

    table(
        [Column("stage"), Column("processor a day", right=True), Column("within", right=True),
         Column("cores", right=True)],
        [
            [one.name, f"{one.seconds_a_day / 3600:,.2f} h", f"{one.within_h:g} h", f"{one.cores:,.2f}"]
            for one in found.stages
        ],
    )  # fmt: skip
    machines = found.as_json()["machines"]
    say(f"Machines: {machines['workers']} for workers ({found.worker_cores:,.1f} cores at the busiest), 1 for "
        f"the database ({found.database_cores:,.1f} cores)")  # fmt: skip
    say("Memory:   " + ", ".join(f"{name} {size / 1000:,.1f} GB" for name, size in found.memory_mb.items()))
    say("Disk:     " + ", ".join(f"{name} {size:,.1f} GB" for name, size in found.disk_gb.items()))
    mail = found.mail
    say(f"Mail:     {mail['a_day']:,.0f} a day, {mail['a_second']:,.1f}/s for {mail['hours']:g} h, "
        f"{mail['at_the_same_time']:,.0f} at the same time, {mail['gb_a_day']:,.1f} GB a day")  # fmt: skip
    took = found.backfill_hours
    say(f"Backfill: {took['arxiv']:,.1f} h of asking arXiv, {took['one_core']:,.1f} h of one core")
    table(
        [Column("what can run out"), Column("used", right=True), Column("of", right=True), Column("share", right=True),
         Column("then", fold=True)],
        [
            [one.name, f"{one.used:,.2f}", f"{one.limit:,.0f} {one.unit}", f"{one.share:,.0%}", one.advice]
            for one in found.limits
        ],
    )  # fmt: skip
    say(f"Saturates first: {found.first.name} ({found.first.share:,.0%})")
    note(f"By what was measured on {MEASURED_ON}: {MACHINE}.")
