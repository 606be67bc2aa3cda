from __future__ import annotations

import shutil
import smtplib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from services.channels import email
from services.channels.email import NotReached, SmtpChannel, build_mime
from services.domain.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    InvalidInput,
    LeaseLost,
)

from .samples import FROM, MESSAGE, NOW, TO, Intent
from .scripted_smtp import CLOSE, SILENCE, ScriptedSmtp


def channel_to(url: str, **options: Any) -> SmtpChannel:
    return SmtpChannel(url, FROM, **{"timeout_s": 5, "clock": lambda: NOW, **options})


class Sink:
    """Keeps what a real mail server would have accepted."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802  (the library's name)
        self.envelopes.append(envelope)
        return "250 2.0.0 queued as 7"


class FreePortController(Controller):
    """Lets the system choose the port and learns it before its own first knock."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = int(server.sockets[0].getsockname()[1])
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_server(sink: Sink, **options: Any) -> Iterator[int]:
    controller = FreePortController(sink, hostname="127.0.0.1", port=0, ready_timeout=20, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def test_a_mail_arrives_whole_for_one_recipient() -> None:
    sink, intent = Sink(), Intent()
    with mail_server(sink) as port:
        channel = channel_to(f"smtp://127.0.0.1:{port}")
        receipt = channel.send(MESSAGE, TO, "d1", commit_intent=intent)
        channel.close()
    assert receipt.code == "250 2.0.0"
    assert receipt.detail == f"127.0.0.1:{port} 2.0.0 queued as 7"
    assert receipt.accepted_at == NOW
    assert intent.calls == 1
    (envelope,) = sink.envelopes
    assert envelope.mail_from == "papers@papers.example.org"
    assert envelope.rcpt_tos == [TO]
    assert envelope.content == build_mime(MESSAGE, FROM, TO)
    mail: Any = message_from_bytes(envelope.content, policy=default)
    text = mail.get_body(("plain",)).get_content()
    assert text.replace("\r\n", "\n") == MESSAGE.text, "lines of dots come through"


def test_over_the_wire_dots_are_doubled() -> None:
    with ScriptedSmtp() as server:
        channel_to(server.url).send(MESSAGE, TO, "d1")
        assert server.commands[1].lower().startswith("mail from:<papers@papers.example.org> size=")
        assert server.commands[2].lower() == f"rcpt to:<{TO}>"
    (body,) = server.messages
    assert b"\r\n=2E\r\n...two\r\n..three" in body
    assert b"\r\n...two\r\n" in body
    assert body.count(b"\r\n.\r\n") == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ("451 4.3.0 try later", DeliveryDeferred, "451 4.3.0"),
        ("450 greylisted", DeliveryDeferred, "450"),
        ("550 5.1.1 no such user", DeliveryRefused, "550 5.1.1"),
        ("554-5.7.1 policy\r\n554 5.7.1 and more", DeliveryRefused, "554 5.7.1"),
    ],
)
def test_refusals_at_each_step(step: str, answer: str, kind: type[DeliveryError], code: str) -> None:
    intent = Intent()
    with ScriptedSmtp(**{step: [answer]}) as server:
        channel = channel_to(server.url)
        with pytest.raises(kind) as failure:
            channel.send(MESSAGE, TO, "d1", commit_intent=intent)
        assert failure.value.code == code
        assert intent.calls == (step == "DOT")
        # The next recipient is served on the same connection.
        channel.send(MESSAGE, "bo@example.org", "d2")
        assert server.connections == 1
    assert len(server.messages) == 1


PIPELINING = "250-scripted\r\n250-PIPELINING\r\n250 SIZE 10000000"


