"""The `broadsheet` command as tests use it: run in this process, or as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from config.settings import PREFIX
from workers.cli import app

SAMPLES = Path(__file__).parents[1] / "upstreams"
"""Small documents of ours, in the shapes of the upstreams."""


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its stdout as the one JSON document it has to be."""
        return json.loads(self.out)


@dataclass
class Broadsheet:
    """Call it with arguments. `settings` (names without prefix) can be changed between calls."""

    settings: dict[str, str] = field(default_factory=dict)

    def __call__(self, *args: object, stdin: str | bytes | None = None, code: int | None = None) -> Said:
        """Run in this process; with `code`, assert that it ends with it."""
        result = CliRunner().invoke(
            app, [str(a) for a in args], input=stdin, env=self.environment(), prog_name="broadsheet"
        )
        said = Said(result.exit_code, result.stdout, result.stderr)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"broadsheet {args}: {said}") from result.exception
        assert code is None or said.code == code, said
        return said

    def json(self, *args: object, code: int = 0) -> Any:
        """Run with `--json` and give the document."""
        return self(*args, "--json", code=code).data

    def environment(self) -> Mapping[str, str]:
        """The settings as environment variables, on a wide terminal that is no terminal."""
        return {f"{PREFIX}{name}": value for name, value in self.settings.items()} | {"COLUMNS": "160", "TZ": "UTC"}

    def process(self, *args: object, **changes: str) -> subprocess.Popen[str]:
        """Start it as a program of its own, stdout and stderr kept apart."""
        return subprocess.Popen(
            [sys.executable, "-m", "workers", *(str(a) for a in args)],
            env=dict(os.environ) | dict(self.environment()) | {f"{PREFIX}{n}": v for n, v in changes.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
