"""Acts: what a person or a program does to the service, and its line in the audit, in one transaction.

Nobody writes an act without its line: whoever opens `acting` gets the session to do it with. An act that fails leaves
nothing but a line that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlmodel import Session

from services.domain.errors import BroadsheetError
from services.domain.jobs import Hint
from services.domain.redaction import redact
from services.domain.users import Actor
from services.runtime import Runtime
from services.storage import audit

LONGEST = 400
"""Characters of one value in a line of the audit."""

_SECRET = re.compile(r"(?i)pass(word)?|secret|token|key|authorization|cookie|csrf")


@dataclass(slots=True)
class Summary:
    """What an act changed: filled in while it is done."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    hints: list[Hint] = field(default_factory=list)
    """Jobs that became due by it; told of after the commit."""


@contextmanager
def acting(rt: Runtime, actor: Actor, act: str, subject: object) -> Iterator[tuple[Session, Summary]]:
    """Do something in a transaction that holds its line of the audit, too."""
    said = Summary()
    try:
        with rt.writing() as session:
            yield session, said
            _record(session, rt, actor, act, subject, said)
    except BroadsheetError as error:
        note(rt, actor, act, subject, outcome="failed", detail=str(error))
        raise
    rt.publish(said.hints)


@contextmanager
def noting(rt: Runtime, actor: Actor, act: str, subject: object) -> Iterator[Summary]:
    """As `acting`, around something that has transactions of its own: the line follows it."""
    said = Summary()
    try:
        yield said
    except BroadsheetError as error:
        note(rt, actor, act, subject, outcome="failed", detail=str(error))
        raise
    with rt.writing() as session:
        _record(session, rt, actor, act, subject, said)
    rt.publish(said.hints)


def note(
    rt: Runtime, actor: Actor, act: str, subject: object, *, outcome: str = "done", detail: str = "",
    after: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """A line of the audit by itself: a login, something denied, something that failed."""
    with rt.writing() as session:
        _record(session, rt, actor, act, subject, Summary(after=dict(after or {})), outcome=outcome, detail=detail)


def _record(
    session: Session, rt: Runtime, actor: Actor, act: str, subject: object, said: Summary, *, outcome: str = "done",
    detail: str = "",
) -> None:  # fmt: skip
    hidden = rt.settings.secret_values()
    audit.record(
        session, actor, act, redact(str(subject), hidden), now=rt.now(), before=_clean(said.before, hidden),
        after=_clean(said.after, hidden), outcome=outcome, detail=redact(detail, hidden),
    )  # fmt: skip


def _clean(values: Mapping[str, Any], hidden: list[str]) -> dict[str, Any]:
    """What of a summary may be kept: plain values, secrets blotted out."""
    return {
        name: "***" if value and _SECRET.fullmatch(name) else _plain(value, hidden) for name, value in values.items()
    }


def _plain(value: Any, hidden: list[str]) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return _clean({str(k): v for k, v in value.items()}, hidden)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, hidden) for item in list(value)[:50]]
    return redact(str(value), hidden)[:LONGEST]
