"""`broadsheet feeds show`: all there is to tell of one feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.feeds import feed_json, latest_json, state_of
from workers.commands.opening import opened
from workers.commands.options import Json, epilog
from workers.commands.output import Column, ago, coming, counted, emit_json, note, pairs, say, table, warn, when

if TYPE_CHECKING:
    from datetime import datetime

    from services.pipeline.about_feed import AboutFeed
    from services.storage.tables import Feed, Job

EPILOG = epilog(
    "broadsheet feeds show daily-papers",
    "broadsheet feeds show lab-blog --json | jq '.fetches[0]'",
)

SHOWN = 10
"""Rows of each table; `--json` has more."""

BATCH = ("batch", "state", "announced", "seen", "new", "rejected", "note", "checked_at", "accepted_at", "accepted_by")
FETCH = (
    "fetched_at", "batch", "cursor", "via", "url", "state", "status", "announced", "seen", "new", "changed", "known",
    "rejected", "error", "notes",
)  # fmt: skip
NOTICE = ("kind", "text", "made_at", "sent_at")
RUN = ("id", "kind", "key", "state", "due_at", "attempts", "last_error")


def show_feed(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A feed, as `feeds list` shows it.")],
    as_json: Json = False,
) -> None:
    """Show one feed: its address and settings, when it is read next and why then, what came, failed and waits."""
    from services.pipeline.about_feed import about_feed
    from services.storage import feeds

    with opened(sync=True) as rt, rt.reading() as session:
        now = rt.now()
        about = about_feed(session, feeds.get(session, name), now)
        page = rt.url(f"/admin/feeds/{about.feed.name}")
    if as_json:
        emit_json(about_json(about))
        return
    _show(about, now)
    note(f"Its days and all its runs: {page}")


def about_json(about: AboutFeed) -> dict[str, Any]:
    """A feed with all that belongs to it, as scripts get it."""
    feed = about.feed
    return feed_json(feed) | {
        "latest": latest_json(about.status),
        "interval_fixed": feed.interval_fixed,
        "interval_now_s": about.interval.total_seconds(),
        "fresh_minutes": feed.fresh_minutes,
        "created_at": feed.created_at,
        "why": about.why,
        "resting": [row.stage for row in about.resting],
        "batches": [_fields(row, BATCH) for row in about.batches],
        "fetches": [_fields(row, FETCH) for row in about.fetches],
        "rejected": [{"reason": one.reason, "entry": one.entry} for one, _ in about.rejections],
        "notices": [_fields(row, NOTICE) for row in about.notices],
        "waiting": [_fields(row, RUN) for row in about.waiting],
        "given_up": [_fields(row, RUN) for row in about.given_up],
    }


def _fields(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _show(about: AboutFeed, now: datetime) -> None:
    from services.digests.words import moments
    from services.domain.redaction import redact

    feed = about.feed
    pairs(_facts(about, now))
    if feed.last_error:
        warn(f"Last error: {redact(feed.last_error)}")
    for row in about.resting:
        warn(f"The stage {row.stage} is paused by {row.by}: `broadsheet runs resume {row.stage}` lets it go on.")
    if about.batches:
        table(
            ["Batch", "State", *(Column(c, right=True) for c in ("Announced", "Seen", "New", "Rejected")),
             Column("Looked at", from_width=80), Column("Note", fold=True, from_width=100)],
            [
                (b.batch, f"accepted by {b.accepted_by}" if b.accepted_at else b.state,
                 "—" if b.announced is None else b.announced, b.seen, b.new, b.rejected, ago(b.checked_at, now), b.note)
                for b in about.batches
            ],
        )  # fmt: skip
    if about.fetches:
        table(
            ["Answer", "Batch", "State", *(Column(c, right=True) for c in ("Seen", "New", "Known", "Rejected")),
             Column("Error", fold=True, from_width=90)],
            [
                (when(f.fetched_at), f.batch or moments(f.slot)[:16], f"{f.state} {f.status or ''}".strip(), f.seen,
                 f.new, f.known, f.rejected, redact(f.error or "; ".join(f.notes))[:160])
                for f in about.fetches[:SHOWN]
            ],
        )  # fmt: skip
    else:
        say("It has not been read yet.")
    for refused, _ in about.rejections[:3]:
        warn(f"rejected: {refused.reason} — {refused.entry[:120]}")
    if len(about.rejections) > 3:
        warn(f"… and {len(about.rejections) - 3} more; --json shows them")
    _show_runs([*about.waiting, *about.given_up], now)
    for notice in about.notices[:3]:
        note(f"Operators were told {ago(notice.made_at, now)}: {redact(notice.text).partition(chr(10))[0]}")


def _facts(about: AboutFeed, now: datetime) -> list[tuple[str, object]]:
    from services.digests.words import span
    from services.domain.urls import without_keys

    feed = about.feed
    how = ", as somebody chose" if feed.interval_fixed else ""
    status = about.status
    of = f" of {status.announced:,}" if status.announced is not None else ""
    newest = f"{status.state}: {status.stored:,}{of}" if status.as_of else ""
    return [
        ("Feed", feed.name), ("Title", feed.title), ("Kind", f"{feed.kind}, {feed.origin}"),
        ("Address", without_keys(feed.url)), ("Asks for", " ".join(f"{k}={v}" for k, v in feed.params.items())),
        ("State", state_of(feed)), ("Newest batch", newest),
        ("Read every", f"{span(now - about.interval, now)}{how}"),
        ("Next", f"{coming(about.next_at, now) if about.next_at else 'never'}: {about.why}"),
        ("Last good answer", ago(feed.last_success_at, now)), ("Failures in a row", feed.failures or None),
        ("Reaches back", _history(feed)), ("Complete up to", feed.complete_until),
        ("Meant to be fresh within", feed.fresh_minutes and counted(feed.fresh_minutes, "minute")),
        ("Alerts", "none are sent; `feeds unmute` sends them again" if feed.mute_alerts else None),
        ("Added", when(feed.created_at)),
    ]  # fmt: skip


def _history(feed: Feed) -> str:
    return f"{counted(feed.history_days, 'day')} at its first fetch"


def _show_runs(jobs: list[Job], now: datetime) -> None:
    from services.digests.words import moments, run_state
    from services.domain.redaction import redact

    if not jobs:
        return
    table(
        [Column("Run", right=True), "Kind", Column("What", fold=True), "State", Column("Due", from_width=80),
         Column("Tries", right=True), Column("Last error", fold=True, from_width=90)],
        [
            (j.id, j.kind, moments(j.key), run_state(j.state),
             coming(j.due_at, now) if j.state == "ready" else ago(j.due_at, now), j.attempts,
             redact(j.last_error or "").partition("\n")[0][:160])
            for j in jobs
        ],
    )  # fmt: skip
    if any(job.state == "dead" for job in jobs):
        note("Another try of what was given up: broadsheet runs retry ID…")
