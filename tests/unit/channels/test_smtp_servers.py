from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from services.channels.email import SmtpChannel
from services.channels.smtp_servers import SmtpServers
from services.channels.smtp_url import split_smtp_urls
from services.domain.deliveries import Part
from services.domain.errors import DeliveryDeferred, DeliveryRefused, DeliveryUnknown, LeaseLost
from tests.servers import free_port

from .samples import FROM, MESSAGE, NOW, TO, Intent
from .scripted_smtp import CLOSE, SILENCE, ScriptedSmtp


@dataclass
class Kept:
    """A `Progress` in memory."""

    kept: dict[str, Part] = field(default_factory=dict)
    fails: bool = False

    @property
    def parts(self) -> Mapping[str, Part]:
        return self.kept

    def intend(self, part: str, via: str = "") -> None:
        if self.fails:
            raise LeaseLost("gone")
        self.kept[part] = Part(via)

    def taken(self, part: str, receipt: str) -> None:
        self.kept[part] = Part(self.kept[part].via, receipt)


def servers(*urls: str, now: list[float] | None = None) -> SmtpServers:
    channels = [SmtpChannel(url, FROM, timeout_s=2, clock=lambda: NOW) for url in urls]
    return SmtpServers(channels, monotonic=lambda: now[0] if now else 0.0)


def nobody() -> str:
    return f"smtp://127.0.0.1:{free_port()}"


def test_the_first_is_used_while_it_answers() -> None:
    with ScriptedSmtp() as one, ScriptedSmtp() as two:
        channel, intent = servers(one.url, two.url), Intent()
        for _ in range(2):
            channel.send(MESSAGE, TO, "d1", commit_intent=intent)
        channel.close()
        assert (len(one.messages), one.connections, two.connections, intent.calls) == (2, 1, 0, 2)


@pytest.mark.parametrize(
    "script",
    [{"CONNECT": [CLOSE]}, {"CONNECT": ["421 4.3.2 closing"]}, {"EHLO": [CLOSE]}, {"MAIL": [CLOSE]},
     {"RCPT": ["421 4.3.2 closing"]}, {"DATA": [CLOSE]}, {"DATA": ["421 4.3.2 closing"]}],
)  # fmt: skip
def test_one_that_goes_away_before_data_makes_room_for_the_next(script: dict[str, list[str]]) -> None:
    with ScriptedSmtp(**script) as one, ScriptedSmtp() as two:
        channel, kept = servers(one.url, two.url), Kept()
        channel.send_parts(MESSAGE, TO, "d1", kept)
        channel.close()
        assert (len(one.messages), len(two.messages)) == (0, 1)
        assert kept.kept["mail"].via == f"127.0.0.1:{two.port}"
        assert kept.kept["mail"].receipt


@pytest.mark.parametrize("said", ["451 4.7.1 greylisted", "550 5.1.1 no such user"])
def test_an_answer_about_the_mail_is_an_answer(said: str) -> None:
    with ScriptedSmtp(RCPT=[said]) as one, ScriptedSmtp() as two:
        with pytest.raises((DeliveryDeferred, DeliveryRefused)):
            servers(one.url, two.url).send(MESSAGE, TO, "d1")
        assert two.connections == 0


@pytest.mark.parametrize("answer", [CLOSE, SILENCE])
def test_one_that_may_have_taken_it_is_the_only_one_asked_again(answer: str) -> None:
    with ScriptedSmtp(DOT=[answer]) as one, ScriptedSmtp() as two:
        first = one.port
        channel, kept = servers(one.url, two.url), Kept()
        with pytest.raises(DeliveryUnknown):
            channel.send_parts(MESSAGE, TO, "d1", kept)
        assert kept.kept["mail"] == Part(f"127.0.0.1:{one.port}")
        channel.send_parts(MESSAGE, TO, "d1", kept)
        channel.close()
        assert two.connections == 0
    # The server that may have it is gone: the other is not asked all the same.
    with ScriptedSmtp() as two:
        lost = Kept({"mail": Part("127.0.0.1:1")})
        with pytest.raises(DeliveryDeferred, match="no server of ours any more"):
            servers(nobody(), two.url).send_parts(MESSAGE, TO, "d1", lost)
        gone = servers(f"smtp://127.0.0.1:{first}", two.url)
        with pytest.raises(DeliveryDeferred, match="no connection"):
            gone.send_parts(MESSAGE, TO, "d1", Kept({"mail": Part(f"127.0.0.1:{first}")}))
        assert two.connections == 0


def test_what_was_taken_before_is_not_sent_again() -> None:
    with ScriptedSmtp() as one, ScriptedSmtp() as two:
        receipt = servers(one.url, two.url).send_parts(MESSAGE, TO, "d1", Kept({"mail": Part("x:25", "queued as 7")}))
        assert receipt.detail == "queued as 7"
        assert one.connections == two.connections == 0


def test_an_intent_that_fails_is_no_reason_to_ask_another() -> None:
    with ScriptedSmtp() as one, ScriptedSmtp() as two:
        with pytest.raises(LeaseLost):
            servers(one.url, two.url).send_parts(MESSAGE, TO, "d1", Kept(fails=True))
        assert (one.messages, two.connections) == ([], 0)


def test_one_that_is_down_rests_for_a_minute() -> None:
    now = [0.0]
    with ScriptedSmtp(CONNECT=[CLOSE]) as one, ScriptedSmtp() as two:
        channel = servers(one.url, two.url, now=now)
        channel.send(MESSAGE, TO, "d1")
        channel.send(MESSAGE, TO, "d2")
        assert (one.connections, len(two.messages)) == (1, 2)
        now[0] = 61.0
        channel.send(MESSAGE, TO, "d3")
        channel.close()
        assert (len(one.messages), len(two.messages)) == (1, 2)


def test_all_down_names_each() -> None:
    with pytest.raises(DeliveryDeferred) as caught:
        servers(nobody(), nobody()).send(MESSAGE, TO, "d1")
    assert str(caught.value).count("no connection") == 2


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("", []),
        ("smtp://a", ["smtp://a"]),
        ("smtp://a, smtps://u:p@b:465\n smtp+starttls://c", ["smtp://a", "smtps://u:p@b:465", "smtp+starttls://c"]),
        ("smtps://u:p,w x@b,smtp://c", ["smtps://u:p,w x@b", "smtp://c"]),
    ],
)
def test_several_urls_are_parted_and_a_password_is_not(text: str, urls: list[str]) -> None:
    assert split_smtp_urls(text) == urls
