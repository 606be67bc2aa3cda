from __future__ import annotations

import email.utils
import gzip
import itertools
import json
import pickle
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import pytest

from services.domain.errors import RateLimited, UpstreamRejected, UpstreamUnavailable
from services.upstreams.headers import parse_wait
from services.upstreams.http import Fetched, HttpClient, NotModified, Validators

USER_AGENT = "Broadsheet/0.1 (+https://broadsheet.example; mailto:desk@broadsheet.example)"


@dataclass
class Seen:
    """A request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


Script = Callable[[socket.socket, Seen], None]


@dataclass
class Loopback:
    """A server on 127.0.0.1 that says exactly what a test tells it to, byte by byte."""

    tls: ssl.SSLContext | None = None
    scripts: dict[str, Script] = field(default_factory=dict)
    requests: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self, path: str, *replies: bytes | Script) -> None:
        """Each request for `path` gets the next reply, the last one for ever."""
        left = list(replies)

        def script(connection: socket.socket, seen: Seen) -> None:
            reply = left.pop(0) if len(left) > 1 else left[0]
            if callable(reply):
                reply(connection, seen)
            else:
                connection.sendall(reply)

        self.scripts[path] = script

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while line := stream.readline():
                    method, path, _ = line.decode().split(" ", 2)
                    headers = {}
                    while (line := stream.readline()) not in {b"\r\n", b""}:
                        name, _, value = line.decode("latin-1").partition(":")
                        headers[name.lower()] = value.strip()
                    body = stream.read(int(headers.get("content-length", "0")))
                    seen = Seen(method, path, headers, body)
                    self.requests.append(seen)
                    self.scripts[path.partition("?")[0]](connection, seen)


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Something", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reset(connection: socket.socket, seen: Seen) -> None:
    """Hangs up with a reset, before any answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    hang_up(connection, seen)


def hang_up(connection: socket.socket, seen: Seen) -> None:
    """Ends the connection; the server's thread closes it on its way out."""
    raise ConnectionError


def drip(head: bytes, piece: bytes, *, every_s: float = 0.05) -> Script:
    """Sends `head`, then `piece` after `piece` for as long as somebody listens."""

    def script(connection: socket.socket, seen: Seen) -> None:
        connection.sendall(head)
        for _ in range(1_000):
            time.sleep(every_s)
            connection.sendall(piece)

    return script


def flood(head: bytes, piece: bytes) -> Script:
    return drip(head, piece, every_s=0)


@pytest.fixture
def server() -> Iterator[Loopback]:
    loopback = Loopback()
    yield loopback
    loopback.close()


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def http(server: Loopback, naps: list[float]) -> Iterator[HttpClient]:
    with HttpClient(
        user_agent=USER_AGENT,
        deadline_s=5,
        max_wire_bytes=1_000_000,
        max_body_bytes=2_000_000,
        allowed_private_hosts=frozenset({f"127.0.0.1:{server.port}"}),
        sleep=naps.append,
    ) as client:
        yield client


def impatient(server: Loopback, **more: object) -> HttpClient:
    settings: dict[str, object] = {
        "user_agent": USER_AGENT,
        "deadline_s": 0.6,
        "allowed_private_hosts": frozenset({f"127.0.0.1:{server.port}"}),
    }
    return HttpClient(**(settings | more))  # type: ignore[arg-type]


# What comes back


def test_an_answer_has_its_body_headers_and_validators(server: Loopback, http: HttpClient) -> None:
    server.answers(
        "/feed", reply(200, b"<rss/>", ETag='"abc"', Last_Modified="Mon, 23 Nov 2026 05:00:00 GMT", Vary="A")
    )
    fetched = http.get(f"{server.url}/feed")
    assert isinstance(fetched, Fetched)
    assert (fetched.status, fetched.body) == (200, b"<rss/>")
    assert fetched.validators == Validators('"abc"', "Mon, 23 Nov 2026 05:00:00 GMT")
    assert fetched.header("VARY") == fetched.header("vary") == "A"
    assert fetched.header("absent") is None
    assert fetched.permanent_url is None
    assert fetched.final_url == fetched.url == f"{server.url}/feed"


