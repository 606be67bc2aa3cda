"""What can go wrong, as one tree.

    BroadsheetError
    ├── NotFound              no such feed, paper, subscription, job …
    ├── InvalidInput          what a person gave us cannot be used; says why and what to do
    ├── LeaseLost             another worker owns the job now: nothing was written
    ├── NotYet                something it needs is still under way: passing, and no failure
    ├── UpstreamError         a service we read
    │   ├── UpstreamUnavailable   passing: connection trouble, 5xx, time out
    │   ├── RateLimited           passing: they said when to come back
    │   ├── UpstreamRejected      lasting: 4xx, gone, forbidden
    │   └── MalformedDocument     lasting: bytes that are not what the kind promises
    └── DeliveryError         a channel we send by
        ├── DeliveryDeferred      passing: try again later
        ├── DeliveryRefused       lasting: this address or message will not be taken
        └── DeliveryUnknown       nobody can say whether the message left

`passing` errors are tried again by their job; `lasting` ones go to the dead letters at once.
Every class is built from plain arguments and survives pickling, since Celery carries errors
between processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar


class BroadsheetError(Exception):
    """The root of everything we raise. `passing` says whether trying again later can help."""

    passing: ClassVar[bool] = False


class NotFound(BroadsheetError):
    """There is no such thing; the message names it and where to look."""


class InvalidInput(BroadsheetError):
    """What was given cannot be used; the message says why and what would work."""


class LeaseLost(BroadsheetError):
    """The job's fencing token no longer matches: another worker took over, nothing was committed."""


class NotYet(BroadsheetError):
    """What this work needs is still under way; look again after `retry_after`."""

    passing = True

    def __init__(self, message: str, retry_after: timedelta) -> None:
        super().__init__(message, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class UpstreamError(BroadsheetError):
    """A service we read failed.

    `status` is the HTTP status when there was one, `retry_after` how long they asked us to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str = "",
        status: int | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.url = url
        self.status = status
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_upstream, (type(self), str(self), self.url, self.status, self.retry_after))


def _rebuild_upstream(
    cls: type[UpstreamError],
    message: str,
    url: str,
    status: int | None,
    retry_after: timedelta | None,
) -> UpstreamError:
    return cls(message, url=url, status=status, retry_after=retry_after)


class UpstreamUnavailable(UpstreamError):
    """Connection refused or lost, a time-out, or a 5xx: passing."""

    passing = True


class RateLimited(UpstreamError):
    """429, or 403 with a spent quota: passing, and no fault of theirs or ours."""

    passing = True


class UpstreamRejected(UpstreamError):
    """A 4xx, a refused address, a redirect loop, a body over the cap: asking again will not help."""


class MalformedDocument(UpstreamError):
    """The bytes are not what the feed's kind promises; the message says what was found instead."""


class DeliveryError(BroadsheetError):
    """A channel could not deliver. `code` is the channel's own code (SMTP `550 5.1.1`, Slack `no_service`)."""

    def __init__(self, message: str, *, code: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_delivery, (type(self), str(self), self.code, self.retry_after))


def _rebuild_delivery(
    cls: type[DeliveryError], message: str, code: str, retry_after: timedelta | None
) -> DeliveryError:
    return cls(message, code=code, retry_after=retry_after)


class DeliveryDeferred(DeliveryError):
    """SMTP 4xx before acceptance, a webhook's 429 or 5xx, no connection: certainly not delivered, try later."""

    passing = True


class DeliveryRefused(DeliveryError):
    """SMTP 5xx, a revoked webhook, an invalid address: certainly not delivered, and never will be."""


class DeliveryUnknown(DeliveryError):
    """The connection died after the message was handed over and before the answer: it may have arrived."""


def there_are(name: str, known: Sequence[str]) -> str:
    """What comes before the list of those that are `known`, where none has a name: `did you mean email? There are`."""
    from difflib import get_close_matches  # here: this module is loaded with everything

    near = get_close_matches(name.lower(), known, n=1)
    return f"did you mean {near[0]}? There are" if near else "there are"
