"""How a message leaves: one `send(message, to, key)` per channel, and three ways in which it can fail.

A channel knows nothing of editions or rows. It says what happened and no more: a Receipt when the other
side took the message, DeliveryDeferred when it certainly did not and may later, DeliveryRefused when it
never will, DeliveryUnknown when nobody can say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from services.domain.deliveries import Part
from services.domain.messages import Message, Receipt


def no_intent() -> None:
    """The `commit_intent` of a caller that keeps no record."""


class Channel(Protocol):
    """A way out."""

    @property
    def name(self) -> str:
        """The channel's name in addresses and rows: `email`, `slack`, `webhook`, `outbox`."""
        ...

    def send(self, message: Message, to: str, key: str, *, commit_intent: Callable[[], None] = no_intent) -> Receipt:
        """Send `message` to the one target `to`; `key` is the delivery's own, the same on every attempt.

        `commit_intent` is called once, right before the step that cannot be taken back; what it raises comes
        out of `send`, and then nothing was sent.
        """
        ...


class Progress(Protocol):
    """What one delivery has done so far, kept over all its tries."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """The parts that have been begun, by name."""
        ...

    def intend(self, part: str, via: str = "") -> None:
        """Commit that `part` is about to leave (through `via`): right before the step that cannot be taken back."""
        ...

    def taken(self, part: str, receipt: str) -> None:
        """Commit that the other side took `part`, in its words."""
        ...


@runtime_checkable
class PartedChannel(Protocol):
    """A way out that has to know what earlier tries did: a message of several parts, or one of several servers."""

    def send_parts(self, message: Message, to: str, key: str, progress: Progress) -> Receipt:
        """As `Channel.send`, going on from where `progress` says an earlier try ended."""
        ...


class HttpAnswer(Protocol):
    """What came back from a POST."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def body(self) -> bytes:
        """The decoded body."""
        ...


class HttpPoster(Protocol):
    """The one thing the webhook channels need of an HTTP client.

    It raises the UpstreamError family: RateLimited, UpstreamUnavailable, UpstreamRejected.
    """

    def post(
        self,
        url: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """POST `json`, or `content` as it is, to `url`."""
        ...