def test_a_request_says_who_we_are_and_what_we_can_read(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", reply(200))
    http.get(f"{server.url}/feed?q=cat:cs.CL+AND+%22x%22", headers={"Accept": "application/json"})
    sent = server.requests[0]
    assert sent.path == "/feed?q=cat:cs.CL+AND+%22x%22"
    assert sent.headers["user-agent"] == USER_AGENT
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["accept-encoding"] == "gzip, deflate"
    assert sent.headers["host"] == f"127.0.0.1:{server.port}"


def test_an_empty_body_is_an_answer(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", reply(200))
    fetched = http.get(f"{server.url}/feed")
    assert isinstance(fetched, Fetched)
    assert fetched.body == b""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("max-age=300", 300),
        ('public, max-age="60", s-maxage=9', 60),
        ("MAX-AGE=5", 5),
        ("max-age=60, no-cache", 0),
        ("no-store", 0),
        ("max-age=99999999999", 365 * 24 * 3600),
        ("max-age=-5", None),
        ("max-age=soon", None),
        ("public", None),
    ],
)
def test_max_age_is_read_from_cache_control(value: str, seconds: int | None) -> None:
    answer = Fetched("", "", 200, {"cache-control": value}, b"")
    assert answer.max_age() == (None if seconds is None else timedelta(seconds=seconds))


def test_time_spent_in_caches_counts_as_age() -> None:
    assert Fetched("", "", 200, {"cache-control": "max-age=60", "age": "45"}, b"").max_age() == timedelta(seconds=15)
    assert Fetched("", "", 200, {}, b"").max_age() is None


def test_links_are_read_by_relation_and_made_absolute() -> None:
    header = '</api?p=1&x=a,b>; title="next, please"; rel="next", <https://b.example/9>; rel=last, <nowhere>'
    answer = Fetched("", "https://a.example/api?p=0", 200, {"link": header}, b"")
    assert answer.links() == {"next": "https://a.example/api?p=1&x=a,b", "last": "https://b.example/9"}


# Conditional requests


@pytest.mark.parametrize(
    "etag", ['"abc"', 'W/"37ea58"', "Mon, 23 Nov 2026 05:00:00 GMT, 12", "unquoted-1f", '"caf\u00e9"']
)
def test_validators_go_back_exactly_as_they_came(server: Loopback, http: HttpClient, etag: str) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: " + etag.encode("latin-1") + b"\r\n\r\n"
    server.answers("/feed", raw, reply(304))
    first = http.get(f"{server.url}/feed")
    second = http.get(f"{server.url}/feed", validators=first.validators)
    assert server.requests[1].headers["if-none-match"] == etag
    assert "if-modified-since" not in server.requests[1].headers
    assert isinstance(second, NotModified)
    assert second.validators == first.validators


def test_last_modified_goes_back_as_if_modified_since(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", reply(304, ETag='"new"'))
    asked = Validators(last_modified="Mon, 23 Nov 2026 05:00:00 GMT")
    answer = http.get(f"{server.url}/feed", validators=asked)
    assert server.requests[0].headers["if-modified-since"] == "Mon, 23 Nov 2026 05:00:00 GMT"
    assert answer.validators == Validators('"new"', "Mon, 23 Nov 2026 05:00:00 GMT")


@pytest.mark.parametrize("validators", [None, Validators(), Validators("", "")])
def test_a_304_without_a_question_is_trouble(server: Loopback, http: HttpClient, validators: Validators | None) -> None:
    server.answers("/feed", reply(304))
    with pytest.raises(UpstreamUnavailable, match="304"):
        http.get(f"{server.url}/feed", validators=validators)


def test_an_endless_validator_is_not_kept(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", reply(200, ETag='"' + "x" * 5_000 + '"'))
    assert http.get(f"{server.url}/feed").validators == Validators()


# Statuses


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 202, 206])
def test_passing_statuses_are_unavailable(server: Loopback, http: HttpClient, status: int) -> None:
    server.answers("/feed", reply(status, Retry_After="120"))
    with pytest.raises(UpstreamUnavailable) as caught:
        http.get(f"{server.url}/feed")
    assert caught.value.status == status
    assert caught.value.retry_after == timedelta(minutes=2)
    assert len(server.requests) == 1, "an answer, even a bad one, is not asked for again within the call"


@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 410, 418, 451])
def test_lasting_statuses_are_rejected(server: Loopback, http: HttpClient, status: int) -> None:
    server.answers("/feed", reply(status))
    with pytest.raises(UpstreamRejected) as caught:
        http.get(f"{server.url}/feed")
    assert caught.value.status == status
    assert caught.value.url == f"{server.url}/feed"


