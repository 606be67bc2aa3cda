from __future__ import annotations

import builtins
import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from services.channels.apprise import AppriseChannel, fitting
from services.digests.short import calm
from services.domain.addresses import parse_address
from services.domain.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    InvalidInput,
    UpstreamUnavailable,
)
from services.domain.redaction import redact
from services.upstreams.http import HttpClient
from tests.servers import free_port

from .samples import MESSAGE, NOW, Intent

# Of the library's own imports.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SHORT = replace(
    MESSAGE, short=("Daily Papers", *(f"{n}. Paper\nWhy: new" for n in range(1, 31)), "Unsubscribe: https://x")
)


@contextmanager
def service(*statuses: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A loopback service that takes notifications as JSON; each answered with the next status, then 200."""
    taken: list[dict[str, Any]] = []
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status = left.pop(0) if left else 200
            if status:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_port, taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def root_log() -> Iterator[io.StringIO]:
    """All that reaches the log of a service that logs everything."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def channel() -> AppriseChannel:
    http = HttpClient(user_agent="x", allowed_private_hosts={"127.0.0.1"}, resolver=resolved)
    return AppriseChannel(http.check_host, clock=lambda: NOW)


def resolved(host: str, _: int) -> list[str]:
    """Names as a resolver knows them."""
    known = {
        "localhost": "127.0.0.1",
        "2130706433": "127.0.0.1",
        "intra.example": "10.1.2.3",
        "hook.example": "1.1.1.1",
    }
    if host == "slow.example":
        raise UpstreamUnavailable("too late")
    if host not in known and not {".", ":"} & set(host):
        raise OSError("no such name")
    return [known.get(host, host)]


def test_a_digest_arrives_once_with_a_receipt() -> None:
    intent = Intent()
    with service() as (port, taken):
        receipt = channel().send(SHORT, f"json://user:topsecret@127.0.0.1:{port}/hook", "d1", commit_intent=intent)
    (body,) = taken
    assert body["title"] == MESSAGE.subject
    assert body["message"].startswith("Daily Papers\n\n1. Paper\nWhy: new\n\n2. Paper")
    assert body["message"].endswith("Unsubscribe: https://x")
    assert (receipt.code, receipt.detail, receipt.accepted_at, intent.calls) == ("ok", "json (by Apprise)", NOW, 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (503, DeliveryDeferred), (429, DeliveryDeferred), (404, DeliveryRefused), (403, DeliveryRefused),
        (0, DeliveryUnknown),
    ],
)  # fmt: skip
def test_what_each_answer_means(status: int, kind: type[DeliveryError], root_log: io.StringIO) -> None:
    with service(status) as (port, taken), pytest.raises(DeliveryError) as caught:
        channel().send(SHORT, f"json://user:topsecret@127.0.0.1:{port}/alsosecret?retry=3", "d1")
    assert type(caught.value) is kind
    assert caught.value.code == (str(status) if status else "")
    assert len(taken) == 1, "who tries again is our job"
    said = f"{caught.value} {root_log.getvalue()}"
    assert "topsecret" not in said
    assert "alsosecret" not in said


def test_one_that_is_not_reached_is_tried_later() -> None:
    with pytest.raises(DeliveryDeferred, match="not reached"):
        channel().send(SHORT, f"json://127.0.0.1:{free_port()}/", "d1")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nosuchservice://topsecret", "can read"),
        ("json://", "can read"),
        ("dbus://", "this machine"),
        ("syslog://", "this machine"),
        ("json://10.0.0.1/topsecret", "private address"),
        ("json://localhost/topsecret", "private address"),
        ("json://[::1]/topsecret", "private address"),
        ("json://169.254.169.254/topsecret", "private address"),
        ("json://2130706433/topsecret", "private address"),
        ("json://intra.example:8080/topsecret", "private address"),
    ],
)
def test_addresses_that_cannot_work_are_refused(url: str, says: str) -> None:
    intent = Intent()
    with pytest.raises(DeliveryRefused, match=says) as caught:
        channel().send(SHORT, url, "d1", commit_intent=intent)
    assert "topsecret" not in str(caught.value)
    assert intent.calls == 0


def test_a_host_that_cannot_be_looked_up_is_asked_later() -> None:
    with pytest.raises(DeliveryDeferred, match="looked up"):
        channel().send(SHORT, "json://slow.example/topsecret", "d1")


@pytest.mark.parametrize("url", ["json://hook.example/", "discord://417421629843371081/JHMHI8qBe7bk2ZwO5U711o3dV_js"])
def test_a_public_host_and_a_token_in_its_place_pass(url: str) -> None:
    AppriseChannel(HttpClient(user_agent="x", resolver=resolved).check_host)._check(url.partition(":")[0], url)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "apprise":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DeliveryDeferred, match=r"pip install 'broadsheet\[apprise\]'"):
        channel().send(SHORT, "json://127.0.0.1/", "d1")


@pytest.mark.parametrize("room", [40, 60, 100, 200, 300, 32_000])
def test_a_message_is_cut_between_papers_and_keeps_its_foot(room: int) -> None:
    body = fitting(SHORT, room)
    assert len(body) <= room
    if room >= 100:
        assert body.startswith("Daily Papers")
        assert body.endswith("Unsubscribe: https://x")
        shown = body.count("Why: new")
        assert (f"… and {30 - shown} more" in body) == (shown < 30)


def test_a_message_without_a_short_form_is_its_text() -> None:
    assert fitting(MESSAGE, 1000) == MESSAGE.text.strip() or fitting(MESSAGE, 1000).startswith("One.")


@pytest.mark.parametrize("hostile", ["@everyone", "<@U123>", "<!channel>", "[free](https://evil.example)", "**b** _i_"])
def test_marks_of_chat_services_are_broken(hostile: str) -> None:
    calmed = calm(f"Hello {hostile}")
    assert hostile not in calmed
    assert calmed.replace("\u200b", "") == f"Hello {hostile}"


def test_the_address_is_read_and_never_shown() -> None:
    address = parse_address("apprise:tgram://123:topsecret/456")
    assert (address.channel, address.target) == ("apprise", "tgram://123:topsecret/456")
    assert parse_address(str(address)) == address
    assert "topsecret" not in redact(f"sent to {address} today")
    for bad in (
        "apprise:",
        "apprise:topsecret",
        "apprise:tgram://a b",
        "apprise:json://h/'x'",
        "apprise:x://" + "y" * 2000,
    ):
        with pytest.raises(InvalidInput) as caught:
            parse_address(bad)
        assert "topsecret" not in str(caught.value)
