"""`broadsheet runs …`: the ledger of work, its failures, and another try."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.commands.opening import me, opened
from workers.commands.options import Json, Limit, epilog
from workers.commands.output import Column, ago, coming, counted, emit_json, note, pairs, say, table, warn, when

if TYPE_CHECKING:
    from datetime import datetime

    from services.storage.reports import FailureGroup
    from services.storage.tables import Attempt, Job

app = typer.Typer(no_args_is_help=True, help="The ledger of work: what ran, what failed, and another try.")

DEFAULT_LIMIT = 30
STAGES = ("fetch", "parse", "enrich", "notify")


def stage_of(text: str) -> str:
    """A stage."""
    if text not in STAGES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(STAGES)}")
    return text


Stage = Annotated[
    str | None,
    typer.Option("--stage", parser=stage_of, metavar="|".join(STAGES), help="Only this stage.", show_default=False),
]


@app.command(
    "list", epilog=epilog("broadsheet runs list --failed", "broadsheet runs list --stage fetch --limit 100 --json")
)
def list_runs(
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those given up, and those that failed and wait for another try.")
    ] = False,
    stage: Stage = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show the newest runs (30; with --json all)."""
    from services.digests.words import moments, run_state
    from services.domain.jobs import STAGE_OF
    from services.pipeline.operate import A_MONTH
    from services.storage import reports, runs

    groups: list[FailureGroup] = []
    with opened() as rt, rt.reading() as session:
        now = rt.now()
        rows = runs.list_runs(session, failed=failed, stage=stage, limit=limit or (None if as_json else DEFAULT_LIMIT))
        if failed and not as_json:
            groups = reports.failure_groups(session, since=now - A_MONTH)
            groups = [g for g in groups if stage is None or stage in {STAGE_OF[kind] for kind in g.kinds}]
    if as_json:
        emit_json([run_json(job) for job in rows])
        return
    if not rows:
        say(
            ("Nothing fails now. What did in the last 30 days came right:" if groups else "Nothing has failed.")
            if failed
            else "Nothing has run yet. Start: broadsheet up   (or: broadsheet run --once)"
        )
        if groups:
            _causes(groups, now)
        return
    table(
        [
            Column("ID", right=True),
            "Kind",
            Column("What", fold=True),
            "State",
            Column("Tries", right=True, from_width=100 if failed else 80),
            Column("Due", from_width=110),
            Column("Last error", fold=True, from_width=0 if failed else 90),
        ],
        [
            (
                j.id,
                j.kind,
                moments(j.key),
                run_state(j.state),
                j.attempts,
                coming(j.due_at, now) if j.state == "ready" else ago(j.due_at, now),
                _short(j.last_error),
            )
            for j in rows
        ],
    )
    if failed:
        _causes(groups, now)
        if any(j.state == "dead" for j in rows):
            note("Another try: broadsheet runs retry ID…   (or of its whole cause: broadsheet runs redrive ID)")


def _short(text: str | None) -> str:
    from services.domain.redaction import redact

    line = redact(text or "").partition("\n")[0]
    return line if len(line) <= 160 else line[:159] + "…"


def _causes(groups: Sequence[FailureGroup], now: datetime) -> None:
    """Failures of one cause on one line: a hundred red rows are often one fact, and some are over."""
    table(
        [
            Column("Cause", fold=True),
            Column("Given up", right=True),
            Column("Trying", right=True),
            Column("Came right", right=True),
            Column("First", from_width=110),
            "Last",
        ],
        [
            (_short(g.signature), g.dead, g.trying, g.solved, ago(g.first_at, now), ago(g.last_at, now))
            for g in groups
        ],
    )  # fmt: skip