def test_the_message_says_what_they_said_and_keeps_the_query_out(server: Loopback, http: HttpClient) -> None:
    said = json.dumps({"error": "Too big: expected \u202e number\n to be <=100"}, ensure_ascii=False).encode()
    server.answers("/api", reply(400, said, Content_Type="application/json"))
    with pytest.raises(UpstreamRejected) as caught:
        http.get(f"{server.url}/api?api_key=hush")
    assert "127.0.0.1/api answered 400" in str(caught.value)
    assert "Too big: expected" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "\u202e" not in str(caught.value)


@pytest.mark.parametrize("expected", [(), (403,)])
def test_an_error_that_throws_the_key_of_an_address_back_does_not_tell_it(
    server: Loopback, http: HttpClient, expected: tuple[int, ...]
) -> None:
    said = json.dumps({"error": "the key 'not for/you' (not+for%2Fyou) is not known here"}).encode()
    server.answers("/api", reply(403, said, Content_Type="application/json"))
    try:
        answer = http.get(f"{server.url}/api?n=1&api_key=not+for%2Fyou", expect_statuses=expected)
        shown = answer.body.decode()
    except UpstreamRejected as error:
        shown = str(error)
    assert "the key '***' (***) is not known here" in shown
    assert [seen.path for seen in server.requests] == ["/api?n=1&api_key=not+for%2Fyou"]


def test_an_expected_status_comes_back_with_its_body(server: Loopback, http: HttpClient) -> None:
    server.answers("/api", reply(400, b"<feed/>"))
    fetched = http.get(f"{server.url}/api", expect_statuses={400})
    assert isinstance(fetched, Fetched)
    assert (fetched.status, fetched.body) == (400, b"<feed/>")


def test_an_expected_error_that_throws_a_secret_back_does_not_tell_it(server: Loopback) -> None:
    server.answers("/api", reply(401, b"bad token glpat-a-secret-1"))
    server.answers("/page", reply(200, b"what glpat-a-secret-1 means"))
    with HttpClient(user_agent="tests", allowed_private_hosts={"127.0.0.1"}, secrets=["glpat-a-secret-1"]) as careful:
        refused = careful.get(f"{server.url}/api", expect_statuses={401})
        page = careful.get(f"{server.url}/page")
    assert isinstance(refused, Fetched)
    assert isinstance(page, Fetched)
    assert refused.body == b"bad token ***"
    assert page.body == b"what glpat-a-secret-1 means"  # a document is kept as it came


def test_expecting_a_403_does_not_hide_a_spent_quota(server: Loopback, http: HttpClient) -> None:
    server.answers("/api", reply(403, b"no", X_RateLimit_Remaining="0"))
    with pytest.raises(RateLimited):
        http.get(f"{server.url}/api", expect_statuses={403})


EPOCH = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "60"}, 60),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "99999999999999999999"}, 7 * 86_400),
        ({"retry-after": email.utils.format_datetime(EPOCH + timedelta(seconds=90), usegmt=True)}, 90),
        ({"retry-after": email.utils.format_datetime(EPOCH - timedelta(hours=1), usegmt=True)}, 0),
        (
            {
                "retry-after": "Tue, 24 Nov 2026 11:00:30 GMT",
                "date": "Tue, 24 Nov 2026 11:00:00 GMT",
            },
            30,
        ),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"ratelimit": '"api";r=0;t=123'}, 123),
        ({"ratelimit": '"api";r=12;t=123'}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(EPOCH.timestamp()) + 600)}, 600),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": str(int(EPOCH.timestamp()) + 600)}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "45"}, 45),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "\u0661\u0662"}, None),
        ({}, None),
    ],
)
def test_how_long_they_ask_us_to_wait(headers: dict[str, str], seconds: int | None) -> None:
    assert parse_wait(headers, now=EPOCH) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (reply(429), None),
        (reply(429, b"Rate exceeded.", Retry_After="5"), 5),
        (reply(429, RateLimit='"api";r=0;t=77'), 77),
        (reply(403, Retry_After="60"), 60),
        (reply(403, b'{"message": "You have exceeded a secondary rate limit."}'), 60),
        (reply(403, gzip.compress(b"You have exceeded a Secondary Rate Limit"), Content_Encoding="gzip"), 60),
    ],
)
def test_rate_limits_are_told_from_refusals(
    server: Loopback, http: HttpClient, answer: bytes, seconds: int | None
) -> None:
    server.answers("/api", answer)
    with pytest.raises(RateLimited) as caught:
        http.get(f"{server.url}/api")
    assert caught.value.retry_after == (None if seconds is None else timedelta(seconds=seconds))
    assert len(server.requests) == 1


