"""`broadsheet papers …`: the archive, and the way of each paper through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import opened
from workers.commands.options import Json, Limit, Since, Until, epilog
from workers.commands.output import Column, counted, emit_json, emit_json_array, note, pairs, say, table, when

if TYPE_CHECKING:
    from services.domain.papers import PaperFacts
    from services.domain.queries import Query
    from services.pipeline.lineage import Lineage, Verdict
    from services.runtime import Runtime

app = typer.Typer(no_args_is_help=True, help="The archive: list, show, search, and explain who got what and why.")

DEFAULT_LIMIT = 20
ORDERS = ("newest", "trending", "upvotes", "stars")

Key = Annotated[
    str, typer.Argument(metavar="KEY", help="A key, arXiv id, DOI or address: 2601.01234, doi:10.…, https://…")
]
FeedNames = Annotated[
    list[str] | None,
    typer.Option("--feed", metavar="NAME", help="Only what this feed listed (may be repeated).", show_default=False),
]


def order(text: str) -> str:
    """A way to sort papers."""
    if text not in ORDERS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(ORDERS)}")
    return text


Sort = Annotated[str, typer.Option("--sort", parser=order, metavar="|".join(ORDERS), help="Which papers come first.")]


@app.command(
    "list",
    epilog=epilog(
        "broadsheet papers list --since yesterday --sort trending",
        "broadsheet papers list --query '\"speculative decoding\" has:code' --json | jq -r '.[].key'",
    ),
)
def list_papers(
    query: Annotated[
        str, typer.Option("--query", "-q", help="What to look for, as in a subscription.", show_default=False)
    ] = "",
    since: Since = None,
    until: Until = None,
    feeds: FeedNames = None,
    sort: Sort = "newest",
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """List papers (20; with --json all of them, unless --limit says otherwise)."""
    _list(query, since, until, feeds or [], sort, limit, as_json)


@app.command(
    "search",
    epilog=epilog(
        "broadsheet papers search speculative decoding -survey",
        "broadsheet papers search 'author:Ito OR title:quant*'",
    ),
    # `-survey` is a word to leave out, not an option; so this command has no short options of its own.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
def search_papers(
    words: Annotated[
        list[str], typer.Argument(metavar="WORDS", help="Words, phrases and fields of the query language.")
    ],
    since: Since = None,
    until: Until = None,
    feeds: FeedNames = None,
    sort: Sort = "trending",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Show at most so many.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Search titles, abstracts, authors and all other fields."""
    stray = next((word for word in words if word.startswith("--")), None)
    if stray:
        raise typer.BadParameter(f"there is no option {stray}", param_hint=stray)
    _list(" ".join(words), since, until, feeds or [], sort, limit, as_json)


def _list(
    query: str,
    since: date | None,
    until: date | None,
    feeds: Sequence[str],
    sort: str,
    limit: int | None,
    as_json: bool,
) -> None:
    from services.domain.export import paper_json
    from services.domain.queries import parse_query
    from services.storage import feeds as feed_rows

    if since and until and until < since:
        raise typer.BadParameter(f"{until} is before {since}", param_hint="--until")
    with opened(sync=bool(feeds)) as rt:
        wanted_by = parse_query(query, rt.now().date())
        with rt.reading() as session:
            for name in feeds:
                feed_rows.get(session, name)
        wanted = limit if limit is not None or as_json else DEFAULT_LIMIT
        found = islice(_find(rt, wanted_by, since, until, feeds, sort), wanted)
        if as_json:
            emit_json_array(paper_json(paper) for paper in found)
            return
        papers = list(found)
        if not papers:
            _nothing_found(rt, query)
            return
        table(
            ["Day", Column("Title", fold=True), Column("Key", from_width=70), Column("▲", right=True, from_width=90),
             Column("Code", from_width=120)],
            [(p.announced_on, p.title, p.key, p.upvotes, _code(p)) for p in papers],
        )  # fmt: skip
        if limit is None and len(papers) == wanted:
            note(f"The first {wanted}; --limit shows more.")


