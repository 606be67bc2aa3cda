"""The pool of connections, with HTTP/2 for the hosts that are asked many small things.

HTTP/2 packs the headers, which are most of such a question and its "not modified": about a tenth of their bytes are
left when they are repeated on one connection. It is negotiated (ALPN) with hosts that are named to the pool and no
others: a stranger's feed is asked once an hour, gains nothing, and shall not choose what parses its answer.

A connection carries one exchange at a time. httpcore could interleave several, but then whoever reads first reads for
all: the bytes of one answer would be charged to another's allowance, and the end of one call's time would end the
others'. One at a time, deadline and caps hold for HTTP/2 as they do for HTTP/1.1.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import httpcore
from h2.exceptions import ProtocolError

_MAX_CONNECTIONS = 64
_MAX_KEPT = 16
_KEPT_S = 20.0
_NO_VALUE = re.compile(rb"[\x00\r\n]")


class Pool(httpcore.ConnectionPool):
    """Connections of `backend`; `http2_hosts` are offered HTTP/2, on the TLS settings of `http2_context`."""

    def __init__(
        self,
        backend: httpcore.NetworkBackend,
        ssl_context: ssl.SSLContext,
        http2_context: ssl.SSLContext,
        http2_hosts: Collection[str],
    ) -> None:
        super().__init__(
            ssl_context=ssl_context,
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_KEPT,
            keepalive_expiry=_KEPT_S,
            network_backend=backend,
        )
        self._backend = backend
        # A context of its own: what a connection offers is set on its context, which all others would share.
        self._http2_context = http2_context
        self._http2_hosts = frozenset(host.encode("ascii") for host in http2_hosts)

    def create_connection(self, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        """A connection for one origin, not yet dialled."""
        if origin.scheme != b"https" or origin.host not in self._http2_hosts:
            return super().create_connection(origin)
        return SoleUseConnection(
            origin=origin,
            ssl_context=self._http2_context,
            keepalive_expiry=_KEPT_S,
            http2=True,
            network_backend=self._backend,
        )


class SoleUseConnection(httpcore.HTTPConnection):
    """A connection that may turn out to speak HTTP/2, and is lent to one request at a time."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._lent = threading.Lock()
        self._wire: httpcore.NetworkStream | None = None

    def is_available(self) -> bool:
        """Whether it can be lent."""
        return not self._lent.locked() and super().is_available()

    def has_expired(self) -> bool:
        """Whether it is of no use any more. One that has something to say while nobody asks is being closed."""
        if super().has_expired():
            return True
        return (
            not self._lent.locked()
            and self.is_idle()
            and self._wire is not None
            and bool(self._wire.get_extra_info("is_readable"))
        )

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send, and lend the connection until the answer is closed. Raises httpcore's errors, and no others."""
        # HTTP/1.1 checks this by itself; in HTTP/2 such a value would travel as it is, and end up in somebody's log.
        if any(_NO_VALUE.search(value) for _, value in request.headers):
            raise httpcore.LocalProtocolError("a header's value has a line break in it")
        if not self._lent.acquire(blocking=False):
            raise httpcore.ConnectionNotAvailable
        try:
            response = super().handle_request(request)
        except httpcore.LocalProtocolError as error:
            self._give_back(whole=False)
            if isinstance(error.__context__, ProtocolError):  # what we send is well-formed: it is their doing
                raise httpcore.RemoteProtocolError(_words(error.__context__)) from error
            raise
        except ProtocolError as error:
            self._give_back(whole=False)
            raise httpcore.RemoteProtocolError(_words(error)) from error
        except BaseException:
            self._give_back(whole=False)
            raise
        self._wire = response.extensions.get("network_stream")
        assert isinstance(response.stream, Iterable)
        return httpcore.Response(
            response.status,
            headers=response.headers,
            content=_Body(response.stream, self._give_back),
            extensions=response.extensions,
        )

    def _give_back(self, *, whole: bool) -> None:
        """What is left of an answer would be read with the next one: such a connection is closed."""
        try:
            if not whole:
                self.close()
        finally:
            self._lent.release()


class _Body:
    """The body of an answer; gives its connection back when it is closed."""

    def __init__(self, stream: Iterable[bytes], give_back: Callable[..., None]) -> None:
        self._stream = stream
        self._give_back = give_back
        self._whole = False
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except ProtocolError as error:
            raise httpcore.RemoteProtocolError(_words(error)) from error
        self._whole = True

    def close(self) -> None:
        """End the exchange, read to its end or not."""
        if self._closed:
            return
        self._closed = True
        try:
            close: Callable[[], None] | None = getattr(self._stream, "close", None)
            if close is not None:
                close()
        finally:
            self._give_back(whole=self._whole)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