def run_json(job: Job) -> dict[str, Any]:
    """A run as scripts get it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "key": job.key,
        "stage": job.stage,
        "state": job.state,
        "attempts": job.attempts,
        "due_at": job.due_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "created_at": job.created_at,
        "last_error": job.last_error,
        "signature": job.signature,
        "cause": job.cause_id,
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker": attempt.worker,
        "started_at": attempt.started_at,
        "finished_at": attempt.finished_at,
        "outcome": attempt.outcome,
        "error": attempt.error,
        "traceback": attempt.traceback,
    }


@app.command("show", epilog=epilog("broadsheet runs show 42"))
def show_run(
    run: Annotated[int, typer.Argument(metavar="ID", help="A run, as `runs list` shows it.")], as_json: Json = False
) -> None:
    """Show one run: its tries, its errors, what led to it and what followed."""
    from services.digests.words import run_state
    from services.storage import jobs, runs

    with opened() as rt, rt.reading() as session:
        job = jobs.get(session, run)
        tries = jobs.attempts(session, run)
        following = runs.children(session, [run])
    if as_json:
        emit_json(
            run_json(job)
            | {
                "payload": job.payload,
                "tries": [_attempt_json(a) for a in tries],
                "followed_by": [j.id for j in following],
            }
        )
        return
    pairs(
        [
            ("Run", job.id), ("Kind", job.kind), ("What", job.key), ("Stage", job.stage),
            ("State", run_state(job.state)), ("Due", when(job.due_at)),
            ("Finished", job.finished_at and when(job.finished_at)), ("Caused by run", job.cause_id),
            ("Followed by runs", ", ".join(str(j.id) for j in following)),
        ]
    )  # fmt: skip
    if tries:
        table(
            [
                Column("Try", right=True),
                "Began",
                "Outcome",
                Column("Worker", from_width=110),
                Column("Error", fold=True),
            ],
            [(a.number, when(a.started_at), run_state(a.outcome), a.worker, _short(a.error)) for a in tries],
        )
        trace = next((a.traceback for a in reversed(tries) if a.traceback), None)
        if trace:
            from services.domain.redaction import redact

            say(redact(trace), style="dim")


@app.command("bundle", epilog=epilog("broadsheet runs bundle 42", "broadsheet runs bundle 42 --to /tmp"))
def bundle_run(
    run: Annotated[int, typer.Argument(metavar="ID", help="A run, as `runs list` shows it.")],
    folder: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="Where to put the file.", file_okay=False, exists=True)
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Pack all that is known of a run into a ZIP file without secrets, to show to whoever looks into it."""
    from services.pipeline.acts import noting
    from services.pipeline.bundle import bundle_name, make_bundle

    path = folder / bundle_name(run)
    with opened() as rt, noting(rt, me(), "run.bundle", run):
        path.write_bytes(make_bundle(rt, run))
    if as_json:
        emit_json({"run": run, "file": str(path), "bytes": path.stat().st_size})
        return
    say(path)
    note("Passwords, tokens and mail addresses are blotted out; look through it before you pass it on all the same.")


