"""Jobs that read repositories: those just found, and those that have become due again, as the allowance permits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from services.domain.jobs import NewJob
from services.pipeline.repo_readers import Reader, reader_of
from services.runtime import Runtime
from services.storage import jobs, quotas, repos

MOST_AT_ONCE = 2_500
"""Repositories of one host that one tick takes up."""
FILLING = timedelta(hours=1)
"""How long those that do not fill a call wait for others to go with."""


def enrich_jobs(rt: Runtime, session: Session, repo_ids: Sequence[int], reason: str) -> list[NewJob]:
    """Jobs that read these repositories, each a batch of one host; `reason` makes their keys.

    Of hosts that nobody knows how to ask there is none.
    """
    if not repo_ids:
        return []
    found: list[NewJob] = []
    for host, ids in repos.hosts_of(session, repo_ids).items():
        reader = reader_of(rt, host)
        found += _batches(host, ids, reader, reason) if reader else []
    return found


def due_jobs(rt: Runtime, session: Session, *, slot: datetime, now: datetime) -> list[NewJob]:
    """Jobs for the repositories that want reading again.

    A host whose last ones wait still gets no more of them, and none gets more than its allowance has room for:
    what is due stays due, and nothing is asked for twice.
    """
    found: list[NewJob] = []
    for host in repos.due_hosts(session, now=now):
        reader = reader_of(rt, host)
        if reader is None or jobs.any_open(session, kind="enrich_repos", key_begins=f"{host} due "):
            continue
        left = quotas.calls_left(session, reader.quota, share=rt.settings.quota_share, now=now)
        room = MOST_AT_ONCE if left is None else min(left * reader.per_call, MOST_AT_ONCE)
        ids = repos.list_due(session, now=now, host=host, limit=room)
        whole = len(ids) - len(ids) % reader.per_call
        if whole < len(ids) and len(repos.list_due(session, now=now - FILLING, host=host, limit=room)) <= whole:
            ids = ids[:whole]
        found += _batches(host, ids, reader, f"due {slot:%Y-%m-%dT%H:%MZ}")
    return found


def _batches(host: str, ids: Sequence[int], reader: Reader, reason: str) -> list[NewJob]:
    return [
        NewJob(
            kind="enrich_repos",
            key=f"{host} {reason} {start}",
            payload={"repo_ids": list(ids[start : start + reader.batch])},
        )
        for start in range(0, len(ids), reader.batch)
    ]