def _find(
    rt: Runtime, query: Query, since: date | None, until: date | None, feeds: Sequence[str], sort: str
) -> Iterator[PaperFacts]:
    """The papers that match, in order; newest first needs no more memory than a page."""
    from services.domain.ranking import rank
    from services.storage import search

    now = rt.now()
    with rt.reading() as session:
        matching = search.find_papers(session, query, now=now, since=since, until=until, feeds=feeds)
        yield from matching if sort == "newest" else rank(list(matching), now=now, order=sort)


def _nothing_found(rt: Runtime, query: str) -> None:
    from services.storage import archive

    with rt.reading() as session:
        held = archive.count(session)
    if not held:
        say("No papers yet. Fetch some: broadsheet feeds fetch daily-papers   (or: broadsheet import FILE)")
    else:
        asked = f" for {query!r}" if query else ""
        say(f"Nothing found{asked} among {counted(held, 'paper')}.")


def _code(paper: PaperFacts) -> str:
    if not paper.repos:
        return ""
    best = max(paper.repos, key=lambda repo: repo.stars or 0)
    return f"{best.slug} ★{best.stars:,}" if best.stars is not None else best.slug


@app.command("show", epilog=epilog("broadsheet papers show 2601.01234"))
def show_paper(key: Key, as_json: Json = False) -> None:
    """Show all we hold to be true of one paper."""
    from services.digests.words import evidence
    from services.domain.export import paper_json
    from services.domain.links import standing
    from services.storage import archive

    with opened() as rt, rt.reading() as session:
        paper = archive.get(session, key, now=rt.now())
    if as_json:
        emit_json(paper_json(paper))
        return
    facts = paper_json(paper)
    say(paper.title, style="bold")
    authors = ", ".join(facts["authors"][:12]) + (" …" if len(facts["authors"]) > 12 else "")
    pairs(
        [
            ("Key", paper.key), ("Address", facts["url"]), ("Authors", authors or None),
            ("Number of authors", facts["authors_count"]),
            ("Organizations", "; ".join(facts["organizations"][:8]) or None),
            ("Published", paper.published_at and when(paper.published_at)), ("Announced", paper.announced_on),
            ("First seen", when(paper.first_seen_at)), ("Version", paper.version and f"v{paper.version}"),
            ("Categories", ", ".join(paper.categories)), ("Upvotes", paper.upvotes), ("Comments", paper.comments_count),
            ("Withdrawn", "yes" if paper.withdrawn else None), ("Comment", paper.comment),
            ("Journal", paper.journal_ref), ("Cited by", paper.citations), ("Feeds", ", ".join(paper.feeds)),
            ("Known as", ", ".join(facts["identifiers"])),
        ]
    )  # fmt: skip
    for repo in paper.repos:
        said = [f"★ {repo.stars:,}" if repo.stars is not None else repo.state, repo.license, repo.language,
                repo.release, "archived" if repo.archived else None,
                f"{standing(repo.evidence)}, {evidence(repo.evidence) or repo.evidence}"]  # fmt: skip
        say(f"Code   {repo.slug}   {' · '.join(part for part in said if part)}")
    for one in paper.artifacts:
        said = [f"♥ {one.stars:,}" if one.stars is not None else one.state,
                f"{one.downloads:,} downloads in 30 days" if one.downloads else None, one.license,
                "gated" if one.gated else None,
                f"{standing(one.evidence)}, {evidence(one.evidence) or one.evidence}"]  # fmt: skip
        say(f"{one.kind.capitalize()}   {one.slug}   {' · '.join(part for part in said if part)}")
    for link in paper.links:
        if link.kind == "code" and standing(link.evidence) == "unrelated":
            say(f"Used   {link.url}   named in passing")
        elif link.kind != "code" and link.slug not in {one.slug for one in paper.artifacts}:
            say(f"{link.kind.capitalize()}   {link.url}   {evidence(link.evidence) or link.evidence}")
    if paper.abstract:
        say()
        say(paper.abstract)


# -- explain ---------------------------------------------------------------------------------------------------


