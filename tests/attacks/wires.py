"""Connections that lead nowhere: the real client above them, scripted answers below, and a list of what was dialled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import httpcore
import httpx

from services.upstreams.http import HttpClient

PUBLIC = "93.184.216.34"
_TLS = httpx.create_ssl_context(trust_env=False)  # one for all: it takes longer to make than a test takes


class _Socket:
    def __init__(self, sent: bytearray) -> None:
        self._sent = sent

    def settimeout(self, _: float) -> None:
        """Nothing here takes time."""

    def send(self, data: memoryview) -> int:
        """Take it all."""
        self._sent += data
        return len(data)


class _Wire(httpcore.MockStream):
    """An answer chosen by the request line and the Host header it is asked with."""

    def __init__(self, answer: Callable[[str, str], bytes]) -> None:
        super().__init__([])
        self._answer = answer
        self._sent = bytearray()
        self._left: bytes | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What the server says."""
        if self._left is None:
            lines = bytes(self._sent).decode("latin-1").split("\r\n")
            host = next(line[6:] for line in lines if line.lower().startswith("host: "))
            self._left = self._answer(host, lines[0].split(" ")[1])
        data, self._left = self._left[:max_bytes], self._left[max_bytes:]
        return data

    def get_extra_info(self, info: str) -> Any:
        """The socket that is written to."""
        return _Socket(self._sent) if info == "socket" else None


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An answer as bytes, its connection closed after it."""
    lines = [f"HTTP/1.1 {status} Something", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body


@contextmanager
def world(
    answers: Mapping[str, bytes], names: Callable[[str, int], Collection[str]] | None = None, **options: Any
) -> Iterator[tuple[HttpClient, list[str]]]:
    """A client whose connections get `answers` (by `host/path`), and the list of addresses it dials.

    `names` is the resolver; without one every name is a public address.
    """
    dialled: list[str] = []

    def connect(_: object, host: str, *__: object, **___: object) -> httpcore.NetworkStream:
        dialled.append(host)
        return _Wire(lambda asked, path: answers.get(f"{asked}{path}", answer(404)))

    with (
        patch.object(httpcore.SyncBackend, "connect_tcp", connect),
        HttpClient(
            user_agent="attacks",
            resolver=names or (lambda *_: [PUBLIC]),
            sleep=lambda _: None,
            attempts=1,
            ssl_context=_TLS,
            **options,
        ) as http,
    ):
        yield http, dialled
