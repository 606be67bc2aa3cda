"""Mail over SMTP, step by step, so that only one instant leaves doubt.

Everything before the dot may be repeated and leaves no mail: without it a server keeps nothing. The message goes out,
and while the other side takes it, the intent is committed; then, last, the dot that makes it the server's. Trouble
before the dot is certain (not sent); a connection lost between the dot and its answer is not (DeliveryUnknown).
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import smtplib
import socket
import ssl
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from services.channels import no_intent
from services.channels.dkim import Signature, sign
from services.channels.mime import build_mime, sender
from services.channels.smtp_url import SmtpServer, parse_smtp_url
from services.domain.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, DeliveryUnknown
from services.domain.messages import Message, Receipt
from services.domain.text import clean

__all__ = ["NotReached", "SmtpChannel", "build_mime"]

_IDLE_S = 30.0
"""Connections unused for longer are opened anew: servers and firewalls drop them, some without a word."""
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_LINE_WITH_DOT = re.compile(rb"\n\.")
"""Replaced in a fifth of the time that `bytes.replace` takes."""
_LOGIN_CODES = frozenset({530, 534, 535, 538})
_CLOSING = 421
_UNACKED_AT, _NOT_SENT_AT, _MIN_RTT_AT = 24, 144, 148
"""Where `struct tcp_info` has them (linux/tcp.h)."""


@dataclass(slots=True)
class _Open:
    """A connection of one thread of one process."""

    smtp: smtplib.SMTP
    pid: int
    used_at: float
    """Of the monotonic clock."""
    fresh: bool = True


class _Stale(Exception):
    """A reused connection turned out to be dead before anything was sent."""


class NotReached(DeliveryDeferred):
    """The server was not reached, or not to be spoken with, before it was asked to take anything: another may be."""


class SmtpChannel:
    """Sends mail through one server; each thread keeps its own connection and reuses it.

    `url` as in `parse_smtp_url`; `mail_from` is `Name <address>`. `timeout_s` bounds each step on the socket,
    `accept_timeout_s` (default the same) the wait for the answer to the dot, where impatience makes doubles.
    `tls` replaces the default context, which verifies certificates and host names; `signatures` are put on each mail.
    """

    name = "email"

    def __init__(
        self,
        url: str,
        mail_from: str,
        *,
        timeout_s: float = 30,
        local_hostname: str | None = None,
        accept_timeout_s: float | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        signatures: Sequence[Signature] = (),
    ) -> None:
        self._server: SmtpServer = parse_smtp_url(url)
        self._mail_from = mail_from
        self._envelope_from = sender(mail_from).addr_spec
        self._timeout_s = timeout_s
        self._accept_timeout_s = accept_timeout_s or timeout_s
        self._local_hostname = local_hostname
        self._tls = tls
        self._clock = clock
        self._signatures = tuple(signatures)
        self._local = threading.local()

    def __str__(self) -> str:
        """The server, `host:port`."""
        return str(self._server)

    def send(
        self,
        message: Message,
        to: str,
        key: str,  # noqa: ARG002  (a channel's signature)
        *,
        commit_intent: Callable[[], None] = no_intent,
    ) -> Receipt:
        """Hand the mail in; see `channels.Channel.send`. The Message-ID stands for `key`."""
        data = sign(build_mime(message, self._mail_from, to), self._signatures, at=message.date)
        try:
            try:
                connection = self._begin(to, len(data))
            except _Stale:
                # Nothing was sent on it. A second one is new, so it cannot be stale.
                connection = self._begin(to, len(data))
            sent_at = self._write(connection, data)
            try:
                commit_intent()
            except BaseException:
                # Past 354 there is no way back but to hang up: without the dot the server keeps nothing.
                self.close()
                raise
            return self._hand_over(connection, sent_at)
        except DeliveryError:
            raise  # said by the server, or by us after hanging up
        except BaseException:
            # A time limit, say, may strike anywhere: the answer that was not read is not the next mail's.
            self.close()
            raise

    def close(self) -> None:
        """Drop this thread's connection."""
        held: _Open | None = getattr(self._local, "held", None)
        self._local.held = None
        if held is not None:
            with suppress(OSError):
                held.smtp.close()

    # --- up to 354: repeatable --------------------------------------------------------------------------

    def _begin(self, to: str, size: int) -> smtplib.SMTP:
        """A connection on which the server has just said 354."""
        held = self._connected()
        smtp = held.smtp
        sized = f" SIZE={size}" if smtp.has_extn("size") else ""
        # Both addresses are plain ones: the library's own `mail` and `rcpt` would take them apart to find that out.
        steps = [
            ("MAIL FROM", f"MAIL FROM:<{self._envelope_from}>{sized}\r\n"),
            ("RCPT TO", f"RCPT TO:<{to}>\r\n"),
            ("DATA", "DATA\r\n"),
        ]
        at_once = smtp.has_extn("pipelining")
        if at_once:  # RFC 2920: the answers come in the order of the commands
            steps = [("MAIL FROM", "".join(command for _, command in steps)), ("RCPT TO", ""), ("DATA", "")]
        for place, (step, command) in enumerate(steps, 1):
            code, reply = self._ask(step, held, command)
            if code == _CLOSING and not held.fresh:
                self.close()
                raise _Stale
            if code == 354 and step == "DATA":
                held.fresh, held.used_at = False, time.monotonic()
                return smtp
            if step == "DATA" or not 200 <= code < 300:
                self._reset(held, code, answers=len(steps) - place if at_once else 0)
                if code == _CLOSING:
                    raise NotReached(f"{self._server} at {step}: {code} {_words(reply)}", code=_code(code, reply))
                raise _failure(f"{self._server} at {step}", code, reply)
        raise AssertionError("DATA always ends the loop")

    def _ask(self, step: str, held: _Open, command: str) -> tuple[int, bytes]:
        """The answer to a command, or the next one to those that were sent before."""
        try:
            if command:
                held.smtp.send(command)
            return held.smtp.getreply()
        except smtplib.SMTPResponseException as error:
            self.close()
            raise NotReached(
                f"{self._server} at {step}: {_words(error.smtp_error)}", code=str(error.smtp_code)
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            if not held.fresh:
                raise _Stale from error
            raise NotReached(f"{self._server} at {step}: connection lost ({error})") from error

    def _reset(self, held: _Open, code: int, *, answers: int) -> None:
        """Make the connection ready for the next recipient, once so many answers have come, or drop it."""
        held.fresh, held.used_at = False, time.monotonic()
        if code == _CLOSING:
            self.close()
            return
        try:
            said = [held.smtp.getreply()[0] for _ in range(answers)]
            # Whoever wants a message though there is nobody to have it would take an empty one: we hang up instead.
            answer = -1 if 354 in said else held.smtp.rset()[0]
        except (OSError, smtplib.SMTPException):
            answer = -1
        if answer != 250:
            self.close()

    def _connected(self) -> _Open:
        held: _Open | None = getattr(self._local, "held", None)
        if held is not None:
            idle_s = time.monotonic() - held.used_at
            # A connection made before a fork belongs to the parent: two processes would share its stream.
            if held.pid == os.getpid() and idle_s < _IDLE_S and held.smtp.sock is not None:
                held.smtp.sock.settimeout(self._timeout_s)
                return held
            self.close()
        held = _Open(self._connect(), os.getpid(), time.monotonic())
        self._local.held = held
        return held

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        smtp: smtplib.SMTP | None = None
        try:
            smtp = self._greeted()
            if server.security == "starttls":
                if not smtp.has_extn("starttls"):
                    raise NotReached(
                        f"{server} offers no STARTTLS; without it nothing is sent. Check BROADSHEET_SMTP_URL."
                    )
                code, reply = smtp.starttls(context=self._context())
                if code != 220:
                    raise NotReached(f"{server} at STARTTLS: {code} {_words(reply)}", code=str(code))
                smtp.ehlo_or_helo_if_needed()
            if server.user is not None:
                smtp.login(server.user, server.password)
        except NotReached:
            _hang_up(smtp)
            raise
        except smtplib.SMTPAuthenticationError as error:
            _hang_up(smtp)
            raise NotReached(
                f"{server} does not take our user and password: {_words(error.smtp_error)}",
                code=_code(error.smtp_code, error.smtp_error),
            ) from error
        except smtplib.SMTPResponseException as error:
            _hang_up(smtp)
            raise NotReached(
                f"{server} at the greeting: {_words(error.smtp_error)}",
                code=_code(error.smtp_code, error.smtp_error),
            ) from error
        except ssl.SSLError as error:
            _hang_up(smtp)
            raise NotReached(f"{server}: no trusted encrypted connection ({error})") from error
        except (OSError, smtplib.SMTPException) as error:
            _hang_up(smtp)
            raise NotReached(f"{server}: no connection ({error})") from error
        return smtp

    def _greeted(self) -> smtplib.SMTP:
        server, timeout_s = self._server, self._timeout_s
        if server.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, self._hostname(), timeout=timeout_s, context=self._context()
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, self._hostname(), timeout=timeout_s)
        if smtp.sock is not None:
            # Each step waits for its answer, so nothing is gained by holding small packets back.
            smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        smtp.ehlo_or_helo_if_needed()
        return smtp

    def _hostname(self) -> str:
        # The library's own default asks the name server, which may take seconds for each connection.
        if self._local_hostname is None:
            name = socket.gethostname()
            self._local_hostname = name if "." in name and name.isascii() else "[127.0.0.1]"
        return self._local_hostname

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    # --- after 354: the dot once --------------------------------------------------------------------------------

    def _write(self, smtp: smtplib.SMTP, data: bytes) -> float:
        """Write the message, without the dot; when that was, on the monotonic clock."""
        with self._before_the_dot(NotReached):  # no intent is committed yet: another server may be asked
            smtp.send(_stuffed(data))
        return time.monotonic()

    @contextmanager
    def _before_the_dot(self, failure: type[DeliveryDeferred] = DeliveryDeferred) -> Iterator[None]:
        try:
            yield
        except (OSError, smtplib.SMTPException) as error:
            # The dot was never written, and without it a server keeps nothing.
            self.close()
            raise failure(f"{self._server}: connection lost while the message was sent ({error})") from error

    def _hand_over(self, smtp: smtplib.SMTP, sent_at: float) -> Receipt:
        where = str(self._server)
        with self._before_the_dot():
            if smtp.sock is not None:
                _wait_until_taken(smtp.sock, sent_at, self._timeout_s)
        try:
            if smtp.sock is not None:
                smtp.sock.settimeout(self._accept_timeout_s)
            smtp.send(b".\r\n")
            code, reply = smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise DeliveryUnknown(f"{where}: connection lost before the answer to the message ({error})") from error
        if code == _CLOSING:
            self.close()
        if 200 <= code < 300:
            return Receipt(
                code=_code(code, reply), detail=f"{where} {_words(reply)}".strip(), accepted_at=self._clock()
            )
        if code in range(400, 600):
            raise _failure(f"{where} after the message", code, reply)
        self.close()
        raise DeliveryUnknown(f"{where} answered the message with {code} {_words(reply)}", code=str(code))


