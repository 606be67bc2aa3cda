"""`broadsheet plan`: what an installation of a given size needs, and where it saturates first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workers.commands.options import Json, epilog
from workers.commands.output import Column, counted, emit_json, note, say, table

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
    from services.domain.capacity import SQLITE
    from services.domain.measured import MACHINE, MEASURED_ON

    load, mail, took, memory = found.load, found.mail, found.backfill_hours, found.memory_mb
    say(f"For {load.papers:,.0f} papers and {load.new_a_day:,.0f} new ones a day, {load.subscribers:,.0f} subscribers "
        f"with {load.different_queries:,.0f} different queries, {load.feeds:,.0f} feeds:")  # fmt: skip
    say()
    if found.database == SQLITE:
        busiest = f"{found.worker_cores + found.database_cores:,.2f} of the one core it computes on"
        say(f"Machines: 1, with one process: `broadsheet up` ({busiest})")
        say(f"Database: SQLite; its writes take {found.sqlite_share:.0%} of the time")
    else:
        busiest = f"{found.worker_cores:,.1f} of {found.machines * load.cores:,.0f} cores at the busiest"
        why = "one process is not enough"
        if found.sqlite_share >= 1:
            why = f"SQLite makes one write after another, which would take {found.sqlite_share:,.1f} times the time"
        say(f"Machines: {found.machines:,} for {found.processes:,} worker processes ({busiest}); 1 for the database "
            f"({found.database_cores:,.1f} of {load.cores:,.0f} cores); web pages and schedule fit beside")  # fmt: skip
        say(f"Database: PostgreSQL, and Redis to hand out work, for {why}")
    say(f"Memory:   {memory['total'] / 1000:,.1f} GB: workers {memory['workers'] / 1000:,.1f}, web pages "
        f"{memory['web'] / 1000:,.1f}, database {memory['database'] / 1000:,.1f}")  # fmt: skip
    disk = dict(found.disk_gb)
    total, grown = disk.pop("total"), disk.pop("growth_a_day")
    parts = ", ".join(f"{name} {_size(size)}" for name, size in sorted(disk.items(), key=lambda one: -one[1]))
    say(f"Disk:     {_size(total)}, where deliveries are kept for {load.deliveries_keep_days:,.0f} days and mails for "
        f"{load.messages_keep_days:,.0f}: {parts}. {_size(grown)} come in a day")  # fmt: skip
    quotas = (f"{one.name.replace(': ', ' (')}) {one.used:,.0f} of {one.limit:,.0f}" for one in found.quotas)
    say(f"Quotas:   {'; '.join(quotas)}; of what is allowed {load.quota_share:.0%} are planned for")
    many = counted(int(mail["at_the_same_time"]), "connection")
    say(f"Mail:     {mail['a_day']:,.0f} a day within {mail['hours']:g} h: the mail server has to take "
        f"{mail['a_second']:,.2f} a second, over {many} at the same time; {_size(mail['gb_a_day'])} a day")  # fmt: skip
    say(f"Backfill: {_time(took['arxiv'] * 3600)} of asking arXiv for the whole archive, "
        f"{_time(took['one_core'] * 3600)} of one core to take it in")  # fmt: skip
    say()
    table(
        [Column("what processors do"), Column("a day", right=True), Column("within", right=True),
         Column("cores", right=True)],
        [
            [one.name, _time(one.seconds_a_day), f"{one.within_h:g} h", f"{one.cores:,.2f}"]
            for one in found.stages
        ],
    )  # fmt: skip
    table(
        [Column("what can run out"), Column("used", right=True), Column("of", right=True), Column("share", right=True),
         Column("then", fold=True)],
        [
            [one.name, f"{one.used:,.2f}", f"{one.limit:,.0f} {one.unit}", f"{one.share:,.0%}", one.advice]
            for one in found.limits
        ],
    )  # fmt: skip
    first, say_first = found.first, f"Saturates first: {found.first.name}"
    if first.share < FAR:
        say(f"{say_first}, though nothing is near its limit ({first.share:.1%}).")
    elif first.share <= 1:
        say(f"{say_first}, {first.share:.0%} used: it would do for {1 / first.share:,.1f} times this load.")
    else:
        say(f"{say_first}, which does not suffice ({first.share:.0%}): {first.advice}.")
    note(f"By what was measured on {MEASURED_ON}: {MACHINE}.")


FAR = 0.1
"""Below this share of its limit nothing needs to be thought of."""


def _size(gb: float) -> str:
    """A size in the unit that suits it."""
    return f"{gb:,.1f} GB" if gb >= 1 else f"{gb * 1000:,.1f} MB"


def _time(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"
