"""HTTP/2 with the hosts that are asked much: one exchange at a time on a connection, and every promise kept."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

from services.domain.errors import RateLimited, UpstreamRejected, UpstreamUnavailable
from services.upstreams.http import Fetched, HttpClient, NotModified, Validators
from tests.unit.upstreams.test_http import make_certificate

NAME = "api.example"
MB = 1_000_000


@dataclass
class Talk:
    """One connection of the server: its HTTP/2 state, its socket, how many requests it carried."""

    h2: H2Connection
    wire: ssl.SSLSocket
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0

    def flush(self) -> None:
        """Send what is to be sent."""
        data = self.h2.data_to_send()
        self.bytes_out += len(data)
        self.wire.sendall(data)

    def answer(self, stream: int, status: int, /, body: bytes = b"", **headers: Any) -> None:
        """A whole answer."""
        pairs = [(":status", str(status)), *((name.replace("_", "-"), value) for name, value in headers.items())]
        self.h2.send_headers(stream, pairs, end_stream=not body)
        for start in range(0, len(body), 16_000):
            self.h2.send_data(stream, body[start : start + 16_000], end_stream=start + 16_000 >= len(body))
        self.flush()


Script = Callable[[Talk, int], None]


@dataclass
class Server:
    """A TLS server on 127.0.0.1 that speaks HTTP/2, and does to each path what its script says."""

    tls: ssl.SSLContext
    scripts: dict[str, Script] = field(default_factory=dict)
    talks: list[Talk] = field(default_factory=list)
    alpn: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str, name: str = NAME) -> str:
        """An address of this server."""
        return f"https://{name}:{self.port}{path}"

    def close(self) -> None:
        """Stop listening, and end what is open."""
        self._listener.close()
        for talk in self.talks:
            with suppress(OSError):
                talk.wire.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError, ProtocolError, KeyError):
            wire = self.tls.wrap_socket(plain, server_side=True)
            self.alpn.append(wire.selected_alpn_protocol())
            if self.alpn[-1] != "h2":
                wire.recv(65_536)
                wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nold")
                wire.close()
                return
            talk = Talk(H2Connection(H2Configuration(client_side=False, header_encoding="utf-8")), wire)
            self.talks.append(talk)
            talk.h2.initiate_connection()
            talk.flush()
            while data := wire.recv(65_536):
                talk.bytes_in += len(data)
                for event in talk.h2.receive_data(data):
                    self._meet(talk, event)
                talk.flush()

    def _meet(self, talk: Talk, event: Event) -> None:
        match event:
            case RequestReceived():
                talk.requests.append((dict(event.headers), b""))  # type: ignore[arg-type]
            case DataReceived():
                headers, body = talk.requests[-1]
                talk.requests[-1] = (headers, body + (event.data or b""))
                talk.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case StreamEnded():
                self.scripts[talk.requests[-1][0][":path"]](talk, event.stream_id or 0)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's TLS settings."""
    key, certificate = make_certificate(tmp_path_factory.mktemp("tls"), NAME)
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mine.load_cert_chain(certificate, key)
    mine.set_alpn_protocols(["h2", "http/1.1"])
    return mine, ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def server(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Server]:
    """A server."""
    one = Server(contexts[0])
    yield one
    one.close()


MakeClient = Callable[..., HttpClient]