@pytest.mark.parametrize("ehlo", ["250 SIZE 10000000", PIPELINING])
def test_the_intent_is_the_last_thing_before_the_dot(ehlo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    write = smtplib.SMTP.send

    def send(smtp: smtplib.SMTP, data: Any) -> None:
        text = data if isinstance(data, str) else data.decode()
        steps.append(" ".join(line.partition(" ")[0] for line in text.splitlines()[:3]))
        write(smtp, data)

    monkeypatch.setattr(smtplib.SMTP, "send", send)
    with ScriptedSmtp(EHLO=[ehlo]) as server:
        channel_to(server.url).send(MESSAGE, TO, "d1", commit_intent=lambda: steps.append("intent"))
    begun = ["MAIL RCPT DATA"] if ehlo == PIPELINING else ["MAIL", "RCPT", "DATA"]
    assert steps[1:] == [*begun, "From: To: Subject:", "intent", "."]
    assert len(server.messages) == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_refusal_of_commands_that_were_sent_at_once_is_that_of_the_first(step: str) -> None:
    steps = ["MAIL", "RCPT", "DATA"]
    refused = {later: [f"503 5.5.1 no {later}"] for later in steps[steps.index(step) :]}
    refused[step] = ["550 5.1.1 no such user"]
    with ScriptedSmtp(EHLO=[PIPELINING], **refused) as server:
        channel = channel_to(server.url)
        with pytest.raises(DeliveryRefused, match="no such user"):
            channel.send(MESSAGE, TO, "d1", commit_intent=Intent(AssertionError()))
        channel.send(MESSAGE, "bo@example.org", "d2")
        assert server.connections == 1
    assert len(server.messages) == 1


def test_a_server_that_wants_a_message_for_nobody_gets_none() -> None:
    with ScriptedSmtp(EHLO=[PIPELINING], RCPT=["550 5.1.1 no such user"]) as server:
        channel = channel_to(server.url)
        with pytest.raises(DeliveryRefused, match="no such user"):
            channel.send(MESSAGE, TO, "d1", commit_intent=Intent(AssertionError()))
        channel.send(MESSAGE, "bo@example.org", "d2")
        assert server.connections == 2
    assert len(server.messages) == 1


@pytest.mark.parametrize("fault", [CLOSE, "421 4.3.2 going down"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_goes_amid_commands_that_were_sent_at_once_has_taken_nothing(step: str, fault: str) -> None:
    with ScriptedSmtp(EHLO=[PIPELINING] * 3) as server:
        channel = channel_to(server.url)
        channel.send(MESSAGE, TO, "d1")
        server._script[step] = [fault]
        channel.send(MESSAGE, TO, "d2")  # the connection was old: a new one is tried
        channel.close()
        server._script[step] = [fault]
        with pytest.raises(NotReached):
            channel.send(MESSAGE, TO, "d3", commit_intent=Intent(AssertionError()))
    assert len(server.messages) == 2


@pytest.mark.parametrize("fault", [CLOSE, SILENCE])
@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_354_is_certainly_not_sent(step: str, fault: str) -> None:
    intent = Intent()
    with ScriptedSmtp(**{step: [fault, fault, fault]}) as server:
        with pytest.raises(DeliveryDeferred):
            channel_to(server.url, timeout_s=0.3).send(MESSAGE, TO, "d1", commit_intent=intent)
        assert server.connections == 1
    assert intent.calls == 0
    assert server.messages == []


@pytest.mark.parametrize("fault", [CLOSE, SILENCE, "999 what", "hello"])
def test_no_answer_to_the_dot_is_unknown(fault: str) -> None:
    intent = Intent()
    with ScriptedSmtp(DOT=[fault]) as server:
        channel = channel_to(server.url, timeout_s=0.5)
        with pytest.raises(DeliveryUnknown):
            channel.send(MESSAGE, TO, "d1", commit_intent=intent)
        assert intent.calls == 1
        channel.send(MESSAGE, TO, "d1")
        assert server.connections == 2, "the broken connection is not used again"


def test_the_wait_for_the_answer_to_the_dot_has_its_own_length() -> None:
    class Slow(Sink):
        async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802  (the library's name)
            import asyncio

            await asyncio.sleep(0.8)
            return await super().handle_DATA(server, session, envelope)

    with mail_server(Slow()) as port:
        channel = channel_to(f"smtp://127.0.0.1:{port}", timeout_s=0.4, accept_timeout_s=5)
        assert channel.send(MESSAGE, TO, "d1").code == "250 2.0.0"


def test_an_answer_nobody_waited_for_is_not_the_next_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    class TimeLimit(Exception):
        """As a worker's time limit, which may strike anywhere."""

    getreply = smtplib.SMTP.getreply
    asked: list[int] = []

    def struck(smtp: smtplib.SMTP) -> Any:
        asked.append(1)
        if len(asked) == 6:  # greeting, EHLO, MAIL, RCPT and DATA were answered: this is the dot's
            raise TimeLimit
        return getreply(smtp)

    with ScriptedSmtp(DOT=["550 5.7.1 this is spam"]) as server:
        channel = channel_to(server.url)
        with monkeypatch.context() as patch:
            patch.setattr(smtplib.SMTP, "getreply", struck)
            with pytest.raises(TimeLimit):
                channel.send(MESSAGE, TO, "d1")
        assert channel.send(MESSAGE, "b@example.org", "d2").code.startswith("250")
        assert server.connections == 2


def test_an_intent_that_fails_leaves_no_mail() -> None:
    with ScriptedSmtp() as server:
        channel = channel_to(server.url)
        with pytest.raises(LeaseLost):
            channel.send(MESSAGE, TO, "d1", commit_intent=Intent(LeaseLost("gone")))
        assert server.messages == []
        channel.send(MESSAGE, TO, "d2")
        assert server.connections == 2
    assert len(server.messages) == 1


def test_a_connection_is_reused_and_renewed_when_the_server_dropped_it() -> None:
    with ScriptedSmtp() as server:
        channel = channel_to(server.url)
        channel.send(MESSAGE, TO, "d1")
        channel.send(MESSAGE, TO, "d2")
        assert server.connections == 1
        server.drop_connections()
        intent = Intent()
        channel.send(MESSAGE, TO, "d3", commit_intent=intent)
        assert intent.calls == 1
        assert server.connections == 2
    assert len(server.messages) == 3


def test_a_421_on_a_reused_connection_is_answered_by_a_new_one() -> None:
    with ScriptedSmtp() as server:
        channel = channel_to(server.url)
        channel.send(MESSAGE, TO, "d1")
        server._script["MAIL"] = ["421 4.4.2 idle too long"]
        channel.send(MESSAGE, TO, "d2")
        assert server.connections == 2
        channel.close()
        server._script["MAIL"] = ["421 4.3.2 going down"] * 3
        with pytest.raises(DeliveryDeferred) as failure:
            channel.send(MESSAGE, TO, "d3")
        assert failure.value.code == "421 4.3.2"


def test_each_thread_has_its_own_connection() -> None:
    with ScriptedSmtp() as server:
        channel = channel_to(server.url)
        threads = [threading.Thread(target=channel.send, args=(MESSAGE, TO, f"d{n}")) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections == 4
    assert len(server.messages) == 4


def test_no_server_is_deferred() -> None:
    with ScriptedSmtp() as server:
        url = server.url
    with pytest.raises(DeliveryDeferred, match="no connection"):
        channel_to(url).send(MESSAGE, TO, "d1")


def test_a_message_lost_on_the_way_is_never_called_delivered() -> None:
    with (
        ScriptedSmtp(DATA=["354 go\r\n421 4.3.2 oh no"]) as server,
        pytest.raises((DeliveryDeferred, DeliveryUnknown)),
    ):
        channel_to(server.url).send(MESSAGE, TO, "d1")


@pytest.mark.parametrize("answer", ["530 5.7.0 login first", "535 5.7.8 bad password"])
def test_a_missing_login_is_the_operators_matter_not_the_recipients(answer: str) -> None:
    with ScriptedSmtp(MAIL=[answer]) as server, pytest.raises(DeliveryDeferred):
        channel_to(server.url).send(MESSAGE, TO, "d1")


def test_a_greeting_that_refuses_is_deferred() -> None:
    with ScriptedSmtp(CONNECT=["554 5.3.2 no service"]) as server, pytest.raises(DeliveryDeferred) as failure:
        channel_to(server.url).send(MESSAGE, TO, "d1")
    assert failure.value.code == "554 5.3.2"


def test_without_starttls_nothing_is_sent() -> None:
    with ScriptedSmtp() as server:
        channel = channel_to(f"smtp+starttls://u:topsecret@127.0.0.1:{server.port}")
        with pytest.raises(DeliveryDeferred, match="offers no STARTTLS") as failure:
            channel.send(MESSAGE, TO, "d1")
        assert "topsecret" not in str(failure.value)
        assert not [command for command in server.commands if "AUTH" in command or "MAIL" in command]


@pytest.mark.parametrize("to", ["a@b.example, c@d.example", "a@b.example\r\nRCPT TO:<eve@evil.example>", "ada"])
def test_a_bad_recipient_is_refused_before_any_connection(to: str) -> None:
    with ScriptedSmtp() as server:
        with pytest.raises(DeliveryRefused):
            channel_to(server.url).send(MESSAGE, to, "d1")
        assert server.connections == 0


def test_bad_settings_are_refused_at_once() -> None:
    with pytest.raises(InvalidInput):
        SmtpChannel("smtp://u:p@mail.example.org", FROM)
    with pytest.raises(InvalidInput):
        SmtpChannel("smtp://localhost", "nobody")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, made on the spot."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, so there is no certificate to test TLS with")
    pem = tmp_path_factory.mktemp("tls") / "both.pem"
    key = pem.with_name("key.pem")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(pem)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    pem.write_text(pem.read_text() + key.read_text())
    return pem


def login(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=isinstance(data, LoginPassword) and data.password == b"p/w", handled=False)


def test_starttls_with_a_trusted_certificate_logs_in_and_sends(certificate: Path) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    ours = ssl.create_default_context(cafile=str(certificate))
    sink = Sink()
    with mail_server(sink, tls_context=theirs, require_starttls=True, authenticator=login, auth_required=True) as port:
        channel = channel_to(f"smtp+starttls://u:p%2Fw@localhost:{port}", tls=ours)
        assert channel.send(MESSAGE, TO, "d1").code == "250 2.0.0"
        assert channel.send(MESSAGE, TO, "d2").code == "250 2.0.0"
        wrong = channel_to(f"smtp+starttls://u:topsecret@localhost:{port}", tls=ours)
        with pytest.raises(DeliveryDeferred, match="user and password") as failure:
            wrong.send(MESSAGE, TO, "d3")
        assert failure.value.code.startswith("535")
        assert "topsecret" not in str(failure.value)
        channel.close()
    assert len(sink.envelopes) == 2


def test_an_untrusted_certificate_stops_everything(certificate: Path) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    sink = Sink()
    with (
        mail_server(sink, tls_context=theirs, require_starttls=True) as port,
        pytest.raises(DeliveryDeferred, match="no trusted encrypted connection"),
    ):
        channel_to(f"smtp+starttls://localhost:{port}").send(MESSAGE, TO, "d1")
    assert sink.envelopes == []


def test_an_acknowledgement_held_back_is_not_waited_for_but_more_than_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    segments = [1]
    monkeypatch.setattr(email, "_unacknowledged", lambda _: 900)
    monkeypatch.setattr(email, "_in_flight", lambda _: (segments[0], 0.0))
    here, there = socket.socketpair()
    with here, there:
        email._wait_until_taken(here, time.monotonic(), timeout_s=5)
        segments[0] = 2
        with pytest.raises(TimeoutError, match="was not taken"):
            email._wait_until_taken(here, time.monotonic(), timeout_s=0.01)


def test_the_system_tells_what_is_in_flight() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as link:
        segments, round_trip_s = email._in_flight(link)
        assert segments == 0
        assert round_trip_s < 1
        link.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody reads there: what it has no room for waits here
            while True:
                link.send(bytes(1 << 16))
        with pytest.raises(TimeoutError, match="was not taken"):
            email._wait_until_taken(link, time.monotonic(), timeout_s=0.05)
    here, there = socket.socketpair()
    with here, there:
        assert email._in_flight(here) == (0, 0.0)  # no TCP, so nothing is known
