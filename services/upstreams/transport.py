"""Connections that keep a promise about time, size and address.

What an HTTP library calls a time-out is a pause between two packets: a server that sends one byte a
second is never late. Here one `Budget` covers everything a call does, and it is consulted at every
read from and every write to the socket, whoever asks for it: looking up the name, connecting, TLS,
header lines, body.

A name is looked up once, all its addresses are checked, and a checked address is dialled, so that a
second look-up cannot give another answer. TLS and the Host header still see the name.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from services.domain.errors import UpstreamRejected, UpstreamUnavailable
from services.upstreams.connections import Pool
from services.upstreams.guard import Guard

Resolver = Callable[[str, int], Collection[str]]
"""From host and port to addresses as text; raises `OSError` when there are none."""

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

_MAX_DIALLED = 4
"""How many of a name's addresses are tried before giving up."""


class Budget:
    """What one call may still use: `seconds` for everything, `wire_bytes` for each answer."""

    def __init__(self, *, seconds: float, wire_bytes: int) -> None:
        self._deadline_at = time.monotonic() + seconds
        self._wire_bytes = wire_bytes
        self._wire_left = wire_bytes

    def remaining(self) -> float:
        """Seconds left, negative when the deadline has passed."""
        return self._deadline_at - time.monotonic()

    def seconds(self) -> float:
        """Seconds left, as a socket time-out. Raises `httpcore.ReadTimeout` when there are none."""
        left = self.remaining()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left

    def start_exchange(self) -> None:
        """A new request: its answer may use the whole allowance of bytes, in the time that is left."""
        self._wire_left = self._wire_bytes

    def spend(self, count: int) -> None:
        """Counts bytes read. Raises `UpstreamRejected` when the answer is larger than allowed."""
        self._wire_left -= count
        if self._wire_left < 0:
            raise UpstreamRejected(f"the answer is larger than {self._wire_bytes:,} bytes")


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Everything read and written by this thread inside the block is charged to `budget`."""
    token = _current.set(budget)
    try:
        yield
    finally:
        _current.reset(token)


class GuardedTransport(httpx.HTTPTransport):
    """httpx's transport on connections of ours: a backend that looks where it dials, and counts.

    Used by itself, without an `httpx.Client` around it: a client keeps cookies, unpacks bodies without a cap,
    follows redirects without a check and logs every address, secrets included.
    """

    def __init__(
        self,
        backend: httpcore.NetworkBackend,
        ssl_context: ssl.SSLContext,
        http2_context: ssl.SSLContext,
        http2_hosts: Collection[str],
    ) -> None:
        super().__init__(verify=ssl_context, trust_env=False)
        self._pool.close()
        self._pool = Pool(backend, ssl_context, http2_context, http2_hosts)


class GuardedStream(httpcore.NetworkStream):
    """A connected socket whose every operation has at most the time that the current budget leaves."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        budget = _current.get()
        if budget is None:
            return self._stream.read(max_bytes, timeout)
        data = self._stream.read(max_bytes, budget.seconds())
        budget.spend(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        budget = _current.get()
        if budget is None:
            self._stream.write(buffer, timeout)
            return
        # Not the wrapped stream's own loop: it gives every partial send the full time again.
        sock: socket.socket = self._stream.get_extra_info("socket")
        left = memoryview(buffer)
        try:
            while left:
                sock.settimeout(budget.seconds())
                left = left[sock.send(left) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        # One handshake is one operation for `ssl`, which keeps a deadline of its own over all its packets.
        budget = _current.get()
        seconds = timeout if budget is None else _shorter(timeout, budget.seconds())
        return GuardedStream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Dials checked addresses only. `connect_timeout_s` is shared by all the addresses of a name."""

    def __init__(self, guard: Guard, *, connect_timeout_s: float, resolver: Resolver | None = None) -> None:
        self._guard = guard
        self._connect_timeout_s = connect_timeout_s
        self._resolver = resolver or system_resolver
        self._dialler = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        budget = _current.get()
        seconds = _shorter(timeout, self._connect_timeout_s)
        until = time.monotonic() + (seconds if budget is None else min(seconds, budget.seconds()))
        addresses = self._guard.check_addresses(host, port, self._lookup(host, port, until))[:_MAX_DIALLED]
        for count, address in enumerate(addresses):
            share = _left(until) / (len(addresses) - count)
            try:
                return GuardedStream(
                    self._dialler.connect_tcp(address, port, share, local_address, socket_options or ())
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if count + 1 == len(addresses):
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    def _lookup(self, host: str, port: int, until: float) -> Collection[str]:
        try:
            return (str(ipaddress.ip_address(host)),)
        except ValueError:
            return _within(_left(until), lambda: self._resolver(host, port), f"looking up {host} took too long")

    def check_name(self, host: str, port: int) -> None:
        """Ask of a host that another library dials what is asked of those dialled here.

        A name that nobody knows passes: some services' addresses hold a token where a host would stand. Raises
        `UpstreamRejected` for one that may not be called, `UpstreamUnavailable` when looking it up takes too long.
        """
        try:
            addresses = self._lookup(host, port, time.monotonic() + self._connect_timeout_s)
        except httpcore.ConnectTimeout as error:
            raise UpstreamUnavailable(str(error)) from error
        except httpcore.ConnectError:
            return
        self._guard.check_addresses(host, port, addresses)


def system_resolver(host: str, port: int) -> tuple[str, ...]:
    """All the addresses the system knows for a name, in its order of preference."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return tuple(str(answer[4][0]) for answer in answers)


def _within(seconds: float, ask: Callable[[], Collection[str]], late: str) -> Collection[str]:
    """`ask()`, abandoned after `seconds`: the system's look-up has no time-out that we could set."""
    answers: queue.SimpleQueue[Collection[str] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(ask())
        except Exception as error:
            answers.put(error)

    threading.Thread(target=run, name="lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise httpcore.ConnectTimeout(late) from None
    if isinstance(answer, (OSError, UnicodeError)):
        raise httpcore.ConnectError(str(answer)) from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


def _shorter(timeout: float | None, other: float) -> float:
    return other if timeout is None else min(timeout, other)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ConnectTimeout("connecting took too long")
    return left
