"""Enrich papers: scholarly services are asked about papers we hold, many at a time, and what they answer becomes a
statement of theirs.

Each service is off without the setting that lets us in, and has its own jobs, gate and schedule: one that is down
holds up nothing but itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from config.settings import Settings
from services.domain.errors import RateLimited, UpstreamRejected
from services.domain.jobs import Claim, NewJob
from services.domain.lookups import Access, LookupRequest, after_miss, agreed, next_lookup
from services.domain.papers import PaperData, ParsedFeed
from services.pipeline.parse import store
from services.pipeline.repo_jobs import enrich_jobs
from services.runtime import Runtime
from services.storage import lookups, rechecks
from services.storage.lookups import DueLookup
from services.upstreams.lookups import SERVICES, Service

log = structlog.get_logger(__name__)

LOOKED_BACK = timedelta(days=90)
"""Papers first seen longer ago are not asked about when a service is switched on."""
BATCHES_AT_ONCE = 4
"""Requests planned for one service at a time; the next ones are planned when these are done."""
TOO_MUCH = frozenset({400, 404, 413, 414, 422})
"""Refusals that may be one paper's fault: asked again in halves."""
QUIET = timedelta(minutes=5)
"""How long a service is left alone that says "too many" without saying for how long."""


@dataclass(frozen=True, slots=True)
class Enabled:
    """A service that is switched on, and what lets us in."""

    service: Service
    access: Access


def enabled(settings: Settings) -> dict[str, Enabled]:
    """The services that are switched on, by name."""
    contact = settings.catalogues_contact
    access: Mapping[str, Access | None] = {
        "semantic_scholar": _with_key(settings.semantic_scholar_url, settings.semantic_scholar_key.get_secret_value()),
        "openalex": _with_key(settings.openalex_url, settings.openalex_key.get_secret_value()),
        "crossref": Access(url=settings.crossref_url, contact=contact) if contact else None,
        "datacite": Access(url=settings.datacite_url, contact=contact) if contact else None,
        "openreview": _with_key(
            settings.openreview_url, settings.openreview_password.get_secret_value(), user=settings.openreview_user
        ),
    }
    return {name: Enabled(SERVICES[name], one) for name, one in access.items() if one is not None}


def _with_key(url: str, key: str, **more: str) -> Access | None:
    return Access(url=url, key=key, **more) if key and all(more.values()) else None


def due_jobs(session: Session, settings: Settings, due: datetime, *, now: datetime) -> list[NewJob]:
    """The jobs that ask each service about what is due; `due` is the slot, which makes their keys."""
    found: list[NewJob] = []
    for name, one in enabled(settings).items():
        if lookups.is_waiting(session, name):
            continue
        lookups.plan(session, name, one.service.schemes, now=now, since=now - LOOKED_BACK)
        ids = rechecks.list_due(session, now=now, source=name, limit=one.service.batch * BATCHES_AT_ONCE)
        found += [
            _job(name, f"due {due:%Y-%m-%dT%H:%MZ} {start}", ids[start : start + one.service.batch])
            for start in range(0, len(ids), one.service.batch)
        ]
    return found


def _job(name: str, key: str, check_ids: Sequence[int]) -> NewJob:
    return NewJob(
        kind="look_up_papers",
        key=f"{name} {key}",
        payload={"service": name, "check_ids": list(check_ids)},
        priority=6,
    )