def _failure(where: str, code: int, reply: bytes) -> DeliveryDeferred | DeliveryRefused:
    said = f"{where}: {code} {_words(reply)}"
    # A server that wants a login first says nothing about the recipient: an operator's matter, tried again.
    if 500 <= code < 600 and code not in _LOGIN_CODES:
        return DeliveryRefused(said, code=_code(code, reply))
    return DeliveryDeferred(said, code=_code(code, reply))


def _code(code: int, reply: bytes | str) -> str:
    """`550 5.1.1` where the server gives the enhanced code, else `550`."""
    enhanced = _ENHANCED.match(_words(reply))
    return f"{code} {enhanced[0]}" if enhanced else str(code)


def _words(reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return clean(text, limit=300)


def _stuffed(data: bytes) -> bytes:
    """The message as it goes over the wire, without the final dot: CRLF ends, leading dots doubled."""
    whole = data if data.endswith(b"\r\n") else data + b"\r\n"
    return (b"." if whole.startswith(b".") else b"") + _LINE_WITH_DOT.sub(b"\n..", whole)


def _wait_until_taken(link: socket.socket, sent_at: float, timeout_s: float) -> None:
    """Return once the other side has acknowledged all that was written (at `sent_at` of the monotonic clock), which
    writing alone does not tell.

    A server that went away midway is noticed here, before the dot, while it is certain that it keeps nothing. For the
    last segment, whose acknowledgement a receiver may hold back for a good part of a second (RFC 1122, 4.2.3.2), two
    round trips without bad news are enough. Raises OSError when it hung up or took nothing for so long.
    """
    pause_s = 0.0001
    while _unacknowledged(link):
        passed = time.monotonic() - sent_at
        if passed > timeout_s:
            raise TimeoutError(f"the message was not taken within {timeout_s:g} s")
        segments, round_trip_s = _in_flight(link)
        if segments == 1 and passed > 2 * round_trip_s:
            break
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)
    watch = select.poll()
    watch.register(link, getattr(select, "POLLRDHUP", 0))
    if watch.poll(0):
        raise ConnectionResetError("the server hung up before the end of the message")