@pytest.fixture
def make(server: Server, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[MakeClient]:
    """A maker of clients that trust the server."""
    made: list[HttpClient] = []

    def client(**more: Any) -> HttpClient:
        settings: dict[str, Any] = {
            "user_agent": "Broadsheet/0.1 (+https://broadsheet.example)", "http2_hosts": {NAME},
            "resolver": lambda host, port: ["127.0.0.1"], "allowed_private_hosts": {f"{NAME}:{server.port}"},
            "ssl_context": contexts[1], "sleep": lambda seconds: None, "deadline_s": 5.0,
        }  # fmt: skip
        made.append(HttpClient(**(settings | more)))
        return made[-1]

    yield client
    for one in made:
        one.close()


def says(status: int, body: bytes = b"", **headers: str) -> Script:
    return lambda talk, stream: talk.answer(stream, status, body, **headers)


def test_a_named_host_is_asked_by_http2_on_one_connection(server: Server, make: MakeClient) -> None:
    server.scripts["/a"] = says(200, gzip.compress(b"first"), content_encoding="gzip", etag='"1"')
    server.scripts["/b"] = says(304, etag='"1"')
    http = make()
    first = http.get(server.url("/a"))
    assert isinstance(first, Fetched)
    assert (first.body, first.validators.etag) == (b"first", '"1"')
    for _ in range(5):
        assert isinstance(http.get(server.url("/b"), validators=first.validators), NotModified)
    assert server.alpn == ["h2"]
    headers = server.talks[0].requests[-1][0]
    assert headers[":authority"] == f"{NAME}:{server.port}"
    assert headers["if-none-match"] == '"1"'
    assert headers["user-agent"].startswith("Broadsheet/")


def test_what_is_repeated_costs_little(server: Server, make: MakeClient) -> None:
    """A hundred questions whose answer is "not modified", with the headers GitHub sends."""
    many: dict[str, Any] = {
        f"x_header_{n}": f"a value that GitHub repeats in every answer, number {n}" for n in range(20)
    }
    server.scripts["/repos"] = lambda talk, stream: talk.answer(stream, 304, **many)
    http = make()
    for _ in range(100):
        http.get(server.url("/repos"), validators=Validators('"1"'))
    (talk,) = server.talks
    plain = 100 * sum(len(name) + len(value) + 4 for name, value in many.items())
    assert talk.bytes_out < plain / 8
    assert talk.bytes_in < 100 * 120


def test_a_stranger_is_not_offered_http2(server: Server, make: MakeClient) -> None:
    answer = make(http2_hosts={"other.example"}).get(server.url("/a"))
    assert isinstance(answer, Fetched)
    assert (answer.body, server.alpn) == (b"old", ["http/1.1"])


def test_a_named_host_that_speaks_no_http2_is_read_as_ever(
    server: Server, make: MakeClient, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    contexts[0].set_alpn_protocols(["http/1.1"])
    try:
        answer = make().get(server.url("/a"))
    finally:
        contexts[0].set_alpn_protocols(["h2", "http/1.1"])
    assert isinstance(answer, Fetched)
    assert (answer.body, server.alpn) == (b"old", ["http/1.1"])


def test_only_the_checked_address_is_dialled(server: Server, make: MakeClient) -> None:
    http = make(allowed_private_hosts=set())
    with pytest.raises(UpstreamRejected, match="refused"):
        http.get(server.url("/a"))
    with pytest.raises(UpstreamRejected, match="loopback"):
        http.get(f"https://{NAME}/a")
    assert server.alpn == []


def test_a_post_is_sent_whole(server: Server, make: MakeClient) -> None:
    server.scripts["/graphql"] = says(200, b"{}")
    make().post(server.url("/graphql"), json={"query": "x" * 200_000})
    headers, body = server.talks[0].requests[0]
    assert (headers["content-type"], len(body)) == ("application/json", 200_012)


def test_statuses_mean_what_they_always_mean(server: Server, make: MakeClient) -> None:
    server.scripts["/wait"] = says(429, b"slow down", retry_after="7")
    server.scripts["/gone"] = says(410, b"gone")
    server.scripts["/moved"] = says(301, b"there", location="/here")
    server.scripts["/here"] = says(200, b"here")
    http = make()
    with pytest.raises(RateLimited) as limited:
        http.get(server.url("/wait"))
    assert limited.value.retry_after == timedelta(seconds=7)
    with pytest.raises(UpstreamRejected):
        http.get(server.url("/gone"))
    moved = http.get(server.url("/moved"))
    assert isinstance(moved, Fetched)
    assert (moved.body, moved.permanent_url) == (b"here", server.url("/here"))


# -- time and size -----------------------------------------------------------------------------------------------


def drip(talk: Talk, stream: int) -> None:
    """A byte now and then, for ever."""
    talk.h2.send_headers(stream, [(":status", "200")])
    with suppress(OSError, ProtocolError):
        while True:
            talk.h2.send_data(stream, b"x")
            talk.flush()
            time.sleep(0.02)


def pings(talk: Talk, stream: int) -> None:
    """No answer, but signs of life."""
    with suppress(OSError, ProtocolError):
        while True:
            talk.h2.ping(b"12345678")
            talk.flush()
            time.sleep(0.02)


@pytest.mark.parametrize("script", [drip, pings])
def test_a_drip_is_cut_at_the_deadline(server: Server, make: MakeClient, script: Script) -> None:
    server.scripts["/drip"] = script
    began = time.monotonic()
    with pytest.raises(UpstreamUnavailable, match=r"within 0\.2 s"):
        make(deadline_s=0.2, attempts=1).get(server.url("/drip"))
    assert time.monotonic() - began < 20


def flood(talk: Talk, stream: int) -> None:
    """As much as the window lets through, over and over."""
    talk.h2.send_headers(stream, [(":status", "200")])
    with suppress(OSError, ProtocolError):
        while room := min(talk.h2.local_flow_control_window(stream), talk.h2.max_outbound_frame_size):
            talk.h2.send_data(stream, bytes(room))
            talk.flush()


def test_an_endless_body_is_cut_at_the_wire_cap(server: Server, make: MakeClient) -> None:
    server.scripts["/flood"] = flood
    server.scripts["/a"] = says(200, b"after it")
    http = make(max_wire_bytes=MB)
    with pytest.raises(UpstreamRejected, match="larger than 1,000,000 bytes"):
        http.get(server.url("/flood"))
    after = http.get(server.url("/a"))
    assert isinstance(after, Fetched)
    assert after.body == b"after it"
    assert len(server.talks) == 2, "what was left of the flood is on a connection that is closed"


def test_a_bomb_is_not_unpacked(server: Server, make: MakeClient) -> None:
    server.scripts["/bomb"] = says(200, gzip.compress(bytes(8 * MB)), content_encoding="gzip")
    with pytest.raises(UpstreamRejected, match="once unpacked"):
        make(max_body_bytes=MB).get(server.url("/bomb"))


def test_endless_headers_are_refused(server: Server, make: MakeClient) -> None:
    server.scripts["/headers"] = says(200, b"x", **{f"h{n}": "v" * 900 for n in range(100)})
    with pytest.raises((UpstreamUnavailable, UpstreamRejected)):
        make(attempts=1).get(server.url("/headers"))


# -- trouble -----------------------------------------------------------------------------------------------------


def nonsense(talk: Talk, stream: int) -> None:
    del stream
    talk.wire.sendall(b"\x00\x00\x05\x00\x00\x00\x00\x00\x01hello")


def refuse(talk: Talk, stream: int) -> None:
    talk.h2.reset_stream(stream, error_code=7)
    talk.flush()


def cut(talk: Talk, stream: int) -> None:
    talk.h2.send_headers(stream, [(":status", "200")])
    talk.h2.send_data(stream, b"half")
    talk.flush()
    talk.wire.shutdown(socket.SHUT_RDWR)


def go_away(talk: Talk, stream: int) -> None:
    del stream
    talk.h2.close_connection(last_stream_id=0)
    talk.flush()


@pytest.mark.parametrize("script", [nonsense, refuse, cut, go_away])
def test_a_broken_exchange_is_tried_again(server: Server, make: MakeClient, script: Script) -> None:
    def once(talk: Talk, stream: int) -> None:
        server.scripts["/a"] = says(200, b"whole")
        script(talk, stream)

    server.scripts["/a"] = once
    answer = make().get(server.url("/a"))
    assert isinstance(answer, Fetched)
    assert answer.body == b"whole"


@pytest.mark.parametrize("script", [nonsense, refuse, cut, go_away])
def test_a_broken_exchange_is_unavailable(server: Server, make: MakeClient, script: Script) -> None:
    server.scripts["/a"] = script
    with pytest.raises(UpstreamUnavailable):
        make(attempts=1).get(server.url("/a"))


def test_a_header_that_cannot_be_sent_is_our_fault(server: Server, make: MakeClient) -> None:
    server.scripts["/a"] = says(200, b"x")
    with pytest.raises(UpstreamRejected, match="cannot be sent"):
        make().get(server.url("/a"), headers={"x-note": "one\r\ntwo: three"})


def test_a_connection_that_was_closed_meanwhile_is_not_used_for_a_post(server: Server, make: MakeClient) -> None:
    """A POST is not repeated once it is on its way: it must not be sent where nobody listens."""
    server.scripts["/a"] = says(200, b"x")
    server.scripts["/graphql"] = says(200, b"{}")
    http = make()
    http.get(server.url("/a"))
    server.talks[0].h2.close_connection()
    server.talks[0].flush()
    server.talks[0].wire.shutdown(socket.SHUT_RDWR)
    assert http.post(server.url("/graphql"), json={}).body == b"{}"
    assert len(server.talks) == 2


# -- many at once ------------------------------------------------------------------------------------------------


def test_calls_of_many_threads_do_not_share_a_connection_at_once(server: Server, make: MakeClient) -> None:
    """Each has its own time and allowance: one that is cut off takes no other with it."""
    server.scripts["/slow"] = drip
    server.scripts["/quick"] = says(200, b"q" * 50_000)
    http, hasty = make(), make(deadline_s=0.3, attempts=1)
    with ThreadPoolExecutor(8) as threads:
        late = [threads.submit(hasty.get, server.url("/slow")) for _ in range(2)]
        for answer in threads.map(lambda _: http.get(server.url("/quick")), range(60)):
            assert isinstance(answer, Fetched)
            assert len(answer.body) == 50_000
        for one in late:
            with pytest.raises(UpstreamUnavailable):
                one.result(timeout=5)
    quick = [talk for talk in server.talks if talk.requests[0][0][":path"] == "/quick"]
    assert len(quick) <= 8
    assert sum(len(talk.requests) for talk in quick) == 60
