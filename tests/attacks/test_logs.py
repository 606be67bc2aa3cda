"""Log injection: what strangers write stays on the line it was written on, and commands no terminal."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from config.logging import configure_logging
from services.domain.redaction import redact
from tests.attacks.strings import STRINGS


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    before = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def logged(style: str, text: str) -> str:
    stream = io.StringIO()
    configure_logging(redact=redact, style=style, stream=stream)
    structlog.get_logger("test").info("feed.failed", error=text, feed=text)
    structlog.get_logger("test").warning(text)
    logging.getLogger("other").warning("it said %s", text)
    return stream.getvalue()


@pytest.mark.parametrize("name", STRINGS)
@pytest.mark.parametrize("style", ["console", "json"])
def test_three_events_are_three_lines_without_controls(style: str, name: str) -> None:
    said = logged(style, STRINGS[name] + "\n2026-11-24T09:00:00Z [info] admin.logged_in user=admin")
    if style == "json":
        assert len([json.loads(line) for line in said.strip().split("\n")]) == 3
        assert not re.search("[\x00-\x09\x0b-\x1f]", said)
    else:
        assert len(re.split("[\n\r\x0b\x0c\x85\u2028\u2029]", said.strip("\n"))) == 3, said
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", said), ascii(said)


def test_a_traceback_keeps_its_lines_and_loses_its_commands() -> None:
    stream = io.StringIO()
    configure_logging(redact=redact, style="console", stream=stream)
    try:
        raise ValueError("bad \x1b[2J entry")
    except ValueError:
        structlog.get_logger("test").exception("parse.failed")
    said = stream.getvalue()
    assert said.count("\n") > 3
    assert "\x1b" not in said
    assert r"bad \x1b[2J entry" in said