def look_up_papers(rt: Runtime, claim: Claim) -> None:
    """Ask one service about many papers by one request: payload `service`, `check_ids`.

    A paper it does not know, or answers with another one for, is asked about again later. When it refuses the
    request as a whole, the papers are asked about in halves, down to the one at fault.
    """
    one = enabled(rt.settings).get(claim.payload["service"])
    if one is None:
        with rt.step(claim):
            log.info("lookups.switched_off", service=claim.payload["service"])
        return
    with rt.reading() as session:
        due = lookups.load(session, claim.payload["check_ids"], one.service.schemes, now=rt.now())
    rt.checkpoint("look_up_papers.asking")
    refused: UpstreamRejected | None = None
    answers: list[PaperData | None] = []
    if due:
        try:
            answers = _ask(rt, one, due)
        except UpstreamRejected as error:
            if error.status not in TOO_MUCH:
                raise
            refused = error
    rt.checkpoint("look_up_papers.answered")
    if refused is not None and len(due) > 1:
        with rt.step(claim) as step:
            half = (len(due) + 1) // 2
            for part in (due[:half], due[half:]):
                step.add([_job(one.service.name, f"half of {claim.job_id} {part[0].check_id}", _ids(part))])
        log.info("lookups.halved", service=one.service.name, asked=len(due), error=str(refused))
        return
    counted = {"found": 0, "unknown": 0, "another": 0, "changed": 0, "merged": 0}
    with rt.step(claim) as step:
        usable: list[PaperData] = []
        there = lookups.still_there(step.session, [each.paper_id for each in due])
        for each, answer in zip(due, answers or [None] * len(due), strict=True):
            said = agreed(each.paper, answer) if answer is not None else None
            outcome = "unknown" if answer is None else "another" if said is None else "found"
            counted[outcome] += 1
            _settle(step.session, each, outcome, answer, refused, now=step.now)
            if said is not None and each.paper_id in there:
                usable.append(said)
        rechecks.end_due(
            step.session, sorted(set(claim.payload["check_ids"]) - set(_ids(due))), now=step.now
        )  # fmt: skip
        stored, rejected = store(
            step.session, ParsedFeed(papers=tuple(usable)), feed=None, source=one.service.name, day=step.now.date(),
            now=step.now, read_on=step.now.date(),
        )  # fmt: skip
        for loss in rejected:
            log.warning("lookups.refused", service=one.service.name, title=loss.entry, why=loss.reason)
        counted |= {"changed": stored.changed, "merged": stored.merged}
        for name, other in enabled(rt.settings).items():
            # A name learned here (a DOI) may be the one another service knows the paper by.
            lookups.plan(step.session, name, other.service.schemes, now=step.now, paper_ids=stored.paper_ids)
        step.add(enrich_jobs(rt, step.session, stored.new_repo_ids, f"lookup {claim.job_id}"))
    log.info("lookups.done", service=one.service.name, asked=len(due), **counted)


def _ids(due: Sequence[DueLookup]) -> list[int]:
    return [each.check_id for each in due]


def _settle(
    session: Session,
    each: DueLookup,
    outcome: str,
    answer: PaperData | None,
    refused: UpstreamRejected | None,
    *,
    now: datetime,
) -> None:
    """Write down what became of one paper's lookup. Not to be known yet is no failure: it comes at the next age."""
    error = None
    if refused is not None:
        error = str(refused)[:500]
    elif outcome == "another" and answer is not None:
        error = f"answered with another paper: {answer.title[:300]}"
    rechecks.record(
        session, each.check_id, next_check_at=next_lookup(each.since_at, now), checked_at=now,
        misses=each.misses + 1 if error else 0, error=error,
    )  # fmt: skip


def _ask(rt: Runtime, one: Enabled, due: Sequence[DueLookup]) -> list[PaperData | None]:
    service, access = one.service, one.access
    asked = [each.paper for each in due]
    try:
        with rt.gate(service.name, service.interval_s):
            if service.login is not None:
                login, read_token = service.login
                access = replace(access, key=read_token(_send(rt, login(access))))
            body = _send(rt, service.request(asked, access))
    except RateLimited as error:
        if error.retry_after is None:
            rt.close_gate(service.name, QUIET)
        raise
    except UpstreamRejected as error:
        if error.status in (401, 403):
            raise UpstreamRejected(
                f"{service.title} does not let us in ({error.status}); check BROADSHEET_{_SETTING[service.name]}",
                url=error.url, status=error.status,
            ) from error  # fmt: skip
        raise
    return service.parse(body, asked)


_SETTING = {
    "semantic_scholar": "SEMANTIC_SCHOLAR_KEY", "openalex": "OPENALEX_KEY", "crossref": "CATALOGUES_CONTACT",
    "datacite": "CATALOGUES_CONTACT", "openreview": "OPENREVIEW_USER and _PASSWORD",
}  # fmt: skip


def _send(rt: Runtime, request: LookupRequest) -> bytes:
    if request.json is not None:
        return rt.http.post(request.url, json=request.json, headers=request.headers).body
    return rt.http.get(request.url, headers=request.headers).body


def lookup_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """Papers whose job is given up are asked about again later, so that none is forgotten."""
    if not final:
        return
    now = rt.now()
    one = SERVICES.get(claim.payload["service"])
    for each in lookups.load(session, claim.payload["check_ids"], one.schemes if one else (), now=now):
        misses = each.misses + 1
        rechecks.record(
            session, each.check_id, next_check_at=after_miss(each.since_at, now, misses), misses=misses,
            error=str(error)[:500],
        )  # fmt: skip