def test_a_spent_github_quota_waits_for_its_reset(server: Loopback, http: HttpClient) -> None:
    reset_at = int(time.time()) + 600
    server.answers("/api", reply(403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(reset_at)))
    with pytest.raises(RateLimited) as caught:
        http.get(f"{server.url}/api")
    assert caught.value.retry_after is not None
    assert 590 <= caught.value.retry_after.total_seconds() <= 600


def test_errors_survive_pickling(server: Loopback, http: HttpClient) -> None:
    server.answers("/api", reply(429, Retry_After="5"))
    with pytest.raises(RateLimited) as caught:
        http.get(f"{server.url}/api")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.status, copy.retry_after) == (str(caught.value), 429, timedelta(seconds=5))


# Bodies


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("gzip", gzip.compress(b"plain text" * 1000)),
        ("GZIP", gzip.compress(b"plain text" * 1000)),
        ("x-gzip", gzip.compress(b"plain text" * 1000)),
        ("gzip", gzip.compress(b"plain text" * 400) + gzip.compress(b"plain text" * 600)),
        ("gzip", gzip.compress(b"plain text" * 1000) + b"\x00" * 600),
        ("deflate", zlib.compress(b"plain text" * 1000)),
        ("deflate", zlib.compress(b"plain text" * 1000)[2:-4]),
        ("identity", b"plain text" * 1000),
        ("", b"plain text" * 1000),
    ],
)
def test_bodies_are_decoded(server: Loopback, http: HttpClient, encoding: str, encoded: bytes) -> None:
    server.answers("/feed", reply(200, encoded, Content_Encoding=encoding))
    fetched = http.get(f"{server.url}/feed")
    assert isinstance(fetched, Fetched)
    assert fetched.body == b"plain text" * 1000


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_compressed_body_may_come_in_any_pieces(server: Loopback, http: HttpClient, size: int) -> None:
    packed = gzip.compress(bytes(range(256)) * 40) + gzip.compress(b"second member" * 9)
    pieces = [packed[i : i + size] for i in range(0, len(packed), size)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    server.answers("/feed", head + chunked)
    fetched = http.get(f"{server.url}/feed")
    assert isinstance(fetched, Fetched)
    assert fetched.body == bytes(range(256)) * 40 + b"second member" * 9


@pytest.mark.parametrize(
    ("encoding", "body", "error", "words"),
    [
        ("br", b"x", UpstreamRejected, "encoded as 'br'"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x")), UpstreamRejected, "encoded as"),
        ("gzip", b"<rss>not packed at all</rss>", UpstreamRejected, "is said to be gzip and is not"),
        ("gzip", gzip.compress(b"x" * 1000)[:-9], UpstreamUnavailable, "ends too early"),
        ("gzip", gzip.compress(b"x") * 500, UpstreamRejected, "too many members"),
    ],
)
def test_bodies_that_cannot_be_decoded_are_refused(
    server: Loopback, http: HttpClient, encoding: str, body: bytes, error: type[Exception], words: str
) -> None:
    server.answers("/feed", reply(200, body, Content_Encoding=encoding))
    with pytest.raises(error, match=words):
        http.get(f"{server.url}/feed")


def bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(megabytes)) + packer.flush()


def test_a_bomb_of_200_megabytes_is_refused_in_little_memory(server: Loopback, http: HttpClient) -> None:
    packed = bomb(200)
    server.answers("/feed", reply(200, packed, Content_Encoding="gzip"))
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamRejected, match="larger than 2,000,000 bytes once unpacked"):
            http.get(f"{server.url}/feed")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(packed) < 250_000
    assert peak < 8_000_000


def test_an_endless_body_is_cut_at_the_wire_cap(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536))
    began = time.monotonic()
    with pytest.raises(UpstreamRejected, match="larger than 1,000,000 bytes"):
        http.get(f"{server.url}/feed")
    assert time.monotonic() - began < 30