@app.command("retry", epilog=epilog("broadsheet runs retry 42 43", "broadsheet runs retry --all-failed --dry-run"))
def retry_runs(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", help="Runs, as `runs list` shows them.", show_default=False)
    ] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Every run that failed or was given up.")] = False,
    stage: Stage = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be tried again, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Give failed runs another set of tries, one a second. It is safe: what is done already is not done twice."""
    from services.pipeline import redrive
    from services.pipeline.transfer import alive
    from services.storage import runs

    if bool(ids) == all_failed:
        raise typer.BadParameter("give the runs to try again, or --all-failed", param_hint="ID")
    retried: list[int] = []
    refused: list[dict[str, Any]] = []
    with opened() as rt:
        with rt.reading() as session:
            rows = {j.id: j for j in runs.list_runs(session, failed=True, stage=stage) if j.id is not None}
            for run in dict.fromkeys(ids or sorted(rows)):
                job = rows.get(run)
                if job is not None and job.state in {"dead", "ready"}:
                    retried.append(run)
                else:
                    refused.append({"id": run, "reason": _why_not(session, run)})
        if retried and not dry_run:
            retried = redrive.retry(rt, me(), *retried)
        served = bool(alive(rt))
    if as_json:
        emit_json({"retried": retried, "refused": refused, "dry_run": dry_run})
    else:
        would = "would be " if dry_run else ""
        if retried:
            apart = ", one a second" if len(retried) > 1 else ""
            say(f"{counted(len(retried), 'run')} {would}tried again{apart}: {', '.join(map(str, retried))}")
        elif all_failed:
            say("Nothing has failed.")
        for one in refused:
            warn(f"Run {one['id']} is not tried again: {one['reason']}")
        if retried and not dry_run and not served:
            patience = f" --patience {len(retried)}" if len(retried) > 1 else ""
            note(f"No service is running; `broadsheet run --once{patience}` does them now.")
    if refused and not all_failed:
        raise typer.Exit(1)


@app.command(
    "redrive",
    epilog=epilog(
        "broadsheet runs redrive 'UpstreamRejected 404: gone'",
        "broadsheet runs redrive 42 --one",
        "broadsheet runs redrive 'UpstreamRejected 404: gone' --rest --proof 42",
    ),
)
def redrive_runs(
    cause: Annotated[
        str,
        typer.Argument(metavar="CAUSE", help="A cause, as `runs list --failed` shows it, or a run given up for it."),
    ],
    one: Annotated[bool, typer.Option("--one", help="Try the oldest again.")] = False,
    rest: Annotated[bool, typer.Option("--rest", help="Try all that are left, one a second.")] = False,
    proof: Annotated[
        int | None,
        typer.Option("--proof", metavar="ID", help="With --rest: the run that --one tried, come right since."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --rest: without a proof.")] = False,
    as_json: Json = False,
) -> None:
    """Try what was given up for one cause again: count it, then one of it, then the rest. The first that fails of the
    same cause again stops the others."""
    from services.pipeline import redrive
    from services.storage import jobs

    number = int(cause) if cause.isdecimal() and len(cause) < 16 else None
    if one and rest:
        raise typer.BadParameter("give one of them", param_hint="--one, --rest")
    if (force or proof is not None) and not rest:
        raise typer.BadParameter("goes with --rest", param_hint="--proof, --force")
    step = "one" if one else "rest" if rest else "dry_run"
    with opened() as rt:
        if number is not None:
            with rt.reading() as session:
                run = jobs.find(session, number)
                cause = (run.signature if run else None) or cause
        done = redrive.redrive(rt, me(), cause, step, proof=proof, force=force)
    if as_json:
        emit_json({"cause": cause, "step": step, "given_up": done.dead, "retried": done.retried})
        return
    if step == "dry_run":
        say(f"{counted(len(done.dead), 'run')} given up for that cause. Try one: --one")
    elif step == "one":
        say(f"Run {done.retried[0]} is tried again. When it has come right: --rest --proof {done.retried[0]}")
    else:
        say(f"{counted(len(done.retried), 'run')} tried again, one a second")


StageName = Annotated[str, typer.Argument(metavar="STAGE", parser=stage_of, help=f"One of {', '.join(STAGES)}.")]


@app.command("pause", epilog=epilog("broadsheet runs pause fetch"))
def pause_stage(stage: StageName, as_json: Json = False) -> None:
    """Let a whole stage rest: what runs is finished, what is due waits, until `runs resume`."""
    from services.pipeline import operate

    with opened() as rt:
        done = operate.pause_stage(rt, me(), stage)
    if as_json:
        emit_json({"stage": stage, "paused": True, "changed": done})
        return
    say(f"{stage} is paused. Let it go on: broadsheet runs resume {stage}" if done else f"{stage} was paused already.")


@app.command("resume", epilog=epilog("broadsheet runs resume fetch"))
def resume_stage(stage: StageName, as_json: Json = False) -> None:
    """Let a stage go on that was paused; what waited is taken within seconds."""
    from services.pipeline import operate

    with opened() as rt:
        done = operate.resume_stage(rt, me(), stage)
    if as_json:
        emit_json({"stage": stage, "paused": False, "changed": done})
        return
    say(f"{stage} goes on." if done else f"{stage} was not paused.")


def _why_not(session: Any, run: int) -> str:
    from services.domain.errors import NotFound
    from services.storage import jobs

    try:
        job = jobs.get(session, run)
    except NotFound:
        return "there is no such run"
    return {
        "done": "it is done",
        "running": "it is running now",
        "ready": "it has not failed; it is due at " + when(job.due_at),
    }.get(job.state, "it is not of that stage")
