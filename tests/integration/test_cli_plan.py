"""`broadsheet plan`: numbers as people write them, one JSON document, and clear words for what cannot be."""

from __future__ import annotations

import pytest

from tests.integration.command import Broadsheet

LARGE = ("plan", "--papers", "3e6", "--subscribers", "1_000_000", "--feeds", "100,000")


def test_the_plan_says_machines_quotas_disk_mail_and_what_saturates_first(broadsheet: Broadsheet) -> None:
    shown = broadsheet(*LARGE, code=0).out
    for said in (
        "For 3,000,000 papers", "Machines: ", "PostgreSQL, and Redis", "Memory: ", "Disk: ", "Quotas: ",
        "a second, over", "Backfill: ", "GitHub: points an hour", "Saturates first: ",
    ):  # fmt: skip
        assert said in shown


def test_a_small_plan_says_that_one_process_will_do(broadsheet: Broadsheet) -> None:
    shown = broadsheet("plan", "--papers", "50000", "--subscribers", "200", "--feeds", "300", code=0).out
    assert "Machines: 1, with one process: `broadsheet up`" in shown
    assert "nothing is near its limit" in shown


def test_the_plan_as_json(broadsheet: Broadsheet) -> None:
    found = broadsheet.json(*LARGE, "--mail-hours", "4", code=0)
    assert found["load"]["papers"] == 3_000_000
    assert found["load"]["feeds"] == 100_000
    assert found["mail"]["a_second"] == pytest.approx(1e6 / 4 / 3600, abs=0.01)
    assert found["saturates_first"] == found["limits"][0]["name"]
    assert set(found["machines"]) == {
        "worker_cores", "database_cores", "workers", "worker_processes", "database",
    }  # fmt: skip


def test_what_is_no_number_or_cannot_be_is_refused(broadsheet: Broadsheet) -> None:
    said = broadsheet("plan", "--papers", "many", "--subscribers", "1", "--feeds", "1", code=2).err
    assert "write it as 3000000 or 3e6" in said
    said = broadsheet(*LARGE, "--mail-hours", "0", code=1).err
    assert "mail_hours must be more than 0" in said
