"""`broadsheet editions …`: what the next one would be, what was composed, and sending it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.deliveries import delivery_json, delivery_rows
from workers.commands.opening import opened
from workers.commands.options import Json, Limit, epilog, stopping
from workers.commands.output import Column, counted, emit, emit_json, note, say, table, warn, when
from workers.commands.papers import to_of

if TYPE_CHECKING:
    from services.domain.messages import Message
    from services.runtime import Runtime
    from services.storage.tables import Edition, Job

app = typer.Typer(no_args_is_help=True, help="Digests: preview the next one, send today's, list those there are.")
deliveries_app = typer.Typer(
    no_args_is_help=True, help="What became of each edition on its way out; resend what failed."
)

FORMATS = ("html", "text", "slack", "json")
DEFAULT_LIMIT = 30
SubscriptionId = Annotated[
    int, typer.Option("--subscription", "-s", metavar="ID", help="A subscription, as `subscriptions list` shows it.")
]


def format_of(text: str) -> str:
    """One form of a digest."""
    if text not in FORMATS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(FORMATS)}")
    return text


@app.command(
    "preview",
    epilog=epilog(
        "broadsheet editions preview --subscription 1",
        "broadsheet editions preview -s 1 --format html --out digest.html",
        "broadsheet editions preview -s 1 --browser",
    ),
)
def preview_edition(
    subscription: SubscriptionId,
    form: Annotated[
        str, typer.Option("--format", parser=format_of, metavar="|".join(FORMATS), help="Which form of it.")
    ] = "text",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="File to write; else stdout.", show_default=False)
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser", help="Write the HTML to HOME/preview.html, and open it.")
    ] = False,
) -> None:
    """Show what the next edition would be, as of now; nothing is written down or sent.

    It is made by the templates in HOME/templates, where there are any; one that cannot be used is named here.
    """
    from services.digests.overrides import templates_of
    from services.pipeline.notify import preview

    with opened() as rt:
        message = preview(rt, subscription)
        folder, page = rt.settings.template_folder, rt.settings.home / "preview.html"
    if folder.is_dir():
        own = templates_of(folder).replaced
        note(f"Templates of your own: {', '.join(str(folder / name) for name in own) or f'none in {folder}'}")
    if browser:
        page.write_text(message.html or "", encoding="utf-8", errors="replace")
        note(f"{page} written: {message.subject}")
        typer.launch(page.as_uri())
        return
    text = _form(message, form)
    if out is None:
        emit(text)
    else:
        out.write_text(text, encoding="utf-8", errors="replace")
        note(f"{out} written: {message.subject}")


def _form(message: Message, form: str) -> str:
    match form:
        case "html":
            return message.html or ""
        case "slack":
            return json.dumps(message.slack, ensure_ascii=False, indent=2)
        case "json":
            return json.dumps(message.data, ensure_ascii=False, indent=2)
    return f"Subject: {message.subject}\n\n{message.text}"


@app.command(
    "send",
    epilog=epilog(
        "broadsheet editions send --subscription 1 --now",
        "broadsheet editions send --subscription 1 --to me@example.org",
    ),
)
def send_edition(
    subscription: SubscriptionId,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="ADDRESS",
            help="Only a test: what the next edition would be goes to this EMAIL, slack:URL or webhook:URL, and "
            "nothing is written down.",
            show_default=False,
        ),
    ] = "",
    at_once: Annotated[bool, typer.Option("--now", help="Do not wait for feeds that are still being read.")] = False,
    as_json: Json = False,
) -> None:
    """Compose today's edition, if there is none yet, and send it; nobody gets it twice."""
    if to:
        _send_test(subscription, to, as_json)
        return
    from dataclasses import replace

    from services.pipeline.by_hand import SENDING, ask, carry_out
    from services.pipeline.schedule import edition_job
    from services.pipeline.send import send_job
    from services.storage import editions, subscribers

    with stopping() as stop, opened() as rt:
        with rt.reading() as session:
            wanted, subscriber = subscribers.get_subscription(session, subscription)
            _can_receive(rt, wanted, subscriber)
            now = rt.now()
            job = edition_job(subscription, wanted.cadence, wanted.timezone, now)
            period = job.payload["period"]
            edition = editions.find(session, subscription, period)
        before = _settled(rt, edition)
        left: list[Job] = []
        if edition is None:
            if at_once:
                job = replace(job, payload={**job.payload, "now": True})
            left = carry_out(rt, [ask(rt, job, again=True)], kinds=SENDING, stop=stop)
        elif edition.id is not None and edition.skipped is None and not before:
            left = carry_out(rt, [ask(rt, send_job(edition.id))], kinds=SENDING, stop=stop)
        with rt.reading() as session:
            edition = editions.find(session, subscription, period)
        result = _sent(rt, subscription, period, edition, left, already=before)
    if as_json:
        emit_json(result)
    else:
        _show_sent(result)
    if result["error"]:
        raise typer.Exit(1)


def _send_test(subscription: int, to: str, as_json: bool) -> None:
    """Send what the next edition would be to one address, as a test."""
    from services.pipeline.notify import send_test

    with opened() as rt:
        message, receipt = send_test(rt, subscription, to)
    if as_json:
        emit_json({"subscription": subscription, "state": "test", "to": to, "message_id": message.message_id,
                   "subject": message.subject, "detail": receipt.detail})  # fmt: skip
    else:
        say(f"Test sent: {message.subject}: {receipt.detail or receipt.code}", style="green")