def _in_flight(link: socket.socket) -> tuple[int, float]:
    """Segments that are not acknowledged and the shortest round trip seen, in seconds; zeros where the system does not
    tell. What waits here for the other side to make room counts as two: then it is not the last one that is out.

    From Linux's `struct tcp_info`: `tcpi_unacked`, `tcpi_notsent_bytes`, and `tcpi_min_rtt` in microseconds.
    """
    try:
        told = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MIN_RTT_AT + 4)
    except (AttributeError, OSError):
        return 0, 0.0
    if len(told) < _MIN_RTT_AT + 4:
        return 0, 0.0
    unacked, not_sent, min_rtt = (
        int.from_bytes(told[at : at + 4], sys.byteorder) for at in (_UNACKED_AT, _NOT_SENT_AT, _MIN_RTT_AT)
    )
    return unacked + 2 * (not_sent > 0), min_rtt / 1e6


def _unacknowledged(link: socket.socket) -> int:
    """Bytes that wait in our system to be sent or acknowledged; 0 where the system does not tell."""
    waiting = bytearray(4)
    try:
        fcntl.ioctl(link.fileno(), termios.TIOCOUTQ, waiting)
    except OSError:
        error = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error)) from None
        return 0
    return int.from_bytes(waiting, sys.byteorder)


def _hang_up(smtp: smtplib.SMTP | None) -> None:
    if smtp is not None:
        with suppress(OSError):
            smtp.close()
