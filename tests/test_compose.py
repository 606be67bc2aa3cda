"""docker-compose.yml: it can be read, its services fit together, and what shows the broker is off or behind a login."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import PREFIX, Settings

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


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_databases_are_reached_from_inside_alone_and_want_a_password(name: str) -> None:
    assert "ports" not in SERVICES[name]
    assert "PASSWORD" in str(SERVICES[name])


def test_flower_is_off_unless_asked_for_and_then_behind_the_administrators_login() -> None:
    flower = SERVICES["flower"]
    assert flower["profiles"] == ["flower"]
    assert all(port.startswith("127.0.0.1:") for port in flower["ports"])
    assert flower["environment"]["PASSWORD"] == "${FLOWER_PASSWORD:-${BROADSHEET_ADMIN_PASSWORD:-}}"
    script = flower["entrypoint"][-1]
    assert script.index('[ -n "$$PASSWORD" ] ||') < script.index("exit 1") < script.index("exec celery flower")
    assert 'FLOWER_BASIC_AUTH="admin:$$PASSWORD"' in script
    assert all("profiles" not in service for one, service in SERVICES.items() if one != "flower")
