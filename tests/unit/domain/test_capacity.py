"""What an installation needs: linear in what it carries, by the schedule in force, honest about its limits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from services.domain import capacity
from services.domain.capacity import GB, Load, Plan, plan, readings_a_day
from services.domain.errors import InvalidInput
from services.domain.measured import FIGURES, Figures
from services.pipeline import choose

LARGE = Load(papers=3e6, subscribers=1e6, feeds=1e5)


def planned(load: Load = LARGE, figures: Figures = FIGURES) -> Plan:
    return plan(load, figures)


def stage(found: Plan, name: str) -> float:
    return sum(one.seconds_a_day for one in found.stages if one.name == name)


def test_twice_the_readers_are_twice_the_mail() -> None:
    once, twice = planned(), planned(replace(LARGE, subscribers=2e6))
    for name in ("render and send", "choose"):
        assert stage(twice, name) == pytest.approx(2 * stage(once, name), rel=0.01)
    assert twice.mail["a_second"] == pytest.approx(2 * once.mail["a_second"], rel=0.01)
    assert twice.disk_gb["deliveries"] == pytest.approx(2 * once.disk_gb["deliveries"])
    assert stage(twice, "fetch") == stage(once, "fetch")


def test_the_work_of_a_mail_is_what_was_measured() -> None:
    load = Load(papers=0, subscribers=7200, feeds=0, papers_a_day=0, mail_hours=1)
    found = planned(load, replace(FIGURES, mail_s=0.35, edition_s=0.1))
    (sent,) = [one for one in found.stages if one.name == "render and send"]
    assert sent.seconds_a_day == pytest.approx(2520)
    assert sent.cores == pytest.approx(1.0)  # 0.7 of an hour's seconds
    assert found.mail["a_second"] == 2


def test_half_the_time_wants_twice_the_cores() -> None:
    hurried = planned(replace(LARGE, mail_hours=1))
    calm, quick = ([o.cores for o in found.stages if o.name == "choose"] for found in (planned(), hurried))
    assert quick[0] == pytest.approx(2 * calm[0])


def test_more_new_papers_make_choosing_dearer_beyond_what_was_measured() -> None:
    few, same, many = (planned(replace(LARGE, candidates=number)) for number in (100, 500, 5_000))
    assert stage(few, "choose") == stage(same, "choose") < stage(many, "choose")


def test_repositories_are_read_as_often_as_their_schedule_says() -> None:
    assert readings_a_day(Load(papers=7_000, subscribers=0, feeds=0, papers_a_day=0, code_share=1)) == 1_000
    young = Load(papers=90, subscribers=0, feeds=0, papers_a_day=1, code_share=1)
    assert 55 < readings_a_day(young) < 70  # 8 + 10 + 23 + 20 readings in the 90 days of each


def test_what_is_fullest_saturates_first() -> None:
    found = planned()
    shares = [one.share for one in found.limits]
    assert shares == sorted(shares, reverse=True)
    assert found.first.share == max(shares)
    slow_disk = planned(LARGE, replace(FIGURES, sync_s=1.0))  # mails wait for it, over many connections
    assert slow_disk.first.name == "PostgreSQL: connections"
    starved = planned(replace(LARGE, papers=3e9, code_share=1, papers_a_day=0, subscribers=1))
    assert starved.first.name == "GitHub: points an hour"


def test_a_small_installation_is_one_process_on_sqlite() -> None:
    load = Load(papers=50_000, subscribers=200, feeds=300)
    small = planned(load)
    assert (small.database, small.machines, small.processes) == ("SQLite", 1, 1)
    assert small.memory_mb["database"] == small.memory_mb["web"] == 0
    slow_disk = planned(load, replace(FIGURES, sync_s=10.0))
    assert slow_disk.database == "PostgreSQL"
    assert slow_disk.sqlite_share > 1
    assert planned().database == "PostgreSQL"


def test_there_are_processes_for_all_mails_that_wait() -> None:
    far = planned(replace(LARGE, mail_round_trip_s=1.0))  # five round trips a mail, 139 mails a second
    assert far.processes == far.mail["at_the_same_time"] >= 695
    assert far.memory_mb["workers"] == pytest.approx(far.processes * FIGURES.worker_mb, rel=0.01)
    assert far.machines == planned().machines  # who waits needs no processor


def test_more_machines_come_with_more_work_and_suffice() -> None:
    for subscribers in (1e6, 5e6, 2e7):
        found = planned(replace(LARGE, subscribers=subscribers))
        (workers,) = [one for one in found.limits if one.name == "processors of workers"]
        assert workers.limit == found.machines * LARGE.cores
        assert workers.limit - LARGE.cores < workers.used <= workers.limit


def test_editions_of_more_papers_than_are_kept_ready_read_them_all() -> None:
    assert capacity.MOST_KEPT == choose.MOST_KEPT
    few, many = (planned(replace(LARGE, candidates=number)) for number in (choose.MOST_KEPT, choose.MOST_KEPT + 1))
    assert stage(many, "choose") > 2 * stage(few, "choose")


def test_messages_go_before_their_deliveries_do() -> None:
    short, long = (planned(replace(LARGE, messages_keep_days=days)).disk_gb["deliveries"] for days in (30, 365))
    assert long * GB == pytest.approx(LARGE.mails_a_day * 365 * FIGURES.delivery_bytes)
    assert (long - short) * GB == pytest.approx(LARGE.mails_a_day * 335 * FIGURES.message_bytes)


def test_backups_and_growth_are_part_of_the_disk() -> None:
    bare, kept = planned(replace(LARGE, backups=0)), planned(replace(LARGE, backups=2))
    assert bare.disk_gb["backups"] == 0
    database = bare.disk_gb["total"] - bare.disk_gb["backups"]
    assert kept.disk_gb["backups"] == pytest.approx(2 * FIGURES.backup_share * database, rel=0.01)
    assert bare.disk_gb["growth_a_day"] * GB > LARGE.mails_a_day * FIGURES.delivery_bytes


@pytest.mark.parametrize(
    "wrong",
    [{"papers": -1}, {"feeds": float("nan")}, {"subscribers": float("inf")}, {"mail_hours": 0}, {"mail_hours": 25},
     {"code_share": 1.1}, {"cores": 0}],
)  # fmt: skip
def test_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        Load(**{"papers": 1, "subscribers": 1, "feeds": 1, **wrong})


def test_an_empty_installation_needs_next_to_nothing() -> None:
    found = planned(Load(papers=0, subscribers=0, feeds=0))
    assert found.worker_cores == found.database_cores == 0
    assert found.as_json()["machines"]["workers"] == 1
    json.dumps(found.as_json(), allow_nan=False)
