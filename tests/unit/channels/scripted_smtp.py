"""A mail server that misbehaves exactly where it is told to."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

CLOSE = "close"
"""Hang up instead of answering."""
SILENCE = "silence"
"""Never answer."""

_DEFAULTS = {
    "CONNECT": "220 scripted ready",
    "EHLO": "250-scripted\r\n250-SIZE 10000000\r\n250 ENHANCEDSTATUSCODES",
    "MAIL": "250 2.1.0 sender ok",
    "RCPT": "250 2.1.5 recipient ok",
    "DATA": "354 go ahead",
    "DOT": "250 2.0.0 queued as 42",
    "RSET": "250 2.0.0 reset",
    "NOOP": "250 2.0.0 here",
    "QUIT": "221 2.0.0 bye",
}


class ScriptedSmtp:
    """Listens on a free loopback port. `script` maps a step to its first answers; then all is well."""

    def __init__(self, **script: list[str]) -> None:
        self._script = {step: list(answers) for step, answers in script.items()}
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.connections = 0
        self._stopping = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        self._thread.join(5)

    def drop_connections(self) -> None:
        """End every open connection, as a server does that is tired of waiting."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("rb") as lines:
            if not self._answer(connection, "CONNECT"):
                return
            for line in lines:
                command = line.decode("latin-1").strip()
                self.commands.append(command)
                step = command.split(" ")[0].upper().split(":")[0]
                going = self._answer(connection, step)
                if step == "DATA" and going == "354":
                    body = b""
                    while not body.endswith(b"\r\n.\r\n") and (piece := lines.readline()):
                        body += piece
                    if not body.endswith(b"\r\n.\r\n"):
                        return
                    # Kept before it is answered for, so that a test that has its answer finds it here.
                    self.messages.append(body)
                    going = self._answer(connection, "DOT")
                    if not going.startswith("2"):
                        self.messages.remove(body)
                if not going or step == "QUIT":
                    return

    def _answer(self, connection: socket.socket, step: str) -> str:
        waiting = self._script.get(step, [])
        answer = waiting.pop(0) if waiting else _DEFAULTS.get(step, "502 5.5.1 unknown")
        if answer == SILENCE:
            self._stopping.wait(10)
            return ""
        if answer == CLOSE:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            return ""
        connection.sendall(answer.encode() + b"\r\n")
        return answer[:3]
