"""`broadsheet deliveries …`: what became of each edition on its way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import opened
from workers.commands.options import Json, Limit, epilog, stopping
from workers.commands.output import Column, ago, emit_json, note, say, table, warn, when
from workers.commands.papers import to_of

if TYPE_CHECKING:
    from services.runtime import Runtime
    from services.storage.tables import Delivery, Edition, Subscriber

app = typer.Typer(no_args_is_help=True, help="What became of each edition on its way out; resend; slow down.")

DEFAULT_LIMIT = 30


def delivery_rows(rt: Runtime, edition: Edition | None) -> list[tuple[Delivery, Subscriber, list[str]]]:
    """An edition's deliveries with subscriber and paper keys."""
    from services.storage import deliveries

    if edition is None:
        return []
    with rt.reading() as session:
        return deliveries.list_all(session, edition_id=edition.id)


def delivery_json(delivery: Delivery, subscriber: Subscriber, keys: Sequence[str]) -> dict[str, Any]:
    """A delivery as scripts get it."""
    return {
        "id": delivery.id,
        "edition": delivery.edition_id,
        "to": to_of(subscriber),
        "channel": delivery.channel,
        "state": delivery.state,
        "message_id": delivery.message_id,
        "attempts": delivery.attempts,
        "papers": list(keys),
        "code": delivery.code,
        "detail": delivery.detail,
        "planned_at": delivery.planned_at,
        "sent_at": delivery.sent_at,
        "expires_at": delivery.expires_at,
    }


def state_of(text: str) -> str:
    """A state of deliveries."""
    from services.domain.deliveries import STATES

    if text not in STATES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(STATES)}")
    return text


@app.command(
    "list",
    epilog=epilog(
        "broadsheet deliveries list --state failed",
        "broadsheet deliveries list --reader you@example.org --json",
    ),
)
def list_deliveries(
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            parser=state_of,
            metavar="STATE",
            help="Only in this state (may be repeated).",
            show_default=False,
        ),
    ] = None,
    edition: Annotated[
        int | None, typer.Option("--edition", metavar="N", help="Only of this edition.", show_default=False)
    ] = None,
    reader: Annotated[
        str,
        typer.Option(
            "--reader", metavar="WHO", help="Only to this address, or of this subscription (ID).", show_default=False
        ),
    ] = "",
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show deliveries, newest first (30; with --json all)."""
    from services.digests.words import answer
    from services.domain.redaction import redact
    from services.storage import deliveries, editions, subscribers

    with opened() as rt, rt.reading() as session:
        now = rt.now()
        if edition is not None:
            editions.get(session, edition)
        if (number := deliveries.subscription_number(reader.strip())) is not None:
            subscribers.get_subscription(session, number)
        rows = deliveries.list_all(
            session, edition_id=edition, states=state or (), reader=reader.strip(),
            limit=limit or (None if as_json else DEFAULT_LIMIT),
        )  # fmt: skip
    if as_json:
        emit_json([delivery_json(*row) for row in rows])
        return
    if not rows:
        say(
            "No such deliveries."
            if state or edition or reader
            else "No deliveries yet: they come with the first edition."
        )
        return
    table(
        [
            Column("ID", right=True),
            Column("Edition", right=True),
            Column("To", fold=True),
            "State",
            Column("Papers", right=True),
            Column("Tries", right=True, from_width=110),
            Column("Sent", from_width=90),
            Column("Answer", fold=True, from_width=90),
        ],
        [
            (
                d.id,
                d.edition_id,
                redact(to_of(s)),
                d.state,
                len(keys),
                d.attempts,
                ago(d.sent_at, now, never="—"),
                redact(answer(d.code, d.detail)),
            )
            for d, s, keys in rows
        ],
    )


@app.command("resend", epilog=epilog("broadsheet deliveries resend 12"))
def resend_edition(
    edition: Annotated[int, typer.Argument(metavar="EDITION", help="An edition, as `editions list` shows it.")],
    as_json: Json = False,
) -> None:
    """Send an edition again to those who did not get it: failed, expired, suppressed or unknown deliveries."""
    from services.domain.jobs import Hint
    from services.domain.redaction import redact
    from services.pipeline.by_hand import SENDING, carry_out
    from services.pipeline.send import resend
    from services.storage import editions

    with stopping() as stop, opened() as rt:
        hints: list[Hint] = []
        rt.publish = hints.extend
        count = resend(rt, edition)
        left = carry_out(rt, [hint.job_id for hint in hints], kinds=SENDING, stop=stop)
        with rt.reading() as session:
            row = editions.get(session, edition)
        rows = delivery_rows(rt, row)
    result = [delivery_json(*r) for r in rows]
    missing = [d for d in result if d["state"] != "accepted"]
    if as_json:
        emit_json({"edition": edition, "resent": count, "deliveries": result})
    else:
        if not rows:
            say(f"Edition {edition} has no deliveries{': it holds no papers' if row.skipped else ''}.")
        elif not count and not missing:
            say(f"Everybody has edition {edition} already; nothing to resend.")
        for d in result:
            if count or d["state"] != "accepted":
                (warn if d["state"] != "accepted" else say)(
                    f"Delivery {d['id']} to {redact(d['to'])}: {d['state']} {redact(d['detail'] or '')}".rstrip()
                )
        for job in left:
            if job.state == "ready":
                note(f"Tried again at {when(job.due_at)} by a running service.")
    if missing:
        raise typer.Exit(1)
