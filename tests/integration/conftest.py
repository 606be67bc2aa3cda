"""Fixtures of the tests that go through the command line."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command import Broadsheet
from workers.demo.replay import Replay


@pytest.fixture
def quiet_feeds(tmp_path: Path) -> Path:
    """A feeds.toml with one feed that nobody polls, so that nothing is due by itself."""
    path = tmp_path / "feeds.toml"
    path.write_text('[[feed]]\nname = "daily-papers"\nkind = "hf_papers"\ntitle = "Daily Papers"\npaused = true\n')
    return path


@pytest.fixture
def broadsheet(
    home: Path, tmp_path: Path, migrated_sqlite: Path, quiet_feeds: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broadsheet]:
    """The command, run in this process on a data folder of its own."""
    monkeypatch.chdir(tmp_path)  # no .env of whoever runs the tests
    home.mkdir()
    shutil.copy(migrated_sqlite, home / "broadsheet.db")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield Broadsheet({"HOME": str(home), "FEEDS": str(quiet_feeds), "LOG_FORMAT": "json"})
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def today_replay() -> Iterator[Replay]:
    """All upstreams on loopback, without faults, at the real day: the command goes by the real clock."""
    with Replay(first_call_faults=False) as server:
        yield server


@pytest.fixture
def online(broadsheet: Broadsheet, today_replay: Replay) -> Broadsheet:
    """The command with a replay for its upstreams."""
    values = {name: url for name, url in today_replay.urls().items() if name != "BLOG_FEED_URL"}
    broadsheet.settings |= {**values, "ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "GATE_SCALE": "0", "RETRY_FIRST_S": "0.1"}
    return broadsheet
