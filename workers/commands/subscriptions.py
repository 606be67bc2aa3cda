"""`broadsheet subscriptions …`: who receives, what, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, Yes, day, epilog
from workers.commands.output import Column, coming, emit_json, note, pairs, say, table, warn, when
from workers.commands.papers import to_of

if TYPE_CHECKING:
    from services.domain.users import Actor
    from services.pipeline.operate import Pair
    from services.runtime import Runtime
    from services.storage.tables import Subscriber, Subscription

app = typer.Typer(
    no_args_is_help=True,
    help="Who receives what, and when: add, preview, list, show, pause, resume, confirm, remove; a person's data: "
    "export, wipe.",
)

CADENCES = ("instant", "daily", "weekdays", "weekly", "monthly")
RANKINGS = ("personal", "trending", "newest", "upvotes", "stars")
Id = Annotated[int, typer.Argument(metavar="ID", help="A subscription, as `subscriptions list` shows it.")]


def cadence_of(text: str) -> str:
    """How often."""
    if text not in CADENCES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(CADENCES)}")
    return text


def ranking_of(text: str) -> str:
    """What comes first."""
    if text not in RANKINGS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(RANKINGS)}")
    return text


@app.command(
    "add",
    epilog=epilog(
        "broadsheet subscriptions add --to you@example.org --timezone Europe/Berlin --confirmed",
        "broadsheet subscriptions add --to you@example.org --query '\"speculative decoding\" -survey'",
        "broadsheet subscriptions add --to slack:https://hooks.slack.com/services/T0/B0/X0 --budget 5",
    ),
)
def add_subscription(
    to: Annotated[
        str,
        typer.Option("--to", metavar="ADDRESS", help="EMAIL, slack:URL, slack:CHANNEL, webhook:URL or apprise:URL."),
    ],
    name: Annotated[
        str, typer.Option("--name", help="What the reader sees.", show_default="the query, or Daily Papers")
    ] = "",
    query: Annotated[
        str, typer.Option("--query", "-q", help="Which papers; empty means all.", show_default="all papers")
    ] = "",
    cadence: Annotated[
        str, typer.Option("--cadence", parser=cadence_of, metavar="|".join(CADENCES), help="How often.")
    ] = "daily",
    at: Annotated[str, typer.Option("--at", metavar="HH:MM", help="At what time of the reader's day.")] = "08:00",
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="TZ", help="The reader's time zone, such as Europe/Berlin.")
    ] = "UTC",
    budget: Annotated[
        int, typer.Option("--budget", metavar="N", min=1, max=500, help="Most papers in one edition.")
    ] = 12,
    ranking: Annotated[
        str,
        typer.Option(
            "--ranking",
            parser=ranking_of,
            metavar="|".join(RANKINGS),
            help="Which papers come first; personal learns from what the reader saves and wants less of.",
        ),
    ] = "personal",
    news_alone: Annotated[
        bool,
        typer.Option("--news-alone", help="Write without new papers too, when there is news of earlier ones."),
    ] = False,
    feeds: Annotated[
        list[str] | None,
        typer.Option("--feed", metavar="NAME", help="Only from this feed (may be repeated).", show_default="all feeds"),
    ] = None,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="The reader has agreed already: no confirmation is waited for.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add a subscription, or bring the one of that address and name up to date."""
    from services.domain.addresses import parse_address
    from services.pipeline.subscribe import subscribe

    with opened(sync=True) as rt:
        # Whoever has the address of a webhook was given it; there is nobody to ask.
        agreed = confirmed or parse_address(to, allowed_hosts=rt.settings.private_hosts).channel != "email"
        with rt.writing() as session:
            began = rt.now()
            subscription, subscriber = subscribe(
                rt, session, to=to, name=name.strip() or None, query=query, cadence=cadence, at=at, timezone=timezone,
                budget=budget, ranking=ranking, news_alone=news_alone, feed_names=tuple(feeds or ()), confirmed=agreed,
            )  # fmt: skip
            session.flush()
            made = subscription.created_at >= began
        if as_json:
            emit_json(subscription_json(subscription, subscriber))
            return
        done = "Added" if made else "Updated"
        say(f"{done} subscription {subscription.id} “{subscription.name}” to {_address(subscriber)}.", style="green")
        say(f"{_words(subscription)}; next edition {when(subscription.next_edition_at)}.")
        if subscriber.state != "active":
            warn(_why_nothing_is_sent(subscriber, subscription))
        elif subscriber.channel == "email" and not rt.settings.smtp_url.get_secret_value():
            note(f"No mail server is set (BROADSHEET_SMTP_URL): editions are written to {rt.settings.outbox}")
        elif rt.channel(subscriber.channel, subscriber.address) is rt.channels["slack_bot"] and not (
            rt.settings.slack_token.get_secret_value()
        ):
            warn("No token is set (BROADSHEET_SLACK_TOKEN): nothing can be posted to a channel of Slack without one.")
        note(f"See what it would bring: broadsheet editions preview --subscription {subscription.id}")


