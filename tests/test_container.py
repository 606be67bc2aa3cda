"""The container: what it may do is as little as it needs. Held over the files it is made by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STEPS = [
    line.split(None, 1)
    for line in (ROOT / "config" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]
OURS = {name: service for name, service in SERVICES.items() if service.get("image", "").startswith("broadsheet")}


def test_there_are_services_of_ours() -> None:
    assert {"migrate", "worker-read", "worker-notify", "beat", "web"} == set(OURS)


def last(what: str) -> str:
    return [rest for word, rest in STEPS if word == what][-1]


def test_the_image_runs_as_nobody_of_importance() -> None:
    assert last("USER") == "broadsheet"
    useradd = next(rest for _, rest in STEPS if "useradd" in rest)
    assert int(re.search(r"--uid (\d+)", useradd)[1]) > 1000  # type: ignore[index]
    after = [word for word, _ in STEPS][[step[0] for step in STEPS].index("USER") :]
    assert not {"RUN", "COPY", "ADD"} & set(after), "nothing is written once it runs as that user"


def test_the_image_holds_the_locked_program_and_neither_tools_nor_secrets() -> None:
    copied = [rest for word, rest in STEPS if word in {"COPY", "ADD"}]
    assert not [rest for rest in copied if re.search(r"(^|\s)(\.|\.env|tests)(\s|$)|https?:", rest)]
    assert any("uv sync --frozen --no-dev" in rest for _, rest in STEPS)
    second = STEPS[[n for n, step in enumerate(STEPS) if step[0] == "FROM"][-1] :]
    assert not [rest for word, rest in second if word == "RUN" and re.search(r"pip|uv |apt|curl", rest)]
    assert [rest for word, rest in second if word == "COPY"] == ["--from=build /opt/broadsheet /opt/broadsheet"]
    named = " ".join(rest for word, rest in STEPS if word in {"ENV", "ARG"})
    assert not re.search(r"(?i)password|secret|token", named)


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_may_write_to_its_data_and_nowhere_else(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == ["data:/data"]
    assert [one.partition(":")[0] for one in service["tmpfs"]] == ["/tmp"]
    assert {"noexec", "nosuid", "nodev"} <= set(service["tmpfs"][0].partition(":")[2].split(","))
    assert "user" not in service or not str(service["user"]).startswith(("0", "root"))


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_reaches_out_of_its_container(name: str) -> None:
    service = SERVICES[name]
    assert not {"privileged", "pid", "ipc", "devices", "network_mode", "userns_mode"} & set(service)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not [one for one in service.get("volumes", ()) if str(one).startswith(("/", ".", "~"))]
    assert ":" in service["image"]


def test_only_the_pages_are_open_to_other_machines() -> None:
    open_to_all = {
        name
        for name, service in SERVICES.items()
        for port in service.get("ports", ())
        if not str(port).startswith("127.0.0.1:")
    }
    assert open_to_all == {"web"}


def test_no_password_is_written_down() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|KEY", name):
                assert re.fullmatch(r"\$\{[^}]+(\$\{[^}]*\})?\}?", str(value)), name
