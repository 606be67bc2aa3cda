"""docker-compose.yml: it can be read, its services fit together, and what shows the broker is off or behind a login."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import PREFIX, Settings
from workers import processes

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_services_wait_for_services_there_are_and_volumes_are_declared() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        named = {one.partition(":")[0] for one in service.get("volumes", [])}
        assert {volume for volume in named if not volume.startswith((".", "/"))} <= set(COMPOSE["volumes"]), name
        waits = {on: how["condition"] for on, how in service.get("depends_on", {}).items()}
        for on, condition in waits.items():
            assert condition != "service_healthy" or "healthcheck" in SERVICES[on], (name, on)


def test_every_setting_it_gives_is_one_there_is_and_every_variable_is_in_the_example() -> None:
    given = {
        name for service in SERVICES.values() for name in service.get("environment", {}) if name.startswith(PREFIX)
    }
    assert given
    assert {name.removeprefix(PREFIX).lower() for name in given} <= set(Settings.model_fields)
    example = (ROOT / "config" / "example.env").read_text(encoding="utf-8")
    wanted = set(re.findall(r"\$\{([A-Z_]+)(?=[:}])", TEXT))
    assert {name for name in wanted if not re.search(rf"^#? ?{name}=", example, re.MULTILINE)} <= {"WEB_PORT"}


def test_whatever_is_set_in_the_file_reaches_our_services() -> None:
    ours = [service for service in SERVICES.values() if service.get("image", "").startswith("broadsheet")]
    assert ours
    assert all(service["env_file"] == [{"path": ".env", "required": False}] for service in ours)


def test_workers_are_left_the_time_to_finish_what_runs() -> None:
    workers = {name: service for name, service in SERVICES.items() if "worker" in service.get("command", [])}
    assert len(workers) == 2
    ends_within_s = Settings.model_fields["lease_s"].default + processes.UNHEARD_S
    for name, service in workers.items():
        assert ends_within_s < int(service["stop_grace_period"].removesuffix("s")) < 2 * ends_within_s, name


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_databases_are_reached_from_inside_alone_and_want_a_password(name: str) -> None:
    assert "ports" not in SERVICES[name]
    assert "PASSWORD" in str(SERVICES[name])


def test_flower_is_off_unless_asked_for_and_then_behind_the_administrators_login() -> None:
    flower = SERVICES["flower"]
    assert flower["profiles"] == ["flower"]
    assert all(port.startswith("127.0.0.1:") for port in flower["ports"])
    assert flower["environment"]["PASSWORD"] == "${FLOWER_PASSWORD:-${BROADSHEET_ADMIN_PASSWORD:-}}"
    assert all("profiles" not in service for one, service in SERVICES.items() if one != "flower")


@pytest.mark.parametrize(
    ("password", "starts"),
    [("open lanterns at dusk", True), ("a:b#c$d\"e'f*", True), ("", False), ("in,two", False), ("längs", False)],
)
def test_flower_starts_with_a_password_it_can_check_and_with_no_other(
    tmp_path: Path, password: str, starts: bool
) -> None:
    """It splits a list of logins at commas, so that a part of such a password would open it."""
    program = tmp_path / "celery"
    program.write_text('#!/bin/sh\necho "$1 with $FLOWER_BASIC_AUTH"\n')
    program.chmod(0o755)
    command = [part.replace("$$", "$") for part in SERVICES["flower"]["entrypoint"]]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PASSWORD": password}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if starts else 1)
    assert done.stdout.strip() == (f"flower with admin:{password}" if starts else "")
    assert starts or "_PASSWORD" in done.stderr