def _why_nothing_is_sent(subscriber: Subscriber, subscription: Subscription) -> str:
    if subscriber.state == "pending":
        return (
            "The address has not been confirmed: nothing is sent yet. If its owner agreed, run "
            f"`broadsheet subscriptions confirm {subscription.id}`."
        )
    command = f"`broadsheet subscriptions confirm {subscription.id}`"
    return f"The subscriber is {subscriber.state}: nothing is sent. {command} changes that."


def subscription_json(subscription: Subscription, subscriber: Subscriber) -> dict[str, Any]:
    """A subscription as scripts get it."""
    return {
        "id": subscription.id, "name": subscription.name, "to": to_of(subscriber), "channel": subscriber.channel,
        "state": subscription.state, "subscriber_state": subscriber.state, "query": subscription.query,
        "feeds": list(subscription.feeds), "cadence": subscription.cadence, "at": subscription.at,
        "timezone": subscription.timezone, "budget": subscription.budget, "ranking": subscription.ranking,
        "news_alone": subscription.news_alone,
        "paused_until": subscription.paused_until, "origin": subscription.origin,
        "created_at": subscription.created_at, "since_at": subscription.since_at,
        "next_edition_at": subscription.next_edition_at if subscription.state == "active" else None,
    }  # fmt: skip


def _address(subscriber: Subscriber) -> str:
    from services.domain.redaction import redact

    return redact(to_of(subscriber))


def _words(subscription: Subscription) -> str:
    at = "" if subscription.cadence == "instant" else f" at {subscription.at} {subscription.timezone}"
    return f"{subscription.cadence}{at}, at most {subscription.budget} papers, {subscription.ranking} ranking"


def _state(subscription: Subscription, subscriber: Subscriber) -> str:
    if subscription.state != "active":
        return subscription.state
    if subscriber.state != "active":
        return subscriber.state
    return f"paused until {subscription.paused_until}" if subscription.paused_until else "active"


@app.command("list", epilog=epilog("broadsheet subscriptions list"))
def list_subscriptions(
    everything: Annotated[bool, typer.Option("--all", help="Removed ones too.")] = False, as_json: Json = False
) -> None:
    """Show every subscription."""
    from services.storage import subscribers

    with opened(sync=True) as rt, rt.reading() as session:
        now = rt.now()
        rows = subscribers.list_subscriptions(session, removed=everything)
    if as_json:
        emit_json([subscription_json(s, p) for s, p in rows])
        return
    if not rows:
        say("No subscriptions yet. Add one: broadsheet subscriptions add --to you@example.org")
        return
    table(
        [
            Column("ID", right=True),
            Column("To", fold=True),
            Column("Name", fold=True),
            Column("Query", fold=True, from_width=100),
            "State",
            Column("When", from_width=90),
            Column("Next", from_width=80),
        ],
        [
            (
                s.id,
                _address(p),
                s.name,
                s.query,
                _state(s, p),
                s.cadence if s.cadence == "instant" else f"{s.cadence} {s.at} {s.timezone}",
                coming(s.next_edition_at, now)
                if s.next_edition_at and s.state == "active" and p.state == "active"
                else "—",
            )
            for s, p in rows
        ],
    )


