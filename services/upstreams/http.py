"""The one HTTP client everything upstream is read with.

`HttpClient.get` is a conditional GET (RFC 9110), `HttpClient.post` sends once. Both keep to one deadline
for everything they do, cap what is read, refuse addresses inside our own network (`guard`), and raise the
errors of `services.domain.errors` and no others:

    304 unasked, 408, 425, 5xx, connection trouble, deadline        UpstreamUnavailable
    429, 403 with a spent quota or a time to come back              RateLimited
    other 4xx, refused address, redirect loop, body over the cap    UpstreamRejected

It is built on httpx's transport, with connections of our own (`transport`); what `httpx.Client` adds would
have to be undone here.
"""

from __future__ import annotations

import json as jsonlib
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Self

import tenacity

from services.domain.errors import UpstreamRejected, UpstreamUnavailable
from services.upstreams.answers import Fetched, NotModified, Validators, read_validators
from services.upstreams.exchange import (
    LOST,
    PERMANENT_REDIRECTS,
    REDIRECTS,
    UNSENT,
    Exchange,
    Headers,
    Reply,
    Request,
)
from services.upstreams.guard import Guard, Target
from services.upstreams.transport import Budget, Resolver

__all__ = ["Fetched", "HttpClient", "NotModified", "Resolver", "Validators"]

MIB = 1024 * 1024
MAX_REDIRECTS = 5

_TRAVELLING = frozenset({"accept", "accept-language", "if-none-match", "if-modified-since"})
"""Headers that may go along to another host; all others might be somebody's secret."""


class HttpClient:
    """Sync and thread-safe: one per process, closed at its end.

    `user_agent` names the product and a contact. `deadline_s` bounds a whole call: name look-up, connecting,
    redirects, tries, every byte. `max_wire_bytes` caps one answer as sent, `max_body_bytes` as unpacked.
    `allowed_private_hosts` are the guard's exceptions (`host` or `host:port`). `attempts` is how often a GET
    is tried within a call when the connection fails. `resolver`, `sleep` and `ssl_context` can be stood in
    for; without a context, certificates are checked against certifi's list. Proxies set in the environment
    are ignored. `secrets` are in no message, whatever the other side says. `http2_hosts` (names as in a URL, lower
    case) are offered HTTP/2.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        connect_timeout_s: float = 10.0,
        deadline_s: float = 60.0,
        max_wire_bytes: int = 16 * MIB,
        max_body_bytes: int = 64 * MIB,
        allowed_private_hosts: Collection[str] = frozenset(),
        attempts: int = 3,
        resolver: Resolver | None = None,
        sleep: Callable[[float], None] = time.sleep,
        ssl_context: ssl.SSLContext | None = None,
        secrets: Collection[str] = (),
        http2_hosts: Collection[str] = frozenset(),
    ) -> None:
        self._attempts = attempts
        self._sleep = sleep
        self._guard = Guard(allowed_private_hosts)
        self._exchange = Exchange(
            self._guard,
            user_agent=user_agent,
            connect_timeout_s=connect_timeout_s,
            deadline_s=deadline_s,
            max_wire_bytes=max_wire_bytes,
            max_body_bytes=max_body_bytes,
            resolver=resolver,
            ssl_context=ssl_context,
            secrets=secrets,
            http2_hosts=http2_hosts,
        )

    def check_host(self, host: str, port: int) -> None:
        """Raise for a host that may not be called (`GuardedBackend.check_name`): for libraries that call by
        themselves."""
        self._exchange.check_name(host, port)

    def get(
        self,
        url: str,
        *,
        validators: Validators | None = None,
        headers: Mapping[str, str] | None = None,
        expect_statuses: Collection[int] = (),
    ) -> Fetched | NotModified:
        """The document at `url`, or `NotModified` when `validators` still hold.

        Up to five redirects are followed, each checked; `Authorization` and other headers of yours stay with
        the host they were meant for. `expect_statuses` are error statuses that come back as `Fetched` instead
        of being raised, for upstreams that say something worth reading with them; rate limits are raised all
        the same. Raises `UpstreamUnavailable`, `RateLimited` or `UpstreamRejected`.
        """
        budget = self._exchange.budget()
        asked = _conditional(validators)
        request = Request(
            method="GET",
            target=self._guard.check_url(url),
            headers=(*_lowered(headers), *asked),
            expect_statuses=expect_statuses,
        )

        def once() -> Fetched | NotModified:
            return self._follow(url, request, validators if asked else None, budget)

        return self._tries(budget, LOST)(once)

    def post(
        self,
        url: str,
        *,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fetched:
        """Sends `json` (any JSON value) or `content` (bytes) and gives the answer, any 2xx.

        Redirects are not followed. Tried again only while nothing has been sent: once bytes are on their way,
        an error does not say whether they arrived. Raises as `get` does.
        """
        budget = self._exchange.budget()
        ours = _lowered(headers)
        if content is None and json is not None:
            content = jsonlib.dumps(json, separators=(",", ":"), ensure_ascii=False).encode()
            ours = (("content-type", "application/json"), *ours)
        target = self._guard.check_url(url)
        request = Request(method="POST", target=target, headers=ours, content=content or b"")

        def once() -> Fetched:
            reply = self._exchange.send(request, budget)
            if not 200 <= reply.status < 300:
                raise UpstreamRejected(
                    f"{target.host} answers a POST with {reply.status}; redirects are not followed",
                    url=url,
                    status=reply.status,
                )
            return Fetched(url, str(target.url), reply.status, reply.headers, reply.body)

        return self._tries(budget, UNSENT)(once)

    def close(self) -> None:
        """Ends all connections."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _follow(
        self, url: str, request: Request, validators: Validators | None, budget: Budget
    ) -> Fetched | NotModified:
        permanent: str | None = None
        all_permanent = True
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._exchange.send(request, budget)
            if reply.status not in REDIRECTS:
                return _answer(url, request.target, reply, validators, permanent)
            request = self._redirected(request, reply)
            all_permanent = all_permanent and reply.status in PERMANENT_REDIRECTS
            permanent = str(request.target.url) if all_permanent else permanent
        raise UpstreamRejected(
            f"{request.target.host} redirects more than {MAX_REDIRECTS} times", url=url, status=reply.status
        )

    def _redirected(self, request: Request, reply: Reply) -> Request:
        source = request.target
        location = reply.headers.get("location")
        if not location:
            raise UpstreamRejected(
                f"{source.host} redirects without saying where to", url=str(source.url), status=reply.status
            )
        target = self._guard.check_redirect(source, _as_text(location))
        return Request(
            method="GET",
            target=target,
            headers=_headers_for(target, source, request.headers),
            expect_statuses=request.expect_statuses,
        )

    def _tries(self, budget: Budget, causes: tuple[type[Exception], ...]) -> tenacity.Retrying:
        def worth_it(error: BaseException) -> bool:
            return (
                isinstance(error, UpstreamUnavailable)
                and isinstance(error.__cause__, causes)
                and not _is_distrust(error)
            )

        return tenacity.Retrying(
            stop=_NoTimeLeft(budget) | tenacity.stop_after_attempt(self._attempts),
            wait=tenacity.wait_exponential(multiplier=0.2, max=5.0) + tenacity.wait_random(0.0, 0.3),
            retry=tenacity.retry_if_exception(worth_it),
            sleep=self._sleep,
            reraise=True,
        )


