"""Faults: what goes wrong becomes one clear line on stderr and an exit code; no traceback for what we understand.

0 done      1 failed or partly refused      2 wrong usage, or a setting that cannot be used
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import Any

import typer
from typer.core import TyperGroup

from config.catalogue import CatalogueError
from services.domain.errors import BroadsheetError
from workers.commands.opening import SettingsFault, asked
from workers.commands.output import fail

RUNNING, CONTENT, READERS, OPERATING = PANELS = ("Running", "Papers and feeds", "Readers", "Operating")
"""The headings of help, in order."""

FAILED = 1
WRONG_USAGE = 2
ONE_SENTENCE = 200
"""Characters: the first sentence of a command's help is listed whole."""


class Listed(TyperGroup):
    """A group whose help lists its commands by subject."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands under the headings they were registered with, each with its first sentence."""
        panels: dict[str, list[tuple[str, str]]] = {}
        longest = max(map(len, self.commands), default=0)
        for name in self.commands:
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = str(getattr(command, "rich_help_panel", None) or "Commands")
                words = command.get_short_help_str(ONE_SENTENCE)
                panels.setdefault(panel, []).append((name.ljust(longest), words))
        for panel in sorted(panels, key=lambda name: PANELS.index(name) if name in PANELS else len(PANELS)):
            with formatter.section(panel):
                formatter.write_dl(panels[panel])


class Commands(Listed):
    """The group of all commands: whatever they raise ends here."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn its errors into lines and exit codes."""
        _name(self, "")
        try:
            return super().invoke(ctx)
        except SettingsFault as error:
            fail(error)
            raise typer.Exit(WRONG_USAGE) from None
        except (BroadsheetError, CatalogueError) as error:
            fail(error)
            raise typer.Exit(FAILED) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has seen enough
                raise
            fail(error)
            raise typer.Exit(FAILED) from None
        except Exception as error:
            words = database_trouble(error)
            if words is None:
                raise
            fail(words)
            raise typer.Exit(FAILED) from None


def _name(command: Any, path: str) -> None:
    """Let each command below say which it is when it begins: the audit asks (`commands.audited`)."""
    for name, child in getattr(command, "commands", {}).items():
        _name(child, f"{path} {name}".strip())
    if path and not getattr(command, "commands", None) and command.callback is not None:
        command.callback = partial(_begin, path, command.callback)


def _begin(path: str, callback: Callable[..., Any], **given: Any) -> Any:
    asked.command, asked.given = path, given
    return callback(**given)


def is_damage(said: str) -> bool:
    """Whether SQLite's words mean that the file itself is damaged: nothing else calls for a copy."""
    return "not a database" in said or "malformed" in said


def database_trouble(error: BaseException) -> str | None:
    """What a driver's error means to a person; `None` for anything else."""
    kind = type(error)
    if not kind.__module__.startswith("sqlalchemy.") or kind.__name__ not in {
        "OperationalError", "DatabaseError", "InterfaceError", "TimeoutError",
    }:  # fmt: skip
        return None
    from services.domain.redaction import redact

    said = redact(" ".join(str(getattr(error, "orig", None) or error).split()))
    if "locked" in said:
        return f"the database is busy ({said}); another process holds it for long. Try again."
    if is_damage(said):
        return f"the database is damaged ({said}); bring back a copy with `broadsheet restore FILE`"
    if "full" in said:
        return f"the disk is full ({said}); nothing was written"
    return f"the database cannot be used: {said.rstrip('.?')}. `broadsheet doctor` looks closer."