def test_a_body_announced_too_large_is_not_read(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n")
    with pytest.raises(UpstreamRejected, match="5,000,000,000"):
        http.get(f"{server.url}/feed")


def test_endless_headers_are_refused(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", flood(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 60_000 + b"\r\n"))
    with pytest.raises((UpstreamRejected, UpstreamUnavailable)):
        http.get(f"{server.url}/feed")


# One deadline


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n"), id="headers one at a time"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", b"x"), id="body byte by byte"),
        pytest.param(drip(b"", b""), id="nothing at all"),
        pytest.param(drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), id="hints for ever"),
        pytest.param(drip(b"HTTP/1.1 500 No\r\nContent-Length: 9000\r\n\r\n", b"x"), id="an error's body"),
    ],
)
def test_a_drip_is_cut_at_the_deadline(server: Loopback, script: Script) -> None:
    server.answers("/feed", script)
    began = time.monotonic()
    with impatient(server) as http, pytest.raises(UpstreamUnavailable):
        http.get(f"{server.url}/feed")
    assert 0.5 < time.monotonic() - began < 20


def test_redirects_share_one_deadline(server: Loopback) -> None:
    def slow(connection: socket.socket, seen: Seen) -> None:
        time.sleep(0.25)
        connection.sendall(reply(302, Location=f"/feed?{len(server.requests)}"))

    server.answers("/feed", slow)
    began = time.monotonic()
    with impatient(server) as http, pytest.raises(UpstreamUnavailable, match=r"within 0\.6 s"):
        http.get(f"{server.url}/feed")
    assert time.monotonic() - began < 20


def test_a_slow_name_server_is_not_waited_for() -> None:
    gate = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        gate.wait(60)
        return ["93.184.216.34"]

    began = time.monotonic()
    with (
        HttpClient(user_agent=USER_AGENT, deadline_s=0.4, resolver=resolver) as http,
        pytest.raises(UpstreamUnavailable, match=r"no connection within 0\.4 s"),
    ):
        http.get("http://slow.example/")
    assert time.monotonic() - began < 20
    gate.set()


def test_a_receiver_that_does_not_read_is_cut_at_the_deadline(server: Loopback) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    began = time.monotonic()
    with (
        HttpClient(user_agent=USER_AGENT, deadline_s=0.5, allowed_private_hosts={"127.0.0.1"}) as http,
        pytest.raises(UpstreamUnavailable),
    ):
        http.post(f"http://127.0.0.1:{port}/", content=bytes(20_000_000))
    assert time.monotonic() - began < 20
    listener.close()


def test_there_is_no_further_try_after_the_deadline(server: Loopback) -> None:
    def slow_reset(connection: socket.socket, seen: Seen) -> None:
        time.sleep(0.5)
        reset(connection, seen)

    server.answers("/feed", slow_reset)
    with impatient(server) as http, pytest.raises(UpstreamUnavailable):
        http.get(f"{server.url}/feed")
    assert len(server.requests) == 1


# Tries


def test_a_reset_is_tried_again(server: Loopback, http: HttpClient, naps: list[float]) -> None:
    server.answers("/feed", reset, reply(200, b"here"))
    fetched = http.get(f"{server.url}/feed")
    assert isinstance(fetched, Fetched)
    assert fetched.body == b"here"
    assert len(server.requests) == 2
    assert len(naps) == 1
    assert 0 < naps[0] < 1


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", id="cut short"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", id="another protocol"),
    ],
)
def test_three_tries_are_made_and_no_more(server: Loopback, http: HttpClient, naps: list[float], broken: bytes) -> None:
    def script(connection: socket.socket, seen: Seen) -> None:
        connection.sendall(broken)
        hang_up(connection, seen)

    server.answers("/feed", script)
    with pytest.raises(UpstreamUnavailable) as caught:
        http.get(f"{server.url}/feed")
    assert caught.value.__cause__ is not None
    assert len(naps) == 2
    assert len(server.requests) == 3


def test_a_refused_connection_is_unavailable(server: Loopback, http: HttpClient, naps: list[float]) -> None:
    server.close()
    spare = socket.create_server(("127.0.0.1", 0))
    port = spare.getsockname()[1]
    spare.close()
    with (
        HttpClient(user_agent="x", allowed_private_hosts={"127.0.0.1"}, sleep=naps.append) as client,
        pytest.raises(UpstreamUnavailable, match="refused"),
    ):
        client.get(f"http://127.0.0.1:{port}/")
    assert len(naps) == 2


