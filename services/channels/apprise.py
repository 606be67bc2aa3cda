"""Some hundred other services, through the Apprise library: Discord, Telegram, Teams, ntfy, Matrix, Gotify …

An Apprise URL holds the service's secrets: it appears in no message of ours, and what the library logs is kept from
the log. The library is an extra; without it everything else works.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from services.channels import no_intent
from services.domain.errors import DeliveryDeferred, DeliveryRefused, DeliveryUnknown, UpstreamError, UpstreamRejected
from services.domain.messages import Message, Receipt
from services.domain.text import excerpt

LONGEST = 32_000
"""Characters, where a service sets no limit."""

_LOCAL = frozenset({"dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows", "file"})
"""Services that are this machine's own: a digest is for somebody elsewhere."""
_STATUS = re.compile(r"error=(\d{3})\b")
_NOT_REACHED = re.compile(
    r"Connection refused|ConnectTimeout|NewConnectionError|NameResolutionError|Failed to establish|getaddrinfo"
)
_AGAIN = frozenset({408, 425, 429})


class AppriseChannel:
    """Sends a message's short form to the Apprise URL given as `to`.

    `check_host` raises for a host that may not be called, whatever name it goes by. The library looks the name up once
    more to call it: against a name whose answer changes in between, only a network that lets nothing private through
    helps.
    """

    name = "apprise"

    def __init__(
        self, check_host: Callable[[str, int], None], *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._check_host = check_host
        self._clock = clock

    def send(
        self,
        message: Message,
        to: str,
        key: str,  # noqa: ARG002  (a channel's signature)
        *,
        commit_intent: Callable[[], None] = no_intent,
    ) -> Receipt:
        """Send; see `channels.Channel.send`. The library says whether it worked, and no more."""
        library = _library()
        scheme = to.partition(":")[0].lower()
        where = f"{scheme} (by Apprise)"
        self._check(scheme, to)
        with _listening():
            service = library.Apprise.instantiate(to, suppress_exceptions=True)
        if service is None:
            raise DeliveryRefused(f"{where}: the address is none that Apprise {library.__version__} can read")
        # One try is one message: who tries again is our job, with its record.
        service.retry = 0
        title = excerpt(message.subject, service.title_maxlen) if service.title_maxlen else ""
        room = min(service.body_maxlen or LONGEST, LONGEST) - (0 if title else len(message.subject) + 2)
        body = fitting(message, room if _takes_text(service, library) else room * 3 // 4)
        commit_intent()
        with _listening() as heard:
            try:
                taken = service.notify(
                    body=body if title else f"{message.subject}\n\n{body}", title=title,
                    body_format=library.NotifyFormat.TEXT,
                )  # fmt: skip
            except Exception as error:  # a plugin's own bug, or its service's odd answer
                raise DeliveryUnknown(f"{where}: {type(error).__name__} in Apprise") from None
        if taken:
            return Receipt(code="ok", detail=where, accepted_at=self._clock())
        raise _failure(where, heard.text)

    def _check(self, scheme: str, to: str) -> None:
        if scheme in _LOCAL:
            raise DeliveryRefused(f"{scheme}:// is this machine itself; choose a service elsewhere")
        try:
            parts = urlsplit(to)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return  # tokens where a host would stand
        if not host:
            return
        try:
            self._check_host(host, port or 443)
        except UpstreamRejected:  # its words name the host, which may be the secret
            raise DeliveryRefused(
                f"{scheme}: a private address; list it in BROADSHEET_ALLOWED_PRIVATE_HOSTS if that is meant"
            ) from None
        except UpstreamError:
            raise DeliveryDeferred(f"{scheme}: its host cannot be looked up just now") from None


def _takes_text(service: Any, library: ModuleType) -> bool:
    """Whether text goes out as it is; as HTML it grows by what has to be escaped."""
    formats = service.notify_format if isinstance(service.notify_format, tuple) else (service.notify_format,)
    return library.NotifyFormat.TEXT in formats


def fitting(message: Message, room: int) -> str:
    """As much of a message's short form as `room` characters hold: the head, whole papers from the first, the foot."""
    if len(message.short) < 2:
        return excerpt(message.text, room)
    head, *papers, foot = message.short
    blocks, left = [head], room - len(head) - len(foot) - len(more(len(papers))) - 6
    for paper in papers:
        left -= len(paper) + 2
        if left < 0:
            blocks.append(more(len(papers) - len(blocks) + 1))
            break
        blocks.append(paper)
    whole = "\n\n".join([*blocks, foot])
    return whole if len(whole) <= room else excerpt(head, room)


def more(papers: int) -> str:
    """What stands for papers that had no room."""
    return f"… and {papers} more"


def _library() -> ModuleType:
    try:
        import apprise
    except ImportError as error:
        raise DeliveryDeferred(
            "Apprise is not installed; install it beside Broadsheet: pip install 'broadsheet[apprise]'",
            code="no_apprise",
        ) from error
    module: ModuleType = apprise
    return module


def _failure(where: str, heard: str) -> DeliveryDeferred | DeliveryRefused | DeliveryUnknown:
    """What the library's own log says of a failure; only its figures are repeated."""
    found = _STATUS.search(heard)
    if found is not None:
        status = int(found[1])
        said = f"{where} answered {status}"
        if status >= 500 or status in _AGAIN:
            return DeliveryDeferred(said, code=found[1])
        return DeliveryRefused(said, code=found[1])
    if _NOT_REACHED.search(heard):
        return DeliveryDeferred(f"{where}: not reached")
    return DeliveryUnknown(f"{where}: Apprise says that it did not work, and not why")


@contextmanager
def _listening() -> Iterator[_Heard]:
    """What the library logs in this thread meanwhile; nothing of it goes anywhere else."""
    logger, heard = logging.getLogger("apprise"), _Heard(threading.get_ident())
    logger.propagate = False
    # What it speaks HTTP with would tell the path of each call, which is where most services have their secret.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(heard)
    try:
        yield heard
    finally:
        logger.removeHandler(heard)


class _Heard(logging.Handler):
    def __init__(self, thread: int) -> None:
        super().__init__()
        self._thread = thread
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the words of one record of our own thread."""
        if record.thread == self._thread:
            self.text = f"{self.text}\n{record.getMessage()}"[-20_000:]
