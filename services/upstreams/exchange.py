"""One request and its answer: no redirects, no tries, and every error of the libraries made one of ours."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache, cached_property

import httpx

from services.domain.errors import UpstreamError, UpstreamRejected, UpstreamUnavailable
from services.domain.urls import keys_in
from services.upstreams.answers import NOT_A_DOCUMENT, is_rate_limit, raise_status
from services.upstreams.bodies import ACCEPT_ENCODING, Decoder
from services.upstreams.guard import Guard, Target
from services.upstreams.headers import read_headers
from services.upstreams.transport import Budget, GuardedBackend, GuardedTransport, Resolver, spending

Headers = tuple[tuple[str, str | bytes], ...]
"""Names in lower case; bytes are sent as they are, text as UTF-8."""

PERMANENT_REDIRECTS = frozenset({301, 308})
REDIRECTS = PERMANENT_REDIRECTS | {302, 303, 307}

LOST = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)
"""The connection failed: a request that changes nothing may be sent again."""
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout)
"""There was no connection: nothing has been sent."""

_ERROR_BODY = 64 * 1024
SHORTEST_SECRET = 6
"""Characters: what is shorter stands in ordinary words as well."""
_IDLE_BODY = 8 * 1024
"""A redirect's text is read up to this length, so that its connection can be used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send where. `expect_statuses` are error statuses to give back rather than raise."""

    method: str
    target: Target
    headers: Headers = ()
    content: bytes | None = None
    expect_statuses: Collection[int] = ()

    @property
    def shown(self) -> str:
        """How messages name it. The path of a POST may be a secret (webhooks), a query may hold a key."""
        return f"{self.target.host}{self.target.url.path[:120]}" if self.method == "GET" else self.target.host


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, lower-case headers and decoded body, of a success, a redirect, a 304 or an expected error."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Exchange:
    """The pool of connections. Sizes are bytes of one answer: as sent, and as unpacked."""

    def __init__(
        self,
        guard: Guard,
        *,
        user_agent: str,
        connect_timeout_s: float,
        deadline_s: float,
        max_wire_bytes: int,
        max_body_bytes: int,
        resolver: Resolver | None,
        ssl_context: ssl.SSLContext | None,
        secrets: Collection[str] = (),
        http2_hosts: Collection[str] = frozenset(),
    ) -> None:
        self._secrets = frozenset(secrets)
        self._user_agent = user_agent
        self._connect_timeout_s = connect_timeout_s
        self._deadline_s = deadline_s
        self._max_wire_bytes = max_wire_bytes
        self._max_body_bytes = max_body_bytes
        self._backend = GuardedBackend(guard, connect_timeout_s=connect_timeout_s, resolver=resolver)
        self._ssl_context = ssl_context
        self._http2_hosts = http2_hosts

    @cached_property
    def _transport(self) -> GuardedTransport:
        """Made by the first call: the authorities it believes take 3 MB and a while to read."""
        return GuardedTransport(
            self._backend,
            self._ssl_context or _known_authorities(),
            self._ssl_context or _known_authorities(http2=True),
            self._http2_hosts,
        )

    def check_name(self, host: str, port: int) -> None:
        """Raise for a host that may not be called: see `GuardedBackend.check_name`."""
        self._backend.check_name(host, port)

    def close(self) -> None:
        """Ends all connections."""
        if "_transport" in self.__dict__:
            self._transport.close()

    def budget(self) -> Budget:
        """A call's means, from now on."""
        return Budget(seconds=self._deadline_s, wire_bytes=self._max_wire_bytes)

    def send(self, request: Request, budget: Budget) -> Reply:
        """Sends, reads and judges the answer.

        Raises `UpstreamUnavailable` (its `__cause__` is the library's error when the connection failed),
        `RateLimited` or `UpstreamRejected`.
        """
        shown, url = request.shown, str(request.target.url)
        try:
            with spending(budget):
                return self._send(request, budget)
        except UpstreamError as error:
            if error.url:
                raise
            raise type(error)(
                f"{shown}: {error}", url=url, status=error.status, retry_after=error.retry_after
            ) from error
        except httpx.ConnectTimeout as error:
            within = min(self._connect_timeout_s, self._deadline_s)
            raise UpstreamUnavailable(f"{shown}: no connection within {within:g} s", url=url) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            message = f"{shown}: no complete answer within {self._deadline_s:g} s"
            raise UpstreamUnavailable(message, url=url) from error
        except (httpx.LocalProtocolError, UnicodeError) as error:
            raise UpstreamRejected(f"{shown}: this request cannot be sent: {error}", url=url) from error
        except (httpx.NetworkError, httpx.ProtocolError, OSError) as error:
            raise UpstreamUnavailable(f"{shown}: {_reason(error)}", url=url) from error

    def _send(self, request: Request, budget: Budget) -> Reply:
        budget.start_exchange()
        url = request.target.url
        timeouts = {"pool": budget.seconds(), "connect": self._connect_timeout_s}
        asked = httpx.Request(
            request.method,
            url,
            headers=self._wire_headers(request),
            content=request.content,
            extensions={"timeout": timeouts},
        )
        with closing(self._transport.handle_request(asked)) as response:
            status, headers = response.status_code, read_headers(response.headers.raw)
            declared = _declared_length(headers)
            if status == 304 or status in REDIRECTS:
                if status == 304 or declared <= _IDLE_BODY:
                    _read_excerpt(response, headers)
                return Reply(status, headers)
            expected = status in request.expect_statuses
            if not (expected or 200 <= status < 300) or (request.method == "GET" and status in NOT_A_DOCUMENT):
                said = self._unsaid(_read_excerpt(response, headers), str(url))
                raise_status(status, headers, said, request.shown, str(url))
            if declared > self._max_wire_bytes:
                raise UpstreamRejected(
                    f"the answer is said to be {declared:,} bytes, more than {self._max_wire_bytes:,}"
                )
            body = _read_body(response, headers, max_bytes=self._max_body_bytes)
            if not 200 <= status < 300:  # whoever expected it may quote it
                body = self._unsaid(body, str(url))
            if is_rate_limit(status, headers, body):
                raise_status(status, headers, body, request.shown, str(url))
            return Reply(status, headers, body)

    def _unsaid(self, body: bytes, url: str) -> bytes:
        """What an error says, without our secrets and the keys in the address: some hosts throw back what they were
        sent."""
        for secret in sorted(self._secrets | keys_in(url), key=len, reverse=True):
            if len(secret) >= SHORTEST_SECRET:
                body = body.replace(secret.encode(), b"***")
        return body

    def _wire_headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        headers: dict[str, str | bytes] = {"accept": "*/*", **dict(request.headers)}
        headers |= {
            "host": request.target.url.netloc,
            "user-agent": self._user_agent,
            "accept-encoding": ACCEPT_ENCODING,
        }
        return [
            (name.encode("ascii"), value if isinstance(value, bytes) else value.encode("utf-8"))
            for name, value in headers.items()
        ]


