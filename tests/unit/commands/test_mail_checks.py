"""Whether the key that signs is the one that is published, asked of a name server on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from config.settings import Settings
from services.runtime import dkim_signatures
from tests.unit.channels.test_dkim import ED_PEM
from workers.commands.checks import Check
from workers.commands.mail_checks import LookupFailed, check_dkim, txt_records

NAME = "news._domainkey.papers.example"
SETTINGS = Settings(
    _env_file=None, mail_from="News <news@papers.example>", dkim_selector="news", dkim_domain="papers.example",
    dkim_key=ED_PEM,
)  # fmt: skip
RECORD = dkim_signatures(SETTINGS)[0].record


@contextmanager
def name_server(answer: Callable[[dns.message.Message], dns.message.Message]) -> Iterator[dns.resolver.Resolver]:
    """A name server on loopback, and a resolver that asks it alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)

        def serve() -> None:
            data, asker = sock.recvfrom(4096)
            sock.sendto(answer(dns.message.from_wire(data)).to_wire(), asker)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], sock.getsockname()[1]
        yield resolver
        thread.join(5)


def test_a_record_in_several_strings_is_read_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: dns.message.Message) -> dns.message.Message:
        said = dns.message.make_response(asked)
        text = f'"{RECORD[:20]}" "{RECORD[20:]}"'
        said.answer.append(dns.rrset.from_text(asked.question[0].name, 60, "IN", "TXT", text))
        return said

    with name_server(answer) as resolver:
        monkeypatch.setattr(dns.resolver, "resolve", resolver.resolve)
        assert txt_records(NAME) == [RECORD]


def test_a_name_that_is_not_there_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: dns.message.Message) -> dns.message.Message:
        said = dns.message.make_response(asked)
        said.set_rcode(dns.rcode.NXDOMAIN)
        return said

    with name_server(answer) as resolver:
        monkeypatch.setattr(dns.resolver, "resolve", resolver.resolve)
        assert txt_records(NAME) == []


def test_a_name_server_that_fails_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: dns.message.Message) -> dns.message.Message:
        said = dns.message.make_response(asked)
        said.set_rcode(dns.rcode.REFUSED)
        return said

    with name_server(answer) as resolver:
        monkeypatch.setattr(dns.resolver, "resolve", resolver.resolve)
        with pytest.raises(LookupFailed):
            txt_records(NAME)


def checked(*records: str) -> Check:
    asked: list[str] = []

    def look_up(name: str) -> list[str]:
        asked.append(name)
        return list(records)

    (found,) = check_dkim(SETTINGS, look_up)
    assert asked == [NAME]
    return found


@pytest.mark.parametrize(
    ("records", "state", "said"),
    [
        ((RECORD,), "ok", "holds its key"),
        (("v=spf1 -all", RECORD.replace("; ", ";")), "ok", "holds its key"),
        ((RECORD[:-8] + " " + RECORD[-8:],), "ok", "holds its key"),
        ((), "fail", "holds no key"),
        (("v=spf1 -all",), "fail", "holds no key"),
        (("v=DKIM1; k=ed25519; p=",), "fail", "revoked"),
        ((RECORD.replace("p=", "p=AAAA"),), "fail", "another key"),
        ((RECORD.replace("k=ed25519", "k=rsa"),), "fail", "another key"),
        ((RECORD, RECORD), "fail", "2 keys"),
        ((RECORD + "; t=s:y",), "warn", "t=y"),
    ],
)
def test_what_is_published_is_compared_with_the_key(records: tuple[str, ...], state: str, said: str) -> None:
    found = checked(*records)
    assert (found.state, said in found.message) == (state, True), found
    assert (found.state == "ok") == (not found.advice)


def test_a_look_up_that_fails_shows_what_to_publish() -> None:
    def look_up(_: str) -> list[str]:
        raise LookupFailed("no answer")

    (found,) = check_dkim(SETTINGS, look_up)
    assert (found.state, RECORD in found.advice) == ("warn", True)


def test_without_a_network_the_record_is_shown() -> None:
    (found,) = check_dkim(SETTINGS, None)
    assert (found.state, RECORD in found.message) == ("ok", True)
