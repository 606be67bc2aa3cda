"""Admin, runs: the ledger of work, one run in full, failures of one cause, and trying again, guarded."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from services.domain.errors import NotFound
from services.domain.jobs import STAGE_OF, STAGES, STATES
from services.domain.text import clean
from services.pipeline import acts, redrive
from services.pipeline.bundle import bundle_name, make_bundle
from services.storage import jobs, reports, runs_about
from workers.web.admin import PER_PAGE, back, desk, id_of, known_id, more_after
from workers.web.auth import Act, Doer, Known, guarded
from workers.web.kit import WebKit

router = guarded(include_in_schema=False)


@router.get("/admin/runs")
def run_list(
    request: Request, web: WebKit, who: Known, state: str = "", stage: str = "", kind: str = "", text: str = "",
    feed: str = "", reader: str = "", paper: str = "", before: str = "",
) -> Response:  # fmt: skip
    """The ledger of work, filtered. Whoever may not see addresses finds no reader, and no run, by one."""
    chosen = {
        "state": state if state in STATES else "", "stage": stage if stage in STAGES else "",
        "kind": kind if kind in STAGE_OF else "", "text": clean(text, limit=200),
    }  # fmt: skip
    given = {"feed": feed, "reader": reader, "paper": paper}
    about = {name: clean(value, limit=200).strip() for name, value in given.items()}
    if not who.actor.may("operator") and not about["reader"].isdecimal():
        about["reader"] = ""
    with web.rt.reading() as rows:
        of = {"feed": runs_about.of_feed, "reader": runs_about.of_reader, "paper": runs_about.of_paper}
        found = reports.runs(
            rows, **chosen, in_texts=who.actor.may("operator"),
            about=[of[name](rows, value) for name, value in about.items() if value],
            before=id_of(before), limit=PER_PAGE + 1,
        )  # fmt: skip
        queues = reports.queues(rows, web.rt.now())
    counts = {
        "dead": sum(queue.dead for queue in queues), "ready": sum(queue.due + queue.later for queue in queues),
        "running": sum(queue.running for queue in queues),
    }  # fmt: skip
    more = more_after(found, lambda row: row.id)
    kept = urlencode({name: value for name, value in {**chosen, **about}.items() if value})
    return desk(
        request, web, "runs.html", who, runs=found[:PER_PAGE], chosen=chosen, about=about, states=STATES, stages=STAGES,
        kinds=sorted(STAGE_OF), counts=counts, first=not before,
        more=f"/admin/runs?{kept}{'&' if kept else ''}before={more}" if more else "",
        here=f"/admin/runs?{kept}" + (f"&before={id_of(before)}" if id_of(before) else ""),
    )  # fmt: skip


@router.get("/admin/runs/{run_id}")
def run_page(request: Request, web: WebKit, who: Known, run_id: str) -> Response:
    """One run: its tries, its arguments, what led to it and what followed."""
    with web.rt.reading() as rows:
        job = jobs.get(rows, known_id(run_id))
        return desk(
            request, web, "run.html", who, job=job, tries=jobs.attempts(rows, job.id or 0),
            causes=reports.causes(rows, job), effects=reports.effects(rows, job.id or 0),
            fetch=reports.fetch_of(rows, job),
        )  # fmt: skip


@router.get("/admin/runs/{run_id}/bundle")
def run_bundle(web: WebKit, me: Doer, run_id: str) -> Response:
    """All that is known of one run, as a ZIP file without secrets."""
    number = known_id(run_id)
    with acts.noting(web.rt, me, "run.bundle", number):
        packed = make_bundle(web.rt, number)
    return Response(
        packed, media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{bundle_name(number)}"', "Cache-Control": "no-store"},
    )  # fmt: skip


@router.post("/admin/runs/{run_id}/retry", dependencies=[Act])
def retry_run(web: WebKit, me: Doer, run_id: str) -> Response:
    """Give one finished or given-up run a fresh set of tries."""
    number = known_id(run_id)
    retried = redrive.retry(web.rt, me, number)
    return back(f"/admin/runs/{number}", "retrying" if retried else "nothing", f"Run {number}")


# -- failures of one cause -------------------------------------------------------------------------------------


@router.get("/admin/failures")
def failure_page(
    request: Request, web: WebKit, who: Known, signature: str = "", proof: str = "", moved: str = ""
) -> Response:
    """One cause: what would be tried again, the one that was tried first, and how that went."""
    tried, signature = id_of(proof), clean(signature, limit=1000)
    with web.rt.reading() as rows:
        found = reports.runs_of_cause(rows, signature, limit=PER_PAGE)
        first = jobs.find(rows, tried) if tried is not None else None
        if not found and first is None:
            raise NotFound("nothing failed for that cause of late; the page for operators names what does")
        return desk(
            request, web, "failure.html", who, signature=signature, runs=found, proof=first,
            dead=len(reports.dead_ids(rows, signature)), moved=id_of(moved), apart=redrive.APART,
            tries=jobs.attempts(rows, (first or found[0]).id or 0),
        )  # fmt: skip


@router.post("/admin/failures/redrive", dependencies=[Act])
def redrive_cause(
    web: WebKit, me: Doer, signature: Annotated[str, Form(max_length=1000)] = "",
    step: Annotated[str, Form(max_length=10)] = "one", proof: Annotated[str, Form(max_length=20)] = "",
    force: Annotated[str, Form(max_length=5)] = "",
) -> Response:  # fmt: skip
    """Try the oldest of a cause again, or (`step` rest) all that are left, once that one has come right."""
    done = redrive.redrive(web.rt, me, clean(signature, limit=1000), step, proof=id_of(proof), force=force == "yes")
    kept = {"signature": signature, "proof": done.retried[0] if step == "one" else proof, "moved": len(done.retried)}
    to = f"/admin/failures?{urlencode({name: value for name, value in kept.items() if value})}"
    return RedirectResponse(to, 303, {"Cache-Control": "no-store"})
