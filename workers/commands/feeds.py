"""`broadsheet feeds …`: what is polled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, Yes, epilog, stopping
from workers.commands.output import Column, ago, coming, emit_json, note, say, table, warn, when

if TYPE_CHECKING:
    from services.domain.users import Actor
    from services.runtime import Runtime
    from services.storage.tables import Feed, Fetch

app = typer.Typer(
    no_args_is_help=True,
    help="What is polled: list, show, add, edit, fetch, pause, resume, accept, mute, remove; OPML in and out.",
)

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Names of feeds, as `feeds list` shows them.")]


# -- looking ---------------------------------------------------------------------------------------------------


@app.command(
    "list", epilog=epilog("broadsheet feeds list", "broadsheet feeds list --json | jq '.[] | select(.failures > 0)'")
)
def list_feeds(
    as_json: Json = False,
    everything: Annotated[bool, typer.Option("--all", help="Removed feeds too.")] = False,
) -> None:
    """Show every feed: its state, its newest batch, when it is asked next."""
    from datetime import timedelta

    from services.pipeline.views import source_status
    from services.storage import feeds

    with opened(sync=True) as rt, rt.reading() as session:
        now = rt.now()
        rows = [
            (feed, source_status(session, feed, since=now - timedelta(days=1)))
            for feed in feeds.list_all(session, retired=everything)
        ]
    if as_json:
        emit_json([feed_json(feed) | {"latest": latest_json(status)} for feed, status in rows])
        return
    if not rows:
        say("No feeds yet. Add one: broadsheet feeds add https://example.org/feed.xml")
        return
    table(
        [
            "Feed",
            Column("Kind", from_width=90),
            "State",
            Column("Newest batch", fold=True),
            Column("Last success", from_width=70),
            Column("Next", from_width=80),
        ],
        [
            (
                f.name,
                f.kind,
                state_of(f),
                _batch(status, f),
                ago(f.last_success_at, now),
                "—" if f.paused or f.retired else coming(f.next_check_at, now),
            )
            for f, status in rows
        ],
    )
    for feed, _ in rows:
        if feed.failures and feed.last_error:
            warn(f"{feed.name}: {feed.last_error}")


def state_of(feed: Feed) -> str:
    """removed, paused, failing (how often in a row), new (never fetched), ok."""
    if feed.retired:
        return "removed"
    if feed.paused:
        return "paused"
    if feed.failures:
        return f"failing ×{feed.failures}"
    return "ok" if feed.last_success_at else "new"


def feed_json(feed: Feed) -> dict[str, Any]:
    """A feed as scripts get it."""
    from services.domain.urls import without_keys

    return {
        "name": feed.name,
        "kind": feed.kind,
        "title": feed.title,
        "url": without_keys(feed.url),
        "params": dict(feed.params),
        "state": state_of(feed).partition(" ")[0],
        "paused": feed.paused,
        "removed": feed.retired,
        "origin": feed.origin,
        "interval_minutes": feed.interval_minutes,
        "history_days": feed.history_days,
        "failures": feed.failures,
        "mute_alerts": feed.mute_alerts,
        "last_error": feed.last_error,
        "last_fetched_at": feed.last_fetched_at,
        "last_success_at": feed.last_success_at,
        "next_check_at": None if feed.paused or feed.retired else feed.next_check_at,
        "complete_until": feed.complete_until,
    }


def latest_json(status: Any) -> dict[str, Any] | None:
    """A feed's newest batch as scripts get it; nothing where none came."""
    if status.as_of is None:
        return None
    return {"state": status.state, "announced": status.announced, "stored": status.stored, "as_of": status.as_of}


def _batch(status: Any, feed: Feed) -> str:
    if status.as_of is None:
        return "—"
    if feed.last_success_at is None and status.state != "failed":
        return f"{status.stored:,} imported"
    of = f" of {status.announced:,}" if status.announced is not None else ""
    return f"{status.state}: {status.stored:,}{of}" if status.stored or of else status.state


