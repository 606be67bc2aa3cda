"""When failed work is tried again, and which failures are the same one.

A retry is a decision with a value: `retry_in` gives the wait, or `None` for "give up" (the dead letters).
The caller counts attempts and hands in the jitter; nothing here sleeps or looks at a clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from services.domain.errors import BroadsheetError, DeliveryError, LeaseLost, NotYet, RateLimited, UpstreamError

MAX_ASKED_WAIT = timedelta(hours=24)
"""A server that asks for a longer wait is asked again after this one."""
UNEXPECTED_ATTEMPTS = 3
"""Tries for errors that are not ours: a bug and passing trouble look alike, but a bug stays."""

_MAX_SIGNATURE = 200
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_HEX = re.compile(r"\b(?:0x[0-9a-f]+|(?=[a-f]*[0-9])[0-9a-f]{8,})\b", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!\w)(['\"`]).*?\1")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how far apart: waits grow from `first_wait` by `factor` up to `max_wait`.

    `attempts` counts the first try too. Raises `ValueError` for values that make no sense.
    """

    attempts: int = 8
    first_wait: timedelta = timedelta(minutes=1)
    max_wait: timedelta = timedelta(hours=6)
    factor: float = 2.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {self.attempts}")
        if not timedelta(0) < self.first_wait <= self.max_wait:
            raise ValueError(f"waits must be 0 < first <= max, not {self.first_wait} and {self.max_wait}")
        if self.factor < 1:
            raise ValueError(f"factor must be at least 1, not {self.factor}")

    def backoff(self, attempt: int) -> timedelta:
        """The longest wait after the attempt of this number, counted from 1."""
        # 2**64 minutes is past any max_wait; the bound keeps the power within a float.
        grown = self.first_wait.total_seconds() * self.factor ** min(attempt - 1, 64)
        return timedelta(seconds=min(grown, self.max_wait.total_seconds()))


def counts_as_attempt(error: BaseException) -> bool:
    """Whether this failure uses up one of the attempts. Being told to wait is no failure."""
    return not isinstance(error, (RateLimited, NotYet))


def retry_in(error: BaseException, *, attempt: int, policy: RetryPolicy, jitter: float) -> timedelta | None:
    """How long to wait before the next try, or `None` to give up.

    `attempt` is the number of the try that failed, from 1, those that do not count left out. `jitter` is a
    random number in [0, 1): the wait lies between half the back-off and all of it. What a server asked for is
    a minimum, up to 24 hours, with up to a tenth of it on top so that not everybody returns at once; when it
    is all that is wrong (`RateLimited`, `NotYet`) it is the wait.

        our passing errors      until the policy's attempts are used up
        RateLimited, NotYet     always; see `counts_as_attempt`
        our lasting errors      never
        LeaseLost               never: somebody else has the job
        anything else           up to 3 attempts
    """
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    if not 0 <= jitter < 1:
        raise ValueError(f"jitter must be in [0, 1), not {jitter}")
    if isinstance(error, LeaseLost):
        return None
    if isinstance(error, BroadsheetError):
        if not error.passing:
            return None
        allowed = policy.attempts
    else:
        allowed = min(policy.attempts, UNEXPECTED_ATTEMPTS)
    if attempt >= allowed and counts_as_attempt(error):
        return None
    wait = policy.backoff(attempt) * (0.5 + jitter / 2)
    asked = error.retry_after if isinstance(error, (UpstreamError, DeliveryError, NotYet)) else None
    if asked is None:
        return wait
    asked = min(asked, MAX_ASKED_WAIT)
    told = asked + asked * 0.1 * jitter
    return told if not counts_as_attempt(error) else max(wait, told)


def error_signature(error: BaseException) -> str:
    """A failure's type and message without what differs from one occurrence to the next.

    URLs, mail addresses, ids, quoted values and numbers become `<url>`, `<mail>`, `<id>`, `<value>`, `<n>`;
    only the first line counts; an HTTP status and a channel's code are kept. For grouping: the same text
    means the same trouble.
    """
    name = type(error).__name__
    if isinstance(error, UpstreamError) and error.status is not None:
        name = f"{name} {error.status}"
    elif isinstance(error, DeliveryError) and error.code:
        name = f"{name} {' '.join(error.code.split())[:40]}"
    text = str(error).strip().partition("\n")[0][:2_000]
    for pattern, name_of in (
        (_URL, "<url>"),
        (_MAIL, "<mail>"),
        (_UUID, "<id>"),
        (_QUOTED, "<value>"),
        (_HEX, "<id>"),
        (_NUMBER, "<n>"),
    ):
        text = pattern.sub(name_of, text)
    text = " ".join(text.split())
    return f"{name}: {text}"[:_MAX_SIGNATURE].rstrip() if text else name
