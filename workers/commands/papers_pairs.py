"""`broadsheet papers duplicates|merges|unmerge|events`: pairs that may be one paper, and what became of papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, Limit, epilog
from workers.commands.output import Column, emit_json, say, table, when

if TYPE_CHECKING:
    from services.storage.tables import Merge, Paper

DEFAULT_LIMIT = 20
STATES = ("open", "different")


def _state(text: str) -> str:
    if text not in STATES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(STATES)}")
    return text


def _short(paper: Paper) -> dict[str, Any]:
    return {
        "key": paper.key,
        "title": paper.title,
        "authors": [author["name"] for author in paper.authors if author.get("name")],
        "published_at": paper.published_at,
    }


# -- pairs that may be one -------------------------------------------------------------------------------------

DUPLICATES_EPILOG = epilog(
    "broadsheet papers duplicates",
    "broadsheet papers duplicates --merge 2601.01234 doi:10.1145/1234567",
    "broadsheet papers duplicates --dismiss 2601.01234 2601.04321",
)


def list_duplicates(
    merge: Annotated[
        tuple[str, str], typer.Option("--merge", metavar="A B", help="These two are one paper.", show_default=False)
    ] = ("", ""),
    dismiss: Annotated[
        tuple[str, str],
        typer.Option("--dismiss", metavar="A B", help="These two are different, for good.", show_default=False),
    ] = ("", ""),
    state: Annotated[
        str, typer.Option("--state", parser=_state, metavar="|".join(STATES), help="Pairs nobody decided, or decided.")
    ] = "open",
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """List pairs of papers that may be one, the most alike first; or say what a pair is."""
    if any(merge) and any(dismiss):
        raise typer.BadParameter("give --merge or --dismiss, not both", param_hint="--dismiss")
    if any(merge):
        _merge(*merge, as_json=as_json)
    elif any(dismiss):
        _dismiss(*dismiss, as_json=as_json)
    else:
        _list(state, limit, as_json)


def _list(state: str, limit: int | None, as_json: bool) -> None:
    from services.storage import duplicates

    wanted = limit if limit is not None else (1_000_000 if as_json else DEFAULT_LIMIT)
    with opened() as rt, rt.reading() as session:
        rows = duplicates.page(session, state=state, limit=1_000_000)
        rows.sort(key=lambda row: (-row[0].score, row[0].id or 0))
        found: list[dict[str, Any]] = [
            {
                "id": pair.id, "score": round(pair.score, 3), "reason": pair.reason, "state": pair.state,
                "found_at": pair.found_at, "decided_at": pair.decided_at, "papers": [_short(one), _short(other)],
            }
            for pair, one, other in rows[:wanted]
        ]  # fmt: skip
    if as_json:
        emit_json(found)
        return
    if not found:
        say("No pairs wait for a decision." if state == "open" else "No pairs were said to be different.")
        return
    table(
        [Column("Alike", right=True), Column("Papers", fold=True), Column("Why", fold=True)],
        [
            (f"{pair['score']:.2f}", "\n".join(f"{p['key']}  {p['title']}" for p in pair["papers"]), pair["reason"])
            for pair in found
        ],
    )
    if state == "open":
        first = found[0]["papers"]
        say(f"One paper: broadsheet papers duplicates --merge {first[0]['key']} {first[1]['key']}   (else --dismiss)")


def _merge(one: str, other: str, *, as_json: bool) -> None:
    from services.pipeline import operate
    from services.storage import merges

    with opened() as rt:
        number, keys = operate.merge_papers(rt, me(), one, other)
        with rt.reading() as session:
            rows = merges.page(session, before=number + 1, limit=1)
            kept = rows[0][1].key if rows and rows[0][1] else keys[0]
    gone = next((key for key in keys if key != kept), keys[1])
    if as_json:
        emit_json({"merge": number, "kept": kept, "merged": gone})
    else:
        say(f"{gone} and {kept} are one paper now, {kept}. Take it back: broadsheet papers unmerge {number}")


def _dismiss(one: str, other: str, *, as_json: bool) -> None:
    from services.pipeline import operate

    with opened() as rt:
        keys = operate.keep_apart(rt, me(), one, other)
    if as_json:
        emit_json({"different": keys})
    else:
        say(f"{keys[0]} and {keys[1]} stay two papers, also when an entry names both.")


# -- merges ----------------------------------------------------------------------------------------------------

MERGES_EPILOG = epilog("broadsheet papers merges", "broadsheet papers merges --json | jq '.[0]'")
UNMERGE_EPILOG = epilog("broadsheet papers unmerge 12")


def list_merges(limit: Limit = None, as_json: Json = False) -> None:
    """List what was merged into what, why, and what was taken back; newest first."""
    from services.storage import merges

    wanted = limit if limit is not None else (1_000_000 if as_json else DEFAULT_LIMIT)
    with opened() as rt, rt.reading() as session:
        found = [_merge_json(merge, kept) for merge, kept in merges.page(session, limit=wanted)]
    if as_json:
        emit_json(found)
        return
    if not found:
        say("Nothing was merged yet. Pairs that may be one paper: broadsheet papers duplicates")
        return
    table(
        [Column("ID", right=True), Column("Merged", fold=True), Column("Into", fold=True), "When",
         Column("Why", fold=True)],
        [
            (m["id"], m["merged"], m["kept"] or "—", when(m["merged_at"]) + (", taken back" if m["undone_at"] else ""),
             m["reason"])
            for m in found
        ],
    )  # fmt: skip


def _merge_json(merge: Merge, kept: Paper | None) -> dict[str, Any]:
    from services.storage.merges import merged_title

    return {
        "id": merge.id, "merged": merge.merged_key, "title": merged_title(merge), "kept": kept.key if kept else None,
        "reason": merge.reason, "merged_at": merge.merged_at, "undone_at": merge.undone_at,
    }  # fmt: skip


def unmerge_papers(
    merge: Annotated[int, typer.Argument(metavar="MERGE", help="A merge, as `papers merges` shows it.")],
    as_json: Json = False,
) -> None:
    """Take a merge back: the two are papers of their own again, and stay so."""
    from services.pipeline import operate
    from services.storage.tables import Merge as MergeRow
    from services.storage.tables import Paper as PaperRow

    with opened() as rt:
        apart = operate.unmerge(rt, me(), merge)
        with rt.reading() as session:
            row = session.get(MergeRow, merge)
            papers = [session.get(PaperRow, i) for i in (row.kept_paper_id if row else 0, apart)]
            keys = [paper.key for paper in papers if paper]
    if as_json:
        emit_json({"merge": merge, "papers": keys})
    else:
        say(f"Merge {merge} is taken back: {' and '.join(keys)} are two papers again.")


# -- events ----------------------------------------------------------------------------------------------------

EVENTS_EPILOG = epilog("broadsheet papers events 2601.01234")


def list_events(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="A key, arXiv id, DOI or address: 2601.01234, doi:10.…, https://…")
    ],
    as_json: Json = False,
) -> None:
    """List what became of a paper after its first day: new versions, code, a venue, a withdrawal; oldest first."""
    from services.domain.events import describe
    from services.storage import archive, events

    with opened() as rt, rt.reading() as session:
        paper = archive.get(session, key, now=rt.now())
        found: list[dict[str, Any]] = [
            {"at": one.at, "kind": one.kind, "text": describe(one.kind, one.detail, paper.title), "detail": one.detail}
            for one in events.of_paper(session, paper.id)
        ]
    if as_json:
        emit_json(found)
        return
    if not found:
        say(f"Nothing new was heard of {paper.key} since it was first seen, {when(paper.first_seen_at)}.")
        return
    table(["When", "What", Column("In words", fold=True)], [(when(e["at"]), e["kind"], e["text"]) for e in found])
