"""What goes wrong in the replay, when and for how long: by script, and thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from workers.demo.exchange import Answer


@dataclass(slots=True, kw_only=True)
class _Rule:
    prefix: str
    left: int | None
    """How many more requests it meets; `None`: until healed."""
    answer: Answer | None = None
    drop: bool = False
    truncate: bool = False
    hang_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What one request meets: a wait, then an answer in place of the true one, or a broken connection."""

    hang_s: float = 0.0
    answer: Answer | None = None
    drop: bool = False
    truncate: bool = False


class Faults:
    """The faults in force. A prefix matches a request's path with its query string."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    def fail_next(self, prefix: str, status: int, times: int, headers: Mapping[str, str], body: bytes) -> None:
        """The next `times` requests are answered with this status."""
        answer = Answer(status=status, body=body, headers=dict(headers))
        self._add(_Rule(prefix=prefix, left=times, answer=answer))

    def drop_next(self, prefix: str, times: int) -> None:
        """The next `times` requests lose their connection before any answer."""
        self._add(_Rule(prefix=prefix, left=times, drop=True))

    def truncate_next(self, prefix: str, times: int) -> None:
        """The next `times` answers break off half-way through their body."""
        self._add(_Rule(prefix=prefix, left=times, truncate=True))

    def down(self, prefix: str, status: int) -> None:
        """Every request is answered with this status until `heal`."""
        answer = Answer(status=status, body=b"Service Unavailable", headers={"Content-Type": "text/plain"})
        self._add(_Rule(prefix=prefix, left=None, answer=answer), first=True)

    def hang(self, prefix: str, seconds: float) -> None:
        """Every request waits this long before its answer, until `heal`."""
        self._add(_Rule(prefix=prefix, left=None, hang_s=seconds))

    def heal(self, prefix: str) -> None:
        """Every fault under this prefix ends."""
        with self._lock:
            self._rules = [rule for rule in self._rules if not rule.prefix.startswith(prefix)]

    def meet(self, target: str) -> Trouble:
        """What a request to this target meets now; counted rules are used up by it.

        A wait goes together with any other fault; of the others the first in force wins.
        """
        with self._lock:
            hang_s, chosen = 0.0, None
            for rule in self._rules:
                if not target.startswith(rule.prefix):
                    continue
                if rule.hang_s:
                    hang_s = max(hang_s, rule.hang_s)
                elif chosen is None:
                    chosen = rule
            if chosen is None:
                return Trouble(hang_s=hang_s)
            if chosen.left is not None:
                chosen.left -= 1
                if chosen.left <= 0:
                    self._rules.remove(chosen)
            return Trouble(hang_s=hang_s, answer=chosen.answer, drop=chosen.drop, truncate=chosen.truncate)

    def _add(self, rule: _Rule, *, first: bool = False) -> None:
        with self._lock:
            if rule.left is None or rule.left > 0:
                self._rules.insert(0 if first else len(self._rules), rule)
