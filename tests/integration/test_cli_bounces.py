"""The command that tells of bounces and lets people decide."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.command import Broadsheet
from tests.unit.domain.test_bounces import dsn, recipient


def test_an_address_is_suppressed_shown_and_lifted_with_its_history(broadsheet: Broadsheet, tmp_path: Path) -> None:
    assert "No address is suppressed" in broadsheet("bounces", "list").out
    mail = tmp_path / "bounce.eml"
    mail.write_bytes(dsn(recipient()))
    (read,) = json.loads(broadsheet("bounces", "read", str(mail), "--json").out)
    address = read["address"]
    (listed,) = json.loads(broadsheet("bounces", "list", "--json").out)
    assert (listed["address"], listed["reason"]) == (f"email:{address}", "hard")
    assert address in broadsheet("bounces", "list").out
    assert "written to again" in broadsheet("bounces", "lift", address.upper(), "--why", "mended").out
    assert "not suppressed" in broadsheet("bounces", "lift", address, code=1).err
    # The same report again does not undo what a person decided.
    broadsheet("bounces", "read", str(mail))
    assert json.loads(broadsheet("bounces", "list", "--json").out) == []
    assert broadsheet("bounces", "suppress", address, "--why", "asked by telephone").code == 0
    shown = json.loads(broadsheet("bounces", "show", address, "--json").out)
    assert shown["suppressed"] is True
    assert [(act["act"], act["reason"], act["detail"]) for act in shown["acts"]][:2] == [
        ("suppressed", "by_hand", "asked by telephone"), ("lifted", "hard", "mended"),
    ]  # fmt: skip
    assert len(shown["reports"]) == 1
    told = broadsheet("bounces", "show", address).out
    assert "suppressed: nothing is sent to it" in told
    assert "asked by telephone" in told


def test_an_address_nobody_knows_has_no_history(broadsheet: Broadsheet) -> None:
    assert "Nothing was ever reported" in broadsheet("bounces", "show", "nobody@shore.example").out
    assert broadsheet("bounces", "show", "not an address", code=1).err