# -- fetching --------------------------------------------------------------------------------------------------


@app.command("fetch", epilog=epilog("broadsheet feeds fetch daily-papers", "broadsheet feeds fetch arxiv-cs-cl --json"))
def fetch_feed(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A feed, as `feeds list` shows it.")],
    as_json: Json = False,
) -> None:
    """Fetch and parse a feed now, in this process, and show what became of every entry."""
    from services.pipeline.by_hand import READING, carry_out
    from services.pipeline.fetch import info
    from services.pipeline.schedule import fetch_now
    from services.storage import feeds, jobs
    from services.upstreams import kinds

    with stopping() as stop, opened(sync=True) as rt:
        with rt.reading() as session:
            feed = feeds.get(session, name)
        kinds.for_kind(feed.kind).request(info(feed), rt.urls)  # says what is missing, before a job is made of it
        hints = fetch_now(rt, name)
        left = carry_out(rt, [hint.job_id for hint in hints], kinds=READING, stop=stop)
        with rt.reading() as session:
            slot = jobs.get(session, hints[0].job_id).payload["slot"] if hints else ""
            pages = feeds.pages(session, feed.id or 0, slot=slot)
            rejections = [
                (r.reason, r.entry) for r in feeds.rejections(session, [p.id for p in pages if p.id is not None])
            ]
    trouble = [job.last_error or f"due again at {when(job.due_at)}" for job in left if job.state != "done"]
    if stop.is_set():
        trouble.append("stopped before all was done; a running service goes on")
    if as_json:
        emit_json(_ledger_json(name, slot, pages, rejections, trouble))
    else:
        _show_ledger(name, pages, rejections, trouble)
    if trouble or rejections:
        raise typer.Exit(1)


COUNTS = ("seen", "new", "changed", "known", "rejected")


def _ledger_json(
    name: str, slot: str, pages: Sequence[Fetch], rejections: Sequence[tuple[str, str]], trouble: Sequence[str]
) -> dict[str, Any]:
    announced = _announced(pages)
    return {
        "feed": name, "slot": slot, "announced": announced, **{c: sum(getattr(p, c) for p in pages) for c in COUNTS},
        "rejected": [{"reason": reason, "entry": entry} for reason, entry in rejections],
        "pages": [
            {"batch": p.batch, "cursor": p.cursor, "url": p.url, "state": p.state, "status": p.status,
             "announced": p.announced, **{c: getattr(p, c) for c in COUNTS}, "error": p.error, "notes": p.notes}
            for p in pages
        ],
        "error": trouble[0] if trouble else None,
    }  # fmt: skip


def _announced(pages: Sequence[Fetch]) -> int | None:
    """The sum of what each batch announced; nothing where no source gives a number."""
    by_batch: dict[str, int] = {}
    for page in pages:
        if page.announced is not None:
            by_batch[page.batch] = max(page.announced, by_batch.get(page.batch, 0))
    return sum(by_batch.values()) if by_batch else None


def _show_ledger(
    name: str, pages: Sequence[Fetch], rejections: Sequence[tuple[str, str]], trouble: Sequence[str]
) -> None:
    if pages:
        rows: list[tuple[object, ...]] = [
            (p.batch or "—", _state(p), "—" if p.announced is None else p.announced, *(getattr(p, c) for c in COUNTS))
            for p in pages
        ]
        if len(rows) > 1:
            total = _announced(pages)
            rows.append(
                ("all", "", "—" if total is None else total, *(sum(getattr(p, c) for p in pages) for c in COUNTS))
            )
        table(
            ["Batch", "State", Column("Announced", right=True), *(Column(c.title(), right=True) for c in COUNTS)], rows
        )
    for page in pages:
        for remark in page.notes:
            note(f"{page.batch or name}: {remark}")
    for reason, entry in rejections[:10]:
        warn(f"rejected: {reason} — {entry[:120]}")
    if len(rejections) > 10:
        warn(f"… and {len(rejections) - 10} more; --json shows all")
    for words in trouble:
        warn(f"{name}: {words}")
    if not pages and not trouble:
        say(f"There is nothing to fetch from {name} now.")


