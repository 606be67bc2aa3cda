"""The README is held to the code: commands, settings, paths and the files it names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _commands() -> set[str]:
    from workers.cli import app

    group: Any = typer.main.get_command(app)
    return set(group.commands)


def test_every_command_is_in_the_readme() -> None:
    named = set(re.findall(r"`([a-z][a-z0-9-]*)", README))
    assert _commands() - named == set()


def test_the_settings_table_is_what_the_code_says() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "workers", "settings", "--markdown"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.strip()
    kept = README.split("<!-- settings:begin -->")[1].split("<!-- settings:end -->")[0].strip()
    assert kept == printed, "run: broadsheet settings --markdown, and put it between the README's settings marks"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_files_named_in_the_documents_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    paths = set(re.findall(r"\]\((?!https?:)([^)#]+)\)", text)) | set(
        re.findall(r"`((?:services|workers|config|tests)/[A-Za-z0-9_./-]+)`", text)
    )
    assert paths
    missing = {path for path in paths if "NAME" not in path and not (ROOT / path).exists()}
    assert not missing


def test_make_targets_named_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    documents = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", documents, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= targets


def test_compose_runs_commands_that_exist() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\[(?:CMD, )?broadsheet, ([a-z]+)", compose))
    assert {"migrate", "worker", "beat", "web"} <= used <= _commands()


def test_no_registry_host_but_the_public_default_is_named() -> None:
    hosts = set(re.findall(r"https?://([^/\"\s]+)", (ROOT / "uv.lock").read_text(encoding="utf-8")))
    assert hosts <= {"pypi.org", "files.pythonhosted.org"}
