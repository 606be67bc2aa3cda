"""An edition looked at before it goes out: in the browser, as a test to oneself, by templates of one's own."""

from __future__ import annotations

from email import message_from_bytes, policy
from pathlib import Path

import pytest
import typer

from services.pipeline import drain
from services.pipeline.messages import unpack
from services.runtime import Runtime
from services.storage.tables import Delivery, Edition, Notice
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, plan_edition, store
from tests.integration.command import SAMPLES, Broadsheet
from tests.servers import MailSink

BROKEN = "one\n{{ nothing_of_the_kind }}"


@pytest.fixture
def stocked(broadsheet: Broadsheet) -> Broadsheet:
    """An archive, and one subscription to it."""
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    broadsheet("subscriptions", "add", "--to", "ada@example.org", "--confirmed", code=0)
    return broadsheet


def test_a_preview_opens_in_the_browser(stocked: Broadsheet, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(typer, "launch", opened.append)
    said = stocked("editions", "preview", "-s", "1", "--browser", code=0)
    page = home / "preview.html"
    assert opened == [page.as_uri()]
    assert "Weather in a Jar" in page.read_text()
    assert page.read_text().rstrip().endswith("</html>")
    assert str(page) in said.err
    assert stocked.json("editions", "list") == []


def test_a_test_goes_to_oneself_and_nothing_is_written_down(stocked: Broadsheet, mail: MailSink) -> None:
    stocked.settings["SMTP_URL"] = mail.url
    for _ in range(2):  # asked twice, sent twice: it is only a look
        sent = stocked.json("editions", "send", "-s", "1", "--to", "me@example.org")
    assert (sent["state"], sent["to"]) == ("test", "me@example.org")
    first, second = (message_from_bytes(one, policy=policy.default) for one in mail.received)
    assert first["Subject"] == sent["subject"]
    assert first["Subject"].startswith("[Test] ")
    assert first["Message-ID"] != second["Message-ID"] == sent["message_id"]
    assert first["List-Unsubscribe"] is None  # a mail program's button would end the reader's subscription
    assert mail.recipients == ["me@example.org"] * 2
    assert stocked.json("editions", "list") == stocked.json("deliveries", "list") == []
    assert stocked.json("editions", "send", "-s", "1", "--now")["state"] == "sent"  # the reader's own still comes


@pytest.mark.parametrize("to", ["nobody", "slack:http://10.0.0.1/", "ada@", "webhook:ftp://x.example/"])
def test_a_test_to_what_is_no_address_is_refused(stocked: Broadsheet, to: str) -> None:
    said = stocked("editions", "send", "-s", "1", "--to", to)
    assert said.code in {1, 2}
    assert said.err
    assert "Traceback" not in said.err


def test_a_test_that_is_not_taken_says_why(stocked: Broadsheet, mail: MailSink) -> None:
    stocked.settings["SMTP_URL"] = mail.url
    mail.refuses_next("550 5.1.1 no such mailbox")
    said = stocked("editions", "send", "-s", "1", "--to", "me@example.org", code=1)
    assert "no such mailbox" in said.err


def test_a_preview_names_a_template_that_cannot_be_used(stocked: Broadsheet, home: Path) -> None:
    (home / "templates").mkdir()
    (home / "templates" / "edition.html.j2").write_text("<p>{{ page.name }}, by ourselves</p>")
    said = stocked("editions", "preview", "-s", "1", "--format", "html", code=0)
    assert "by ourselves" in said.out
    assert "Templates of your own: " in said.err
    (home / "templates" / "edition.html.j2").write_text(BROKEN)
    said = stocked("editions", "preview", "-s", "1", "--format", "html", code=1)
    assert f"{home / 'templates' / 'edition.html.j2'}:2" in said.err


@pytest.fixture
def broken(make_runtime: MakeRuntime, home: Path) -> Runtime:
    """A service whose operator's template cannot be used."""
    rt = make_runtime(alert_to="operator@example.org")
    store(rt, [entry(1), entry(2)], feed=add_feed(rt, "daily-papers"))
    (home / "templates").mkdir()
    (home / "templates" / "edition.html.j2").write_text(BROKEN)
    return rt


def test_editions_go_out_by_the_built_in_template_and_the_operator_is_told_once(broken: Runtime, home: Path) -> None:
    for reader in ("ada@example.org", "grace@example.org"):
        plan_edition(broken, reader)
    drain.run_until_idle(broken, stages=["notify"], ticking=False)
    sent = all_rows(broken, Delivery)
    assert [row.state for row in sent] == ["accepted", "accepted"]
    assert len(all_rows(broken, Edition)) == 2
    assert all("Sparse lanterns for tidal inference, part 1" in (unpack(row.message).html or "") for row in sent)
    (notice,) = all_rows(broken, Notice)
    assert (notice.kind, notice.sent_at is not None) == ("template", True)
    assert f"{home / 'templates' / 'edition.html.j2'}:2: 'nothing_of_the_kind' is undefined" in notice.text
    told = [path.read_text() for path in (home / "outbox").glob("*.eml")]
    assert sum("To: operator@example.org" in text for text in told) == 1