def _state(page: Fetch) -> str:
    return "not modified" if page.status == 304 else page.state


# -- pausing, removing -----------------------------------------------------------------------------------------


def _change(names: Sequence[str], as_json: bool, done: str, change: Callable[[Runtime, Actor, str], None]) -> None:
    """One act of `operate` with each feed, up to the first that cannot be done."""
    from services.storage import feeds

    with opened(sync=True) as rt:
        for name in names:
            change(rt, me(), name)
        with rt.reading() as session:
            rows = [feeds.get(session, name) for name in names]
    if as_json:
        emit_json([feed_json(feed) for feed in rows])
        return
    for feed in rows:
        say(f"{feed.name}: {done}")


@app.command("pause", epilog=epilog("broadsheet feeds pause arxiv-cs-lg"))
def pause_feeds(names: Names, as_json: Json = False) -> None:
    """Stop polling feeds; what they brought stays."""
    from services.pipeline import operate

    _change(names, as_json, "paused; `feeds resume` starts it again", operate.pause_feed)


@app.command("resume", epilog=epilog("broadsheet feeds resume arxiv-cs-lg"))
def resume_feeds(names: Names, as_json: Json = False) -> None:
    """Poll feeds again, beginning now."""
    from services.pipeline import operate

    _change(names, as_json, "polled again, next now", operate.resume_feed)


@app.command(
    "accept",
    epilog=epilog("broadsheet feeds accept daily-papers 2026-11-24", "broadsheet feeds accept lab 2026-11-24 --undo"),
)
def accept_batch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A feed, as `feeds list` shows it.")],
    batch: Annotated[str, typer.Argument(metavar="DAY", help="The day (week, month) that is not complete.")],
    undo: Annotated[bool, typer.Option("--undo", help="Wait for it again.")] = False,
    as_json: Json = False,
) -> None:
    """Take a day that is not complete as it is: digests wait for it no longer. What comes of it later is stored."""
    from services.pipeline import operate

    with opened(sync=True) as rt:
        row = operate.accept_batch(rt, me(), name, batch, accepted=not undo)
    if as_json:
        told = ("batch", "state", "accepted_at", "accepted_by", "note")
        emit_json({"feed": name} | {field: getattr(row, field) for field in told})
        return
    say(f"{name}: {batch} is {row.state}; " + ("it is waited for again" if undo else "it is taken as it is"))


@app.command("mute", epilog=epilog("broadsheet feeds mute lab-blog", "broadsheet feeds unmute lab-blog"))
def mute_feeds(names: Names, as_json: Json = False) -> None:
    """Send no alerts about these feeds; they stay in the log and on the pages for operators."""
    from services.pipeline import operate

    _change(names, as_json, "no alerts about it are sent; `feeds unmute` sends them again", operate.mute_feed)


@app.command("unmute", epilog=epilog("broadsheet feeds unmute lab-blog"))
def unmute_feeds(names: Names, as_json: Json = False) -> None:
    """Send alerts about these feeds again, from the next one on."""
    from services.pipeline import operate

    _change(names, as_json, "alerts about it are sent again", partial(operate.mute_feed, muted=False))


@app.command("remove", epilog=epilog("broadsheet feeds remove lab-blog"))
def remove_feeds(names: Names, yes: Yes = False, as_json: Json = False) -> None:
    """Remove feeds; their papers and history stay."""
    from services.pipeline import operate

    if not yes and not as_json:
        from workers.commands.confirm import confirm

        confirm(f"Remove {', '.join(names)}?")
    _change(names, as_json, "removed; its papers stay", operate.remove_feed)