def _can_receive(rt: Runtime, subscription: Any, subscriber: Any) -> None:
    """Raise `InvalidInput` when the pipeline would send this subscription nothing, with the way out."""
    from services.domain.errors import InvalidInput
    from services.pipeline.views import local_day
    from services.storage.subscribers import is_paused

    which = f"subscription {subscription.id}"
    if subscription.state == "removed":
        raise InvalidInput(f"{which} was removed; add it again with `broadsheet subscriptions add`")
    if subscriber.state != "active":
        raise InvalidInput(
            f"nothing is sent to {which}: its subscriber is {subscriber.state}. If the owner of the address agreed, "
            f"run `broadsheet subscriptions confirm {subscription.id}`"
        )
    if is_paused(subscription, local_day(subscription.timezone, rt.now())):
        raise InvalidInput(f"{which} is paused; `broadsheet subscriptions resume {subscription.id}` ends that")


def _settled(rt: Runtime, edition: Edition | None) -> bool:
    """Whether every delivery of an edition has come to its end (or waits for a person)."""
    from services.domain.deliveries import SETTLED

    rows = delivery_rows(rt, edition)
    return bool(rows) and all(d.state in SETTLED or d.state == "unknown" for d, _, _ in rows)


def _sent(
    rt: Runtime, subscription: int, period: str, edition: Edition | None, left: Sequence[Job], *, already: bool
) -> dict[str, Any]:
    """What `editions send` came to. `state`: sent, already_sent, empty, waiting, failed."""
    rows = delivery_rows(rt, edition)
    open_ = [d for d, _, _ in rows if d.state != "accepted"]
    trouble = next((job for job in left if job.state != "done"), None)
    error: str | None = None
    if edition is None:
        state = "waiting" if trouble is not None and trouble.state == "ready" else "failed"
        error = (
            trouble.last_error if trouble else None
        ) or "no edition was composed; is its subscription paused or removed?"
        if state == "waiting":
            error = f"{error.partition(': ')[2] or error}; `--now` sends without"
    elif edition.skipped:
        state = "empty"
    elif open_:
        state = "failed"
        error = "; ".join(f"delivery {d.id} is {d.state}" + (f": {d.detail}" if d.detail else "") for d in open_)
        error = error.rstrip(".")
        if any(d.state not in {"planned", "deferred", "sending"} for d in open_):
            error += f". `broadsheet deliveries resend {edition.id}` tries again"
        else:
            error += ". It is tried again by a running service"
    else:
        state = "already_sent" if already else "sent"
    return {
        "subscription": subscription, "period": period, "edition": edition.id if edition else None, "state": state,
        "papers": rows[0][2] if rows else [], "deliveries": [delivery_json(d, s, keys) for d, s, keys in rows],
        "error": error,
    }  # fmt: skip


def _show_sent(result: dict[str, Any]) -> None:
    from services.domain.redaction import redact

    name = f"Edition {result['edition']} of {result['period']}"
    match result["state"]:
        case "empty":
            say(f"{name} holds no papers: nothing new matched, so nothing was sent.")
        case "already_sent":
            at = when(result["deliveries"][0]["sent_at"])
            say(
                f"Already sent: {name.lower()}, {at}, to {redact(result['deliveries'][0]['to'])}. Nobody gets it twice."
            )
        case "sent":
            for d in result["deliveries"]:
                answer = redact(d["detail"] or d["code"] or "")
                papers = counted(len(d["papers"]), "paper")
                say(f"{name} sent to {redact(d['to'])}: {papers}, {answer}", style="green")
        case _:
            warn(f"Not sent: {redact(result['error'])}")


@app.command("list", epilog=epilog("broadsheet editions list --limit 10"))
def list_editions(limit: Limit = None, as_json: Json = False) -> None:
    """Show the editions composed, newest first (30; with --json all)."""
    from services.storage import deliveries, editions

    wanted = limit or (1_000_000_000 if as_json else DEFAULT_LIMIT)
    with opened() as rt, rt.reading() as session:
        rows = editions.list_recent(session, limit=wanted)
        ways: dict[int, list[tuple[Any, Any, list[str]]]] = {}
        for row in (
            deliveries.list_all(session)
            if len(rows) > DEFAULT_LIMIT
            else [r for e, _ in rows for r in deliveries.list_all(session, edition_id=e.id)]
        ):
            ways.setdefault(row[0].edition_id, []).append(row)
    if as_json:
        emit_json([_edition_json(e, s, ways.get(e.id or 0, [])) for e, s in rows])
        return
    if not rows:
        say("No editions yet. Send one: broadsheet editions send --subscription ID --now")
        return
    table(
        [
            Column("Edition", right=True),
            "Period",
            Column("Subscription", fold=True),
            Column("Papers", right=True),
            Column("Matched", right=True, from_width=90),
            Column("Of", right=True, from_width=90),
            "Deliveries",
            Column("Composed", from_width=110),
        ],
        [
            (
                e.id,
                e.period,
                f"{s.id} {s.name}",
                len(ways[e.id or 0][0][2]) if ways.get(e.id or 0) else 0,
                e.matched,
                e.considered,
                e.skipped or ", ".join(d.state for d, _, _ in ways.get(e.id or 0, [])),
                when(e.composed_at),
            )
            for e, s in rows
        ],
    )


def _edition_json(edition: Edition, subscription: Any, ways: Sequence[tuple[Any, Any, list[str]]]) -> dict[str, Any]:
    return {
        "id": edition.id, "subscription": subscription.id, "name": subscription.name, "period": edition.period,
        "due_at": edition.due_at, "composed_at": edition.composed_at, "matched": edition.matched,
        "considered": edition.considered, "skipped": edition.skipped, "papers": ways[0][2] if ways else [],
        "sources": edition.sources,
        "deliveries": [{"id": d.id, "to": to_of(s), "channel": d.channel, "state": d.state} for d, s, _ in ways],
    }  # fmt: skip
