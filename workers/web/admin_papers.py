"""Admin, papers: pairs that may be one, to be merged or kept apart; and merges, to be taken back."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from services.pipeline import operate
from services.storage import duplicates, merges
from workers.web.admin import PER_PAGE, back, desk, id_of, known_id, more_after
from workers.web.auth import Act, Doer, Known, guarded
from workers.web.kit import WebKit

router = guarded(include_in_schema=False)

STATES = ("open", "different")


@router.get("/admin/duplicates")
def pair_list(request: Request, web: WebKit, who: Known, state: str = "open", before: str = "") -> Response:
    """Pairs that wait for a person, or that were kept apart; newest first."""
    state = state if state in STATES else "open"
    with web.rt.reading() as session:
        rows = duplicates.page(session, state=state, before=id_of(before), limit=PER_PAGE + 1)
    more = more_after(rows, lambda row: row[0].id)
    return desk(
        request, web, "duplicates.html", who, rows=rows[:PER_PAGE], state=state, states=STATES, first=not before,
        more=f"/admin/duplicates?state={state}&before={more}" if more else "",
    )  # fmt: skip


@router.get("/admin/merges")
def merge_list(request: Request, web: WebKit, who: Known, before: str = "") -> Response:
    """What was merged into what, and why; newest first."""
    with web.rt.reading() as session:
        rows = merges.page(session, before=id_of(before), limit=PER_PAGE + 1)
    more = more_after(rows, lambda row: row[0].id)
    return desk(
        request, web, "merges.html", who, rows=rows[:PER_PAGE], title_of=merges.merged_title,
        can_be_undone=merges.can_be_undone, first=not before, more=f"/admin/merges?before={more}" if more else "",
    )  # fmt: skip


@router.post("/admin/duplicates/{duplicate_id}/merge", dependencies=[Act])
def merge_pair(web: WebKit, me: Doer, duplicate_id: str) -> Response:
    """The two are one paper."""
    keys = operate.decide_pair(web.rt, me, known_id(duplicate_id), "same")
    return back("/admin/duplicates", "pair_merged", " and ".join(keys))


@router.post("/admin/duplicates/{duplicate_id}/dismiss", dependencies=[Act])
def dismiss_pair(web: WebKit, me: Doer, duplicate_id: str) -> Response:
    """The two are different, for good."""
    keys = operate.decide_pair(web.rt, me, known_id(duplicate_id), "different")
    return back("/admin/duplicates", "pair_apart", " and ".join(keys))


@router.post("/admin/duplicates/{duplicate_id}/reopen", dependencies=[Act])
def reopen_pair(web: WebKit, me: Doer, duplicate_id: str) -> Response:
    """Ask again."""
    keys = operate.decide_pair(web.rt, me, known_id(duplicate_id), "open")
    return back("/admin/duplicates", "pair_open", " and ".join(keys))


@router.post("/admin/merges/{merge_id}/undo", dependencies=[Act])
def undo_merge(web: WebKit, me: Doer, merge_id: str) -> Response:
    """Take a merge back."""
    number = known_id(merge_id)
    operate.unmerge(web.rt, me, number)
    return back("/admin/merges", "merge_undone", f"Merge {number}")