@cache
def _known_authorities(*, http2: bool = False) -> ssl.SSLContext:
    """Whom certificates are believed by: the same for every pool of a process, and slow to read.

    What a connection offers to speak is set on its context, so those that offer HTTP/2 have one of their own.
    """
    del http2
    return httpx.create_ssl_context(trust_env=False)


def _declared_length(headers: Mapping[str, str]) -> int:
    declared = headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0


def _read_body(response: httpx.Response, headers: Mapping[str, str], *, max_bytes: int) -> bytes:
    decoder = Decoder(headers.get("content-encoding"), max_bytes=max_bytes)
    for chunk in response.iter_raw():
        decoder.feed(chunk)
    return decoder.finish()


def _read_excerpt(response: httpx.Response, headers: Mapping[str, str]) -> bytes:
    """The beginning of a body that does not matter as much as its status: trouble in reading on ends it."""
    try:
        decoder = Decoder(headers.get("content-encoding"), max_bytes=_ERROR_BODY)
    except UpstreamRejected:
        return b""
    with suppress(httpx.NetworkError, httpx.ProtocolError, httpx.TimeoutException, UpstreamError, OSError):
        for chunk in response.iter_raw():
            decoder.feed(chunk)
    return decoder.so_far()


def _reason(error: BaseException) -> str:
    """The library's words, or those of what it arose from, or its name."""
    return str(error) or str(error.__context__ or "") or type(error).__name__