@app.command(
    "explain",
    epilog=epilog(
        "broadsheet papers explain 2601.01234 --to you@example.org",
        "broadsheet papers explain 2601.01234 --subscription 3",
    ),
)
def explain_paper(
    key: Key,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="SUBSCRIBER", help="Whose subscriptions: EMAIL, slack:URL, webhook:URL.", show_default=False
        ),
    ] = None,
    subscription: Annotated[
        int | None, typer.Option("--subscription", metavar="ID", help="This subscription only.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where a paper came from, and for each subscription why it was, or was not, sent."""
    from services.pipeline.lineage import explain

    if to and subscription is not None:
        raise typer.BadParameter("give --to or --subscription, not both", param_hint="--to")
    with opened() as rt, rt.reading() as session:
        told = explain(session, key, now=rt.now(), to=to, subscription_id=subscription)
    if as_json:
        emit_json(_lineage_json(told))
        return
    _show_lineage(told)


def _lineage_json(told: Lineage) -> dict[str, Any]:
    return {
        "key": told.paper.key,
        "title": told.paper.title,
        "first_seen_at": told.paper.first_seen_at,
        "sightings": [{"feed": s.feed, "day": s.day, "rank": s.rank, "seen_at": s.seen_at} for s in told.sightings],
        "statements": [{"source": s.source, "said_at": s.said_at, "fields": s.fields} for s in told.statements],
        "merges": [{"key": m.key, "reason": m.reason, "merged_at": m.merged_at} for m in told.merges],
        "subscriptions": [_verdict_json(v) for v in told.verdicts],
    }


def _verdict_json(v: Verdict) -> dict[str, Any]:
    return {
        "subscription": v.subscription.id,
        "name": v.subscription.name,
        "to": to_of(v.subscriber),
        "state": v.state,
        "answer": v.answer,
        "query": v.subscription.query,
        "matched": v.matched,
        "why": v.why,
        "excluded_by": v.excluded_by,
        "rank": v.rank,
        "of": v.of,
        "budget": v.subscription.budget,
        "edition": v.edition.id if v.edition else None,
        "period": v.edition.period if v.edition else None,
        "deliveries": [
            {
                "id": d.id,
                "channel": d.channel,
                "state": d.state,
                "attempts": d.attempts,
                "sent_at": d.sent_at,
                "code": d.code,
                "detail": d.detail,
                "message_id": d.message_id,
            }
            for d in v.deliveries
        ],
    }


def to_of(subscriber: Any) -> str:
    """A subscriber's address as `--to` takes it."""
    return subscriber.address if subscriber.channel == "email" else f"{subscriber.channel}:{subscriber.address}"


def _show_lineage(told: Lineage) -> None:
    from services.domain.redaction import redact

    say(told.paper.title, style="bold")
    say(f"{told.paper.key} · first seen {when(told.paper.first_seen_at)}")
    if told.sightings:
        table(
            ["Listed by", "On", Column("Rank", right=True), "Seen"],
            [(s.feed, s.day, s.rank, when(s.seen_at)) for s in told.sightings],
        )
    if told.statements:
        table(
            ["Source", "Last said", Column("What it says", fold=True)],
            [(s.source, when(s.said_at), ", ".join(s.fields)) for s in told.statements],
        )
    for merge in told.merges:
        other = f" with {merge.key}" if merge.key != told.paper.key else ""  # the name of the one may go to the other
        say(f"Merged{other} on {when(merge.merged_at)}: {merge.reason}")
    if not told.verdicts:
        say("No subscriptions yet. Add one: broadsheet subscriptions add --to you@example.org")
    for v in told.verdicts:
        say()
        say(f"Subscription {v.subscription.id} “{v.subscription.name}” to {redact(to_of(v.subscriber))}", style="bold")
        say(f"  {v.answer}", style={"delivered": "green", "next": "cyan"}.get(v.state, "yellow"))
        if v.why:
            say(f"  It {'; '.join(v.why)}" if v.why[0].startswith("matches") else f"  Reasons: {'; '.join(v.why)}")
        for d in v.deliveries:
            sent = f", {when(d.sent_at)}" if d.sent_at else ""
            detail = f": {d.detail}" if d.detail else ""
            say(f"  Delivery {d.id} by {d.channel}: {d.state}{sent} {d.code or ''}{redact(detail)}")
