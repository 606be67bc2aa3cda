"""How a digest's mail leaves: signed, in its subscription's thread, by the server that answers, and never by two."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.pipeline.drain import run_until_idle
from services.runtime import Runtime, dkim_signatures
from services.storage.tables import Delivery
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, plan_edition, store
from tests.fakes import Clock, Crash
from tests.servers import free_port
from tests.unit.channels.scripted_smtp import CLOSE, ScriptedSmtp
from tests.unit.channels.test_dkim import verify

KEY = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def planned(rt: Runtime, *readers: str) -> None:
    """One edition for each reader, on its way."""
    store(rt, [entry(1), entry(2)], feed=add_feed(rt, "daily-papers", paused=True))
    for reader in readers:
        plan_edition(rt, f"{reader}@shore.example")


def run(rt: Runtime) -> None:
    run_until_idle(rt, ticking=False, patience=timedelta(hours=3))


def states(rt: Runtime) -> list[str]:
    return [row.state for row in all_rows(rt, Delivery)]


def test_digests_are_signed_and_keep_to_their_thread(make_runtime: MakeRuntime) -> None:
    with ScriptedSmtp() as server:
        rt = make_runtime(smtp_url=server.url, dkim_selector="news", dkim_key=KEY)
        planned(rt, "ada", "bram")
        run(rt)
        mails = [raw[:-3].replace(b"\r\n..", b"\r\n.") for raw in server.messages]
    assert states(rt) == ["accepted"] * 2
    records = {one.record_name: one.record for one in dkim_signatures(rt.settings)}
    assert [verify(mail, records) for mail in mails] == [["ed25519-sha256"]] * 2
    first, second = (message_from_bytes(mail) for mail in mails)
    assert "list-unsubscribe-post" in first["DKIM-Signature"]
    assert first["References"].endswith("@papers.example>")
    assert first["References"] != second["References"], "each subscription has its own"
    assert first["References"] != first["Message-ID"]


def test_while_the_first_server_is_down_the_second_takes_all(make_runtime: MakeRuntime) -> None:
    with ScriptedSmtp() as second:
        port = second.port
        rt = make_runtime(smtp_url=f"smtp://127.0.0.1:{free_port()}, {second.url}", smtp_per_second=5)
        planned(rt, "ada", "bram")
        run(rt)
        assert len(second.messages) == 2
    assert states(rt) == ["accepted"] * 2
    assert {row.parts["mail"]["via"] for row in all_rows(rt, Delivery)} == {f"127.0.0.1:{port}"}


@pytest.mark.parametrize("ambiguity", ["hold", "resend"])
def test_a_mail_that_the_first_may_have_taken_never_goes_by_the_second(
    make_runtime: MakeRuntime, clock: Clock, ambiguity: Any
) -> None:
    with ScriptedSmtp(DOT=[CLOSE]) as first, ScriptedSmtp() as second:
        rt = make_runtime(smtp_url=f"{first.url} {second.url}", smtp_ambiguity=ambiguity)
        planned(rt, "ada")
        run(rt)
        assert states(rt) == ["unknown" if ambiguity == "hold" else "accepted"]
        assert second.connections == 0


def test_nor_does_one_whose_worker_died_while_it_was_handed_over(make_runtime: MakeRuntime, clock: Clock) -> None:
    with ScriptedSmtp() as first, ScriptedSmtp() as second:
        rt = make_runtime(smtp_url=f"{first.url} {second.url}", smtp_ambiguity="resend")
        planned(rt, "ada")

        def crash(name: str) -> None:
            if name == "send_deliveries.intended":
                raise Crash

        rt.checkpoint = crash
        with pytest.raises(Crash):
            run(rt)
        rt.checkpoint = lambda _: None
        clock.advance(minutes=10)
        run(rt)
        assert (len(first.messages), second.connections, states(rt)) == (1, 0, ["accepted"])


def test_one_that_certainly_was_not_taken_may_go_by_the_other(make_runtime: MakeRuntime) -> None:
    script = {
        "DOT": ["451 4.3.0 disk full"], "MAIL": ["250 ok", "421 4.3.2 closing"], "CONNECT": ["220 ready", CLOSE],
    }  # fmt: skip
    with ScriptedSmtp(**script) as first, ScriptedSmtp() as second:
        rt = make_runtime(smtp_url=f"{first.url} {second.url}")
        planned(rt, "ada")
        run(rt)
        assert states(rt) == ["accepted"]
        assert (len(first.messages), len(second.messages)) == (0, 1)
