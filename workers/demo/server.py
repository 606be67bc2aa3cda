"""The sockets of the replay: a threaded HTTP/1.1 server on 127.0.0.1 that can also misbehave."""

from __future__ import annotations

import contextlib
import gzip
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from workers.demo.exchange import Answer, Ask, text_answer
from workers.demo.faults import Trouble

MAX_BODY = 5_000_000
MIN_GZIP = 1_000
_NO_BODY = frozenset({204, 304})

Handle = Callable[[Ask], Answer]
Meet = Callable[[str], Trouble]
Record = Callable[[datetime, str, str, Mapping[str, str], int], None]


class LoopbackServer:
    """Answers requests by `handle`, after asking `meet` for trouble and telling `record` the outcome."""

    def __init__(self, port: int, handle: Handle, meet: Meet, record: Record) -> None:
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.handle, self._http.meet, self._http.record = handle, meet, record
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="replay", daemon=True
        )

    def start(self) -> None:
        """Answer in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and cut every open connection, idle or not."""
        self._http.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._http.cut_connections()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    handle: Handle
    meet: Meet
    record: Record

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # Without the look-up of the host's name, which can take seconds where there is no network.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """A client that keeps a connection alive must notice that the service is gone."""
        with self._open_lock:
            for connection in self._open:
                # The client may have closed it at the same moment: then there is nothing to cut.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is ordinary; anything else is a fault of the replay and shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "replay"
    sys_version = ""
    # Head and body leave in one piece: written apart they would wait for each other's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    # Python's http.server closes a silent connection after this many seconds.
    timeout = 120

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are recorded, not printed."""

    def _serve(self) -> None:
        server = cast("_Server", self.server)
        at = datetime.now(UTC)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        trouble = server.meet(self.path)
        if trouble.hang_s and server.stopping.wait(trouble.hang_s):
            trouble = Trouble(drop=True)
        if trouble.drop:
            server.record(at, self.command, self.path, headers, 0)
            self.close_connection = True
            return
        if body is None:
            self.close_connection = True
            answer = text_answer("A body needs a Content-Length of at most five million.", 413)
        elif trouble.answer is not None:
            answer = trouble.answer
        else:
            answer = server.handle(self._ask(server, at, headers, body))
        # Recorded before it is sent: who has read an answer finds it in the record.
        server.record(at, self.command, self.path, headers, answer.status)
        self._send(answer, headers, truncate=trouble.truncate)

    def _ask(self, server: _Server, at: datetime, headers: Mapping[str, str], body: bytes) -> Ask:
        parts = urlsplit(self.path)
        return Ask(
            method=self.command,
            path=unquote(parts.path),
            query=parse_qs(parts.query, keep_blank_values=True),
            headers=headers,
            body=body,
            base_url=f"http://127.0.0.1:{server.server_address[1]}",
            now=at,
        )

    def _body(self, headers: Mapping[str, str]) -> bytes | None:
        """The request's body; `None` when it cannot be read safely."""
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY:
            return None
        return self.rfile.read(int(length))

    def _send(self, answer: Answer, headers: Mapping[str, str], *, truncate: bool) -> None:
        body, names = answer.body, dict(answer.headers)
        if len(body) >= MIN_GZIP and "gzip" in headers.get("accept-encoding", ""):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            names["Content-Encoding"] = "gzip"
        self.send_response(answer.status)
        for name, value in names.items():
            self.send_header(name, value)
        if answer.status not in _NO_BODY:
            self.send_header("Content-Length", str(len(body)))
        if truncate or self.close_connection:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and answer.status not in _NO_BODY:
            self.wfile.write(body[: len(body) // 2] if truncate else body)
