"""`broadsheet backfill` and `broadsheet replay`: what is missing is fetched, what is kept is parsed again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.imports import show_rejected
from workers.commands.opening import opened
from workers.commands.options import Json, Since, day, epilog, stopping
from workers.commands.output import Column, counted, emit_json, note, progress, say, table, warn

if TYPE_CHECKING:
    from services.pipeline.past import DayReport

GIVE_UP_AFTER = 5
"""Days in a row that a backfill sees fail before it stops: the source is down, not the day."""

BACKFILL_EPILOG = epilog("broadsheet backfill daily-papers --from 2026-11-01 --to 2026-11-24")
REPLAY_EPILOG = epilog("broadsheet replay daily-papers --since 2026-11-01")


def backfill(
    feed: Annotated[
        str, typer.Argument(metavar="FEED", help="A feed whose source keeps its past: hf_papers, arxiv_api, arxiv_oai.")
    ],
    first: Annotated[date, typer.Option("--from", parser=day, metavar="DATE", help="The first day.")],
    last: Annotated[
        date, typer.Option("--to", parser=day, metavar="DATE", help="The last day, included.", show_default="yesterday")
    ] = "yesterday",  # type: ignore[assignment]  # the parser makes a day of it
    again: Annotated[bool, typer.Option("--again", help="Fetch days again that are complete.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch the days of a span that are missing. It can be stopped and asked for again: it goes on where it was."""
    from services.pipeline.past import backfill as fill
    from workers.monitor import recover

    today = datetime.now(UTC).date()
    if first > today:
        raise typer.BadParameter(f"{first} is in the future", param_hint="--from")
    if last < first:
        raise typer.BadParameter(f"{last} is before {first}", param_hint="--to")
    days = [first + timedelta(days=n) for n in range((min(last, today) - first).days + 1)]
    reports: list[DayReport] = []
    failed_in_a_row = 0
    with stopping() as stop, opened(sync=True) as rt, progress(f"Backfill of {feed}", unit="days") as told:
        recover(rt)
        told(0, len(days))
        for report in fill(rt, feed, days, again=again, stop=stop):
            reports.append(report)
            told(len(reports), len(days))
            failed_in_a_row = failed_in_a_row + 1 if report.state in {"failed", "waiting"} else 0
            if failed_in_a_row >= GIVE_UP_AFTER:
                break
    trouble = [r for r in reports if r.state in {"failed", "waiting"}]
    whole = len(reports) == len(days)
    if as_json:
        emit_json({"feed": feed, "from": first, "to": days[-1], "complete": whole and not trouble,
                   "days": [_day_json(r) for r in reports]})  # fmt: skip
    else:
        _show_days(feed, reports)
        for report in trouble[:GIVE_UP_AFTER]:
            warn(f"{report.day}: {report.error}")
        if failed_in_a_row >= GIVE_UP_AFTER:
            warn(f"{GIVE_UP_AFTER} days in a row failed, so the rest was not tried.")
        if trouble or not whole:
            missing = len(days) - len(reports) + len(trouble)
            note(f"{missing} of {counted(len(days), 'day')} are missing; the same command goes on with them.")
    if trouble or not whole:
        raise typer.Exit(1)


def _day_json(report: DayReport) -> dict[str, Any]:
    names = ("day", "state", "announced", "seen", "new", "changed", "known", "rejected", "error")
    return {name: getattr(report, name) for name in names}


def _show_days(feed: str, reports: Sequence[DayReport]) -> None:
    done = [r for r in reports if r.state == "done"]
    skipped = sum(r.state == "skipped" for r in reports)
    if done:
        right = ("Announced", "Seen", "New", "Changed", "Known", "Rejected")
        table(
            ["Day", *(Column(name, right=True) for name in right)],
            [
                (r.day, "—" if r.announced is None else r.announced, r.seen, r.new, r.changed, r.known, r.rejected)
                for r in done
            ],
        )
    say(
        f"{feed}: {counted(len(done), 'day')} fetched, {sum(r.seen for r in done):,} entries, "
        f"{sum(r.new for r in done):,} new; {skipped:,} complete already"
    )


def replay(
    feed: Annotated[str, typer.Argument(metavar="FEED", help="A feed, as `feeds list` shows it.")],
    since: Since = None,
    as_json: Json = False,
) -> None:
    """Parse a feed's kept documents again, as after a parser was mended. Nothing is fetched."""
    from services.pipeline.past import replay as parse_again

    with stopping() as stop, opened(sync=True) as rt:
        with progress(f"Replay of {feed}", unit="documents") as told:
            report = parse_again(rt, feed, since=since, progress=told, stop=stop)
        kept = rt.settings.documents_keep_days
    if as_json:
        emit_json(
            {"feed": feed, "documents": report.documents, "entries": report.entries, "new": report.new,
             "changed": report.changed, "known": report.known,
             "rejected": [{"reason": r.reason, "entry": r.entry} for r in report.rejected],
             "errors": [{"url": url, "error": error} for url, error in report.errors]}
        )  # fmt: skip
    else:
        if not report.documents and not report.errors:
            say(f"No documents of {feed} are kept{f' since {since}' if since else ''} (they are kept for {kept} days).")
        else:
            say(
                f"{feed}: {counted(report.documents, 'document')} parsed again, "
                f"{counted(report.entries, 'entry', 'entries')}, {report.new:,} new, {report.changed:,} changed, "
                f"{report.known:,} known, {len(report.rejected):,} rejected"
            )
        show_rejected(report.rejected)
        for url, error in report.errors:
            warn(f"  cannot be parsed: {url}: {error}")
    if report.errors or report.rejected or stop.is_set():
        raise typer.Exit(1)