@app.command("show", epilog=epilog("broadsheet subscriptions show 3"))
def show_subscription(subscription_id: Id, as_json: Json = False) -> None:
    """Show one subscription with its last editions."""
    from services.storage import editions, subscribers

    with opened(sync=True) as rt, rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, subscription_id)
        issues = [e for e, s in editions.list_recent(session, limit=1000) if s.id == subscription_id][:10]
    if as_json:
        emit_json(
            subscription_json(subscription, subscriber)
            | {"editions": [{"id": e.id, "period": e.period, "composed_at": e.composed_at, "matched": e.matched,
                             "considered": e.considered, "skipped": e.skipped} for e in issues]}
        )  # fmt: skip
        return
    pairs(
        [
            ("Subscription", f"{subscription.id} “{subscription.name}”"), ("To", _address(subscriber)),
            ("State", _state(subscription, subscriber)), ("Query", subscription.query or "all papers"),
            ("Feeds", ", ".join(subscription.feeds) or "all"), ("When", _words(subscription)),
            ("Next edition", when(subscription.next_edition_at) if subscription.state == "active" else "none"),
            ("News since", when(subscription.since_at)),
        ]
    )  # fmt: skip
    if subscriber.state != "active":
        warn(_why_nothing_is_sent(subscriber, subscription))
    if issues:
        table(
            [
                Column("Edition", right=True),
                "Period",
                "Composed",
                Column("Matched", right=True),
                Column("Of", right=True),
                "",
            ],
            [(e.id, e.period, when(e.composed_at), e.matched, e.considered, e.skipped) for e in issues],
        )


def _update(subscription_id: int, as_json: bool, words: str, change: Callable[[Runtime, Actor, int], Pair]) -> None:
    """One act of `operate` with a subscription."""
    with opened(sync=True) as rt:
        subscription, subscriber = change(rt, me(), subscription_id)
        if as_json:
            emit_json(subscription_json(subscription, subscriber))
            return
        following = f"; next edition {when(subscription.next_edition_at)}" if subscription.state == "active" else ""
        say(f"Subscription {subscription_id} “{subscription.name}” {words}{following}.")


@app.command("pause", epilog=epilog("broadsheet subscriptions pause 3 --until 2027-01-07"))
def pause_subscription(
    subscription_id: Id,
    until: Annotated[
        date | None,
        typer.Option(
            "--until", parser=day, metavar="DATE", help="First day with an edition again.", show_default="until resumed"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send nothing for a while; what is missed is gathered for the edition after the pause."""
    from services.pipeline import operate

    words = f"paused{f' until {until}' if until else ''}"
    _update(subscription_id, as_json, words, partial(operate.pause_subscription, until=until))


@app.command("resume", epilog=epilog("broadsheet subscriptions resume 3"))
def resume_subscription(subscription_id: Id, as_json: Json = False) -> None:
    """End a pause: the next edition comes at its usual hour, with the best of what was missed."""
    from services.pipeline import operate

    _update(subscription_id, as_json, "resumed", operate.resume_subscription)


@app.command("confirm", epilog=epilog("broadsheet subscriptions confirm 3"))
def confirm_subscription(subscription_id: Id, as_json: Json = False) -> None:
    """Record that the owner of the address agreed to receive."""
    from services.pipeline import operate

    _update(subscription_id, as_json, "confirmed", operate.confirm_subscription)


@app.command("remove", epilog=epilog("broadsheet subscriptions remove 3"))
def remove_subscription(subscription_id: Id, yes: Yes = False, as_json: Json = False) -> None:
    """Remove a subscription; its editions stay on record."""
    from services.pipeline import operate

    if not yes and not as_json:
        from workers.commands.confirm import confirm

        confirm(f"Remove subscription {subscription_id}?")
    _update(subscription_id, as_json, "removed", operate.remove_subscription)
