"""Mail through the first of several servers that answers.

The next one is asked only while it is certain that none before has been given the message: not reached, or gone
before DATA. A server that may have taken it is from then on the only one that is asked, whatever its answer was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from services.channels import Progress, no_intent
from services.channels.email import NotReached, SmtpChannel
from services.domain.errors import DeliveryDeferred
from services.domain.messages import Message, Receipt

REST_S = 60.0
"""A server that did not answer is tried after the others for so long: each try costs its time-out."""

MAIL = "mail"
"""The one part of a mail."""


class SmtpServers:
    """Several servers, the preferred first; each keeps its own connections."""

    name = "email"

    def __init__(
        self, servers: Sequence[SmtpChannel], *, monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._servers = tuple(servers)
        self._clock = clock
        self._monotonic = monotonic
        self._rests_until = [float("-inf")] * len(self._servers)

    def send(self, message: Message, to: str, key: str, *, commit_intent: Callable[[], None] = no_intent) -> Receipt:
        """Send through the first that answers, for a caller that keeps no record of which."""
        return self._first(message, to, key, lambda _: commit_intent, only="")

    def send_parts(self, message: Message, to: str, key: str, progress: Progress) -> Receipt:
        """Send through the first that answers; see `channels.PartedChannel.send_parts`."""
        before = progress.parts.get(MAIL)
        if before is not None and before.receipt is not None:
            # Taken by a try that ended before it could say so.
            return Receipt(code="taken", detail=before.receipt, accepted_at=self._clock())
        receipt = self._first(
            message, to, key, lambda via: lambda: progress.intend(MAIL, via), only=before.via if before else ""
        )
        progress.taken(MAIL, receipt.detail)
        return receipt

    def close(self) -> None:
        """Drop this thread's connections."""
        for server in self._servers:
            server.close()

    def _first(
        self, message: Message, to: str, key: str, intent: Callable[[str], Callable[[], None]], *, only: str
    ) -> Receipt:
        failures: list[NotReached] = []
        for number in self._order():
            server = self._servers[number]
            if only and str(server) != only:
                continue
            try:
                receipt = server.send(message, to, key, commit_intent=intent(str(server)))
            except NotReached as error:
                self._rests_until[number] = self._monotonic() + REST_S
                failures.append(error)
                continue
            self._rests_until[number] = float("-inf")
            return receipt
        if not failures:
            raise DeliveryDeferred(
                f"{only} may have taken this mail before, and is no server of ours any more; set it again in "
                "BROADSHEET_SMTP_URL, or settle the delivery by hand"
            )
        raise DeliveryDeferred("; ".join(str(error) for error in failures), code=failures[-1].code)

    def _order(self) -> list[int]:
        now = self._monotonic()
        return sorted(range(len(self._servers)), key=lambda number: (self._rests_until[number] > now, number))