def _is_distrust(error: BaseException | None) -> bool:
    """Whether a certificate was refused, which no second try mends."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


class _NoTimeLeft(tenacity.stop.stop_base):
    """No further try when the wait before it would outlast the call's deadline."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return retry_state.upcoming_sleep >= self._budget.remaining()


def _answer(
    url: str, target: Target, reply: Reply, sent: Validators | None, permanent: str | None
) -> Fetched | NotModified:
    own = read_validators(reply.headers)
    final_url = str(target.url)
    if reply.status != 304:
        return Fetched(url, final_url, reply.status, reply.headers, reply.body, own, permanent)
    if not sent:
        raise UpstreamUnavailable(
            f"{target.host} answered 304 (not modified) without having been asked to compare",
            url=url,
            status=304,
        )
    kept = Validators(own.etag or sent.etag, own.last_modified or sent.last_modified)
    return NotModified(url, final_url, 304, reply.headers, b"", kept, permanent)


def _lowered(headers: Mapping[str, str] | None) -> Headers:
    return tuple((name.lower(), value) for name, value in (headers or {}).items())


def _conditional(validators: Validators | None) -> Headers:
    """The headers that ask "only if changed". Octets go back as they came, see `headers.read_headers`."""
    if validators is None:
        return ()
    pairs = (("if-none-match", validators.etag), ("if-modified-since", validators.last_modified))
    return tuple((name, value.encode("latin-1", "replace")) for name, value in pairs if value)


def _as_text(location: str) -> str:
    """A Location header as text; non-ASCII ones are sent as UTF-8 by most, where RFC 9110 wants escapes."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def _headers_for(target: Target, source: Target, headers: Headers) -> Headers:
    """The headers that may follow a redirect. Credentials never leave https for http."""
    secret = any(name in {"authorization", "cookie"} for name, _ in headers)
    if secret and source.url.scheme == "https" and target.url.scheme == "http":
        raise UpstreamRejected(
            f"{source.host} redirects a request with credentials from https to http", url=str(source.url)
        )
    upgraded = source.host == target.host and (source.port, target.port) == (80, 443)
    if source.origin == target.origin or upgraded:
        return headers
    return tuple((name, value) for name, value in headers if name in _TRAVELLING)