def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with (
        HttpClient(user_agent="x", resolver=resolver, attempts=1) as client,
        pytest.raises(UpstreamUnavailable, match="Name or service not known"),
    ):
        client.get("http://nowhere.example/")


# Redirects


def test_a_permanent_redirect_is_followed_and_reported(server: Loopback, http: HttpClient) -> None:
    server.answers("/old", reply(301, Location="/newer"))
    server.answers("/newer", reply(308, Location=f"{server.url}/newest#top"))
    server.answers("/newest", reply(200, b"here"))
    fetched = http.get(f"{server.url}/old")
    assert isinstance(fetched, Fetched)
    assert fetched.permanent_url == fetched.final_url == f"{server.url}/newest"
    assert fetched.url == f"{server.url}/old"


def test_a_move_counts_as_permanent_up_to_the_first_temporary_one(server: Loopback, http: HttpClient) -> None:
    server.answers("/old", reply(301, Location="/moved"))
    server.answers("/moved", reply(302, Location="/today"))
    server.answers("/today", reply(301, Location="/here"))
    server.answers("/here", reply(200))
    assert http.get(f"{server.url}/old").permanent_url == f"{server.url}/moved"
    assert http.get(f"{server.url}/moved").permanent_url is None


def test_a_redirected_304_reports_the_move_too(server: Loopback, http: HttpClient) -> None:
    server.answers("/old", reply(301, Location="/new"))
    server.answers("/new", reply(304))
    answer = http.get(f"{server.url}/old", validators=Validators('"a"'))
    assert isinstance(answer, NotModified)
    assert answer.permanent_url == f"{server.url}/new"


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("gopher://127.0.0.1/", "only http and https"),
        ("http://127.0.0.2/", "a loopback address"),
        ("http://[::1]/", "a loopback address"),
        ("http://169.254.169.254/latest/meta-data/", "metadata"),
        ("http://10.0.0.1/", "BROADSHEET_ALLOWED_PRIVATE_HOSTS"),
        ("http://2130706433/", "a number posing as a host"),
        ("http://127.0.0.1:1/", "port 1 of 127.0.0.1 is refused"),
        ("http://user:secret@example.org/", "user name or password"),
        ("http://exa mple.org/", "no host name"),
        ("", "without saying where to"),
    ],
)
def test_redirects_are_checked_like_any_address(server: Loopback, http: HttpClient, location: str, words: str) -> None:
    server.answers("/feed", reply(302, Location=location))
    with pytest.raises(UpstreamRejected, match=words) as caught:
        http.get(f"{server.url}/feed")
    assert "secret" not in str(caught.value) + caught.value.url


def test_a_redirect_loop_ends(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", reply(301, Location="/feed"))
    with pytest.raises(UpstreamRejected, match="more than 5 times"):
        http.get(f"{server.url}/feed")
    assert len(server.requests) == 6


def test_credentials_stay_with_their_host(server: Loopback) -> None:
    other = Loopback()
    server.answers("/here", reply(302, Location="/still-here"))
    server.answers("/still-here", reply(302, Location=f"http://127.0.0.1:{other.port}/there"))
    other.answers("/there", reply(200))
    secrets = {"Authorization": "Bearer hush", "Cookie": "a=b", "X-Api-Key": "hush", "Accept": "text/xml"}
    with HttpClient(user_agent="x", allowed_private_hosts={"127.0.0.1"}) as http:
        http.get(f"{server.url}/here", headers=secrets, validators=Validators('"1"'))
    assert server.requests[1].headers["authorization"] == "Bearer hush"
    there = other.requests[0].headers
    assert not {"authorization", "cookie", "x-api-key"} & set(there)
    assert there["accept"] == "text/xml"
    assert there["if-none-match"] == '"1"'
    other.close()


def test_cookies_are_not_kept(server: Loopback, http: HttpClient) -> None:
    server.answers("/feed", reply(302, Location="/feed2", Set_Cookie="id=1; Path=/"))
    server.answers("/feed2", reply(200, Set_Cookie="id=2; Path=/"))
    http.get(f"{server.url}/feed")
    http.get(f"{server.url}/feed2")
    assert all("cookie" not in seen.headers for seen in server.requests)


# POST


def test_a_post_sends_json(server: Loopback, http: HttpClient) -> None:
    server.answers("/graphql", reply(200, b'{"data": {}}', X="1"))
    fetched = http.post(f"{server.url}/graphql", json={"q": "é"}, headers={"Authorization": "Bearer t"})
    sent = server.requests[0]
    assert (sent.method, sent.body) == ("POST", '{"q":"é"}'.encode())
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["authorization"] == "Bearer t"
    assert fetched.body == b'{"data": {}}'
    assert fetched.header("x") == "1"


def test_a_post_sends_bytes_as_they_are(server: Loopback, http: HttpClient) -> None:
    server.answers("/hook", reply(202, b"ok"))
    assert http.post(f"{server.url}/hook", content=b"\x00\xff", headers={"Content-Type": "x/y"}).status == 202
    assert server.requests[0].body == b"\x00\xff"
    assert server.requests[0].headers["content-type"] == "x/y"


def test_a_post_is_not_repeated_once_it_was_sent(server: Loopback, http: HttpClient) -> None:
    server.answers("/hook", reset)
    with pytest.raises(UpstreamUnavailable):
        http.post(f"{server.url}/hook", json={})
    assert len(server.requests) == 1


def test_a_post_is_tried_again_while_nothing_was_sent(naps: list[float]) -> None:
    with (
        HttpClient(user_agent="x", allowed_private_hosts={"127.0.0.1"}, sleep=naps.append) as http,
        pytest.raises(UpstreamUnavailable),
    ):
        http.post("http://127.0.0.1:1/hook", json={})
    assert len(naps) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304])
