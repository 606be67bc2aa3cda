"""Asking before what cannot be taken back."""

from __future__ import annotations

import sys

import typer

from workers.commands.output import note


def confirm(question: str) -> None:
    """Ask on the terminal; without one, refuse and name the option that answers."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} There is no terminal to ask on: say --yes", param_hint="--yes")
    if not typer.confirm(question, err=True):
        note("Nothing was changed.")
        raise typer.Exit(1)
