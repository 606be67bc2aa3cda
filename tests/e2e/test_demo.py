"""`broadsheet demo --once`: the main job with nothing but this machine, twice in the same folder."""

from __future__ import annotations

import email
import email.policy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.settings import PREFIX
from tests.e2e.programs import ROOT

pytestmark = pytest.mark.timeout(240)


def demo(home: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run it; the exit code, its one JSON document, and what it said beside."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {"PYTHONPATH": str(ROOT), f"{PREFIX}SMTP_URL": "smtp://203.0.113.9:25"}  # must not be used
    done = subprocess.run(
        [sys.executable, "-m", "workers", "demo", "--once", "--json", "--home", str(home), *arguments],
        env=environment, cwd=home.parent, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    try:
        return done.returncode, json.loads(done.stdout), done.stderr
    except json.JSONDecodeError as error:
        raise AssertionError(f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}") from error


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The demo, run twice; what each said, and the outbox after each."""
    home = tmp_path_factory.mktemp("demo") / "home"
    runs = []
    for _ in range(2):
        code, said, beside = demo(home)
        files = {p.name: p.read_bytes() for p in sorted((home / "outbox").iterdir()) if not p.name.startswith(".")}
        runs.append((code, said, beside, files))
    return runs


def test_it_stores_everything_that_is_announced_and_delivers_it(two_runs: Any) -> None:
    code, said, beside, files = two_runs[0]
    assert (code, said["ok"]) == (0, True), beside
    assert said["papers"] > 30
    assert len(said["feeds"]) >= 4
    for feed in said["feeds"]:
        assert feed["announced"] > 0 or feed["feed"].startswith("arxiv-cs-lg"), feed  # no announcement on weekends
        assert (feed["missing"], feed["stored"], feed["rejected"]) == (0, feed["announced"], 0), feed
    assert said["repos"]["read"] > 0
    assert [d["state"] for d in said["deliveries"]] == ["accepted"] * len(files)
    assert {Path(name).suffix for name in files} >= {".eml", ".json"}


def test_the_second_run_asks_conditionally_adds_nothing_and_sends_nothing(two_runs: Any) -> None:
    (_, first, _, before), (code, second, beside, after) = two_runs
    assert (code, second["ok"]) == (0, True), beside
    assert second["not_modified"] > 0
    assert second["papers"] == first["papers"]
    assert sum(feed["new"] for feed in second["feeds"]) == 0
    assert len(second["deliveries"]) == len(first["deliveries"])
    assert after == before  # byte for byte


def test_the_digest_is_a_mail_with_text_and_html(two_runs: Any) -> None:
    _, said, _, files = two_runs[0]
    (raw,) = (data for name, data in files.items() if name.endswith(".eml"))
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message.defects == []
    assert message["To"] == "reader@example.org"
    for header in ("From", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Id"):
        assert message[header], header
    bodies = {}
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        assert part is not None, kind
        assert part.defects == []
        bodies[kind] = part.get_content()
    assert "<html" in bodies["html"].lower()
    assert "https://arxiv.org/abs/" in bodies["plain"]
    papers = next(d["papers"] for d in said["deliveries"] if d["to"] == "reader@example.org")
    assert bodies["plain"].count("https://arxiv.org/abs/") >= papers > 0


def test_the_slack_form_is_valid_blocks(two_runs: Any) -> None:
    _, _, _, files = two_runs[0]
    (raw,) = (data for name, data in files.items() if name.endswith(".slack.json"))
    payload = json.loads(raw)
    assert payload["text"]
    assert 0 < len(payload["blocks"]) <= 50


def test_it_refuses_a_folder_that_holds_a_real_archive(tmp_path: Path) -> None:
    home = tmp_path / "real"
    home.mkdir()
    (home / "broadsheet.db").write_bytes(b"somebody's")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "workers", "demo", "--once", "--home", str(home)],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--home" in done.stderr
    assert "Traceback" not in done.stderr
    assert (home / "broadsheet.db").read_bytes() == b"somebody's"
