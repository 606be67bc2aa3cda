"""Macros that several pages share."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.domain.digests import SourceStatus
from workers.web.kit import _environment

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "as_of", "marked"),
    [
        ("failed", None, True), ("stale", None, True), ("failed", NOON, True), ("late", NOON, True),
        ("late", None, False), ("complete", NOON, False),
    ],
)  # fmt: skip
def test_a_source_in_trouble_is_marked_also_when_it_was_never_read(
    state: str, as_of: datetime | None, marked: bool
) -> None:
    macros = _environment().get_template("_macros.html").module
    shown = str(macros.sources([SourceStatus(feed="lab", title="Lab", state=state, as_of=as_of)]))  # type: ignore[attr-defined]
    assert ('class="warn"' in shown) == marked
    assert "Lab:" in shown