def test_a_post_is_not_redirected(server: Loopback, http: HttpClient, status: int) -> None:
    server.answers("/hook", reply(status, Location="/other"))
    with pytest.raises(UpstreamRejected, match=str(status)):
        http.post(f"{server.url}/hook", json={})
    assert len(server.requests) == 1


def test_the_path_of_a_post_is_kept_out_of_messages(server: Loopback, http: HttpClient) -> None:
    server.answers("/services/T0/B0/hush", reply(404, b"no_service", Content_Type="text/plain"))
    with pytest.raises(UpstreamRejected, match=r"127\.0\.0\.1 answered 404: no_service") as caught:
        http.post(f"{server.url}/services/T0/B0/hush", json={})
    assert "hush" not in str(caught.value)


# Names and addresses


@pytest.fixture
def dialled(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses dialled; whatever they are, the loopback server answers."""
    real = httpcore.SyncBackend.connect_tcp
    found: list[str] = []

    def connect(self: httpcore.SyncBackend, host: str, port: int, *rest: object) -> object:
        found.append(host)
        return real(self, "127.0.0.1", server.port)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    return found


def test_only_the_checked_address_is_dialled(server: Loopback, dialled: list[str]) -> None:
    answers = itertools.cycle([["93.184.216.34"], ["127.0.0.1"]])
    lookups: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        lookups.append(host)
        return next(answers)

    server.answers("/feed", reply(200, b"public", Connection="close"))
    with HttpClient(user_agent="x", resolver=rebinding) as http:
        fetched = http.get("http://rebind.example/feed")
        assert isinstance(fetched, Fetched)
        assert fetched.body == b"public"
        with pytest.raises(UpstreamRejected, match=r"rebind.example resolves to 127\.0\.0\.1, a loopback address"):
            http.get("http://rebind.example/feed")
    assert dialled == ["93.184.216.34"]
    assert lookups == ["rebind.example", "rebind.example"]
    assert server.requests[0].headers["host"] == "rebind.example"


def test_one_private_answer_among_public_ones_condemns_the_name(dialled: list[str]) -> None:
    with (
        HttpClient(user_agent="x", resolver=lambda host, port: ["93.184.216.34", "10.1.2.3"]) as http,
        pytest.raises(UpstreamRejected, match=r"10\.1\.2\.3, a private address"),
    ):
        http.get("http://mixed.example/")
    assert dialled == []


def test_the_next_address_is_tried_when_one_does_not_answer(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    real = httpcore.SyncBackend.connect_tcp

    def connect(self: httpcore.SyncBackend, host: str, port: int, *rest: object) -> object:
        if ":" in host:
            raise httpcore.ConnectError("Network is unreachable")
        return real(self, "127.0.0.1", server.port)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    server.answers("/", reply(200))
    addresses = ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "93.184.216.34"]
    with HttpClient(user_agent="x", resolver=lambda host, port: addresses, attempts=1) as http:
        assert http.get("http://both.example/").url == "http://both.example/"


def test_a_stranger_cannot_redirect_to_a_host_only_the_operator_may_name(server: Loopback, dialled: list[str]) -> None:
    server.answers("/feed", reply(302, Location="http://intranet.example:8080/admin"))
    with (
        HttpClient(
            user_agent="x",
            resolver=lambda host, port: ["93.184.216.34"],
            allowed_private_hosts={"intranet.example:8080"},
        ) as http,
        pytest.raises(UpstreamRejected, match="allowed only when asked for directly"),
    ):
        http.get("http://stranger.example/feed")
    assert dialled == ["93.184.216.34"]


def test_proxies_of_the_environment_are_ignored(
    server: Loopback, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answers("/feed", reply(200, b"direct"))
    assert http.get(f"{server.url}/feed").status == 200


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is needed to make a certificate")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


def test_tls_and_the_host_header_see_the_name(tmp_path: Path) -> None:
    key, certificate = make_certificate(tmp_path, "feeds.example")
    names: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.sni_callback = lambda sock, name, context: names.append(name)
    server = Loopback(tls=tls)
    server.answers("/feed", reply(200, b"sealed"))
    trusting = ssl.create_default_context(cafile=str(certificate))
    settings = {
        "user_agent": "x",
        "resolver": lambda host, port: ["127.0.0.1"],
        "sleep": lambda seconds: None,
    }
    allowed = {f"feeds.example:{server.port}", f"other.example:{server.port}"}
    with HttpClient(**settings, allowed_private_hosts=allowed, ssl_context=trusting) as http:  # type: ignore[arg-type]
        fetched = http.get(f"https://feeds.example:{server.port}/feed")
        assert isinstance(fetched, Fetched)
        assert fetched.body == b"sealed"
        with pytest.raises(UpstreamUnavailable, match="certificate"):
            http.get(f"https://other.example:{server.port}/feed")
    assert names == ["feeds.example", "other.example"], "a bad certificate is not tried again"
    assert [seen.headers["host"] for seen in server.requests] == [f"feeds.example:{server.port}"]
    with (
        HttpClient(**settings, allowed_private_hosts=allowed) as http,  # type: ignore[arg-type]
        pytest.raises(UpstreamUnavailable, match="certificate"),
    ):
        http.get(f"https://feeds.example:{server.port}/feed")
    server.close()


def test_credentials_do_not_leave_https_for_http(tmp_path: Path) -> None:
    key, certificate = make_certificate(tmp_path, "api.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = Loopback(tls=tls)
    server.answers("/feed", reply(302, Location="http://api.example/feed"))
    with (
        HttpClient(
            user_agent="x",
            resolver=lambda host, port: ["127.0.0.1"],
            allowed_private_hosts={"api.example"},
            ssl_context=ssl.create_default_context(cafile=str(certificate)),
        ) as http,
        pytest.raises(UpstreamRejected, match="from https to http"),
    ):
        http.get(f"https://api.example:{server.port}/feed", headers={"Authorization": "Bearer hush"})
    server.close()


# Many at once


def test_threads_share_a_client_and_each_keeps_its_own_deadline(server: Loopback, http: HttpClient) -> None:
    server.answers("/quick", lambda connection, seen: connection.sendall(reply(200, seen.path.encode())))
    server.answers("/slow", drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"))

    def quick(number: int) -> bool:
        fetched = http.get(f"{server.url}/quick?{number}")
        return isinstance(fetched, Fetched) and fetched.body == f"/quick?{number}".encode()

    with impatient(server) as hasty, ThreadPoolExecutor(8) as pool:
        slow = pool.submit(hasty.get, f"{server.url}/slow")
        assert all(pool.map(quick, range(200)))
        with pytest.raises(UpstreamUnavailable):
            slow.result(timeout=5)


def test_a_connection_is_used_again_after_an_unchanged_answer(server: Loopback, http: HttpClient) -> None:
    ports: set[int] = set()

    def script(connection: socket.socket, seen: Seen) -> None:
        ports.add(connection.getpeername()[1])
        connection.sendall(reply(304))

    server.answers("/feed", script)
    for _ in range(5):
        http.get(f"{server.url}/feed", validators=Validators('"a"'))
    assert len(ports) == 1
