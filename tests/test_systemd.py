"""config/systemd: the units run commands there are, are started again, and leave a worker the time it takes to end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from config.settings import PREFIX, Settings
from workers import processes
from workers.commands.faults import WRONG_USAGE

UNITS = Path(__file__).parent.parent / "config" / "systemd"
ONE, PARTS = "broadsheet.service", "broadsheet@.service"
PROCESSES = ("worker", "beat", "web")


def unit(name: str) -> dict[str, list[str]]:
    """The values of each option of a unit; an option may be given more than once."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            option, _, value = line.partition("=")
            found.setdefault(option, []).append(value)
    return found


@pytest.mark.parametrize(("name", "instances"), [(ONE, ("",)), (PARTS, PROCESSES)])
def test_a_unit_starts_commands_there_are(name: str, instances: tuple[str, ...]) -> None:
    from workers.cli import app

    commands = set(getattr(typer.main.get_command(app), "commands", ()))
    (start,) = unit(name)["ExecStart"]
    program, command = start.split()
    assert program.endswith("/bin/broadsheet")
    assert {command.replace("%i", one) for one in instances} <= commands
    shown = re.findall(r"broadsheet@(\w+)", (UNITS / name).read_text(encoding="utf-8").partition("[Unit]")[0])
    assert set(shown) - {""} == (set(PROCESSES) if name == PARTS else set())


@pytest.mark.parametrize("name", [ONE, PARTS])
def test_what_ends_is_started_again_for_as_long_as_it_takes_and_wrong_settings_are_not(name: str) -> None:
    options = unit(name)
    assert options["Restart"] == ["always"]
    assert options["StartLimitIntervalSec"] == ["0"]
    assert options["RestartPreventExitStatus"] == [str(WRONG_USAGE)]
    assert options["OOMPolicy"] == ["continue"]


@pytest.mark.parametrize("name", [ONE, PARTS])
def test_a_process_is_told_to_end_and_its_children_are_killed_once_a_lease_and_more_is_over(name: str) -> None:
    options = unit(name)
    assert options["KillMode"] == ["mixed"]
    assert "KillSignal" not in options  # SIGTERM
    ends_within_s = Settings.model_fields["lease_s"].default + processes.UNHEARD_S
    assert ends_within_s < int(options["TimeoutStopSec"][0]) < 2 * ends_within_s


@pytest.mark.parametrize("name", [ONE, PARTS])
def test_the_service_may_write_its_own_folder_alone_and_is_given_settings_there_are(name: str) -> None:
    options = unit(name)
    given = dict(pair.split("=", 1) for line in options["Environment"] for pair in line.split())
    ours = {key.removeprefix(PREFIX).lower() for key in given if key.startswith(PREFIX)}
    assert ours <= set(Settings.model_fields)
    assert options["ProtectSystem"] == ["strict"]
    assert given[f"{PREFIX}HOME"] == f"/var/lib/{options['StateDirectory'][0]}" == options["WorkingDirectory"][0]
    assert options["EnvironmentFile"] == ["-/etc/broadsheet.env"]


def test_both_units_differ_in_what_they_start_alone() -> None:
    one, parts = unit(ONE), unit(PARTS)
    assert {option for option in one | parts if one.get(option) != parts.get(option)} == {
        "Description", "After", "ExecStart",
    }  # fmt: skip
