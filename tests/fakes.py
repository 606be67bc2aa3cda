"""Stand-ins with verbs: a clock that stands still until told, a channel that does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from services.channels import no_intent
from services.domain.errors import DeliveryDeferred, DeliveryRefused, DeliveryUnknown
from services.domain.messages import Message, Receipt

WEDNESDAY = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
"""The moment most tests begin at: a weekday with weekdays before it."""


class Clock:
    """A clock for `Runtime.clock` and `Runtime.sleep`: who sleeps, moves it."""

    def __init__(self, start: datetime = WEDNESDAY) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The present moment."""
        return self._now

    def advance(self, *, to: datetime | None = None, **delta: float) -> datetime:
        """Move on by a timedelta's keywords, or to a moment."""
        with self._lock:
            self._now = to if to is not None else self._now + timedelta(**delta)
            return self._now

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.advance(seconds=max(seconds, 0))

    @property
    def today(self) -> date:
        """The day in UTC."""
        return self._now.date()


class Crash(BaseException):
    """The process ends here, as far as the code under test can tell."""


class ScriptedChannel:
    """A channel that keeps what it sends; `next(…)` says what happens to the next messages.

    `accept`; `defer`, `refuse`: before the hand-over; `unknown`: after it; `crash before`, `crash after`: the
    process ends before or after the intent is committed; `crash sent`: after the message has left.
    """

    name = "email"

    def __init__(self) -> None:
        self.sent: list[tuple[Message, str, str]] = []
        self.seen: list[Message] = []
        self._script: list[str] = []

    def next(self, *what: str) -> None:
        """What happens to the next messages, one each; afterwards all are accepted."""
        self._script += what

    def send(self, message: Message, to: str, key: str, *, commit_intent: Callable[[], None] = no_intent) -> Receipt:
        """See `channels.Channel.send`."""
        act = self._script.pop(0) if self._script else "accept"
        self.seen.append(message)
        if act == "defer":
            raise DeliveryDeferred("451 4.7.1 greylisted", code="451 4.7.1")
        if act == "refuse":
            raise DeliveryRefused("550 5.1.1 no such user", code="550 5.1.1")
        if act == "crash before":
            raise Crash
        commit_intent()
        if act == "crash after":
            raise Crash
        self.sent.append((message, to, key))
        if act == "crash sent":
            raise Crash
        if act == "unknown":
            raise DeliveryUnknown("the connection was lost before the answer")
        return Receipt(code="250 2.0.0", detail="scripted", accepted_at=WEDNESDAY)

    def close(self) -> None:
        """Nothing is held."""
