"""Security: what holds for every request, whatever its route. Headers, a body cap, where a form may come from,
and how often one address may try."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
    "cross-origin-opener-policy": "same-origin",
}

MAX_BODY = 64 * 1024
"""Bytes of a form; nothing here takes more."""

BODY_WITHIN_S = 20.0
"""A whole body comes within this time: who lets it trickle does not hold a connection for ever."""

MAX_TARGET = 16 * 1024
"""Bytes of a path with its query."""


class Guard:
    """ASGI middleware around everything: security headers, a cap on bodies, HEAD, and the last word on errors.

    HEAD is answered as GET without the body, so that link checkers see what readers see. An error nobody
    caught becomes `failed(scope)`'s response here, inside the headers, rather than in a layer outside them.
    """

    def __init__(self, app: ASGIApp, *, https: bool, failed: Callable[[Request], Response]) -> None:
        self.app = app
        self._failed = failed
        headers = dict(HEADERS)
        if https:
            headers["strict-transport-security"] = "max-age=31536000"
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        if head:
            scope = {**scope, "method": "GET"}
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name.lower() for name, _ in message.get("headers", [])}
                extra = [pair for pair in self._headers if pair[0] not in present]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"") > MAX_TARGET:
            await PlainTextResponse("This address is too long.", 414)(scope, receive, guarded_send)
            return
        if _declared(scope) > MAX_BODY:
            await PlainTextResponse("Too much was sent.", 413)(scope, receive, guarded_send)
            return
        taken, whole = 0, False
        until = asyncio.get_running_loop().time() + BODY_WITHIN_S

        async def capped_receive() -> Message:
            nonlocal taken, whole
            try:
                async with asyncio.timeout_at(None if whole else until):
                    message = await receive()
            except TimeoutError:
                raise TooSlow from None
            whole = whole or not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise TooLarge
            return message

        try:
            await self.app(scope, capped_receive, guarded_send)
        except (TooLarge, TooSlow) as error:
            status, said = (413, "Too much was sent.") if isinstance(error, TooLarge) else (408, "It took too long.")
            if not started:
                await PlainTextResponse(said, status, {"Connection": "close"})(scope, receive, guarded_send)
        except Exception:
            log.exception("web.failed", path=scope["path"])
            if started:
                raise
            await self._failed(Request(scope))(scope, receive, guarded_send)


class TooLarge(Exception):
    """A body over the cap, seen while it came in."""


class TooSlow(Exception):
    """A body that was not whole in time."""


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else MAX_BODY + 1
    return 0


# -- who asks --------------------------------------------------------------------------------------------------


def client_of(request: Request) -> str:
    """The address that counts towards limits: an IPv4 address, or the /64 an IPv6 address is from."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


def on_loopback(request: Request) -> bool:
    """Whether the request comes from this machine and was meant for it.

    The peer must be a loopback address, no proxy may have forwarded the request, and the name asked for must
    be this machine's own, so that a page elsewhere cannot point a name of its own at 127.0.0.1.
    """
    if any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via")):
        return False
    return _is_loopback(request.client.host if request.client else "") and _is_loopback(_host_name(request))


def _host_name(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def from_own_page(request: Request, public_url: str) -> bool:
    """Whether a form came from a page of ours, by what the browser says; browsers that say nothing pass."""
    origin = request.headers.get("origin")
    if origin is not None:
        public = urlsplit(public_url)
        own = {f"{public.scheme}://{public.netloc}"}
        own |= {f"{scheme}://{request.headers.get('host', '')}" for scheme in ("http", "https")}
        return origin.lower() in {o.lower() for o in own}
    return request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


# -- forms -----------------------------------------------------------------------------------------------------

FORM_LIVES_S = 24 * 3600


class Forms:
    """Signed marks in forms: which form it was, for whom, and since when it has been open."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt="broadsheet.form")

    def mark(self, purpose: str, bound_to: str = "") -> str:
        """The hidden field's value. `bound_to` ties it to a session, a cookie or a link."""
        return self._serializer.dumps([purpose, digest(bound_to)])

    def age(self, purpose: str, mark: str, bound_to: str = "") -> float | None:
        """How many seconds ago the form was made; `None` when the mark is not one of ours for it."""
        try:
            data, made_at = self._serializer.loads(mark, max_age=FORM_LIVES_S, return_timestamp=True)
        except (BadData, ValueError):
            return None
        good = (
            isinstance(data, list)
            and len(data) == 2
            and hmac.compare_digest(str(data[0]).encode(), purpose.encode())
            and hmac.compare_digest(str(data[1]).encode(), digest(bound_to).encode())
        )
        return max(0.0, time.time() - made_at.timestamp()) if good else None


def digest(text: str) -> str:
    """A short fingerprint of a secret that may be shown."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]


# -- limits ----------------------------------------------------------------------------------------------------


class Limiter:
    """At most `times` in `per_s` seconds for each key, in this process. Old keys are forgotten."""

    MAX_KEYS = 10_000

    def __init__(self, times: int, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._times = times
        self._per_s = per_s
        self._clock = clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Count one; 0 when it is allowed, else the seconds until the next is."""
        now = self._clock()
        with self._lock:
            moments = self._seen.setdefault(key, deque())
            self._seen.move_to_end(key)
            while moments and moments[0] <= now - self._per_s:
                moments.popleft()
            if len(moments) >= self._times:
                return moments[0] + self._per_s - now
            moments.append(now)
            while len(self._seen) > self.MAX_KEYS:
                self._seen.popitem(last=False)
            return 0.0

    def full(self, key: str) -> bool:
        """Whether the next would not be allowed; counts nothing."""
        now = self._clock()
        with self._lock:
            moments = self._seen.get(key, ())
            return sum(at > now - self._per_s for at in moments) >= self._times
