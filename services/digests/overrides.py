"""Overrides: templates of the operator's own that stand in for ours, by name, from a folder.

| file | is | given |
|---|---|---|
| `edition.html.j2` | the HTML of a mail; styles in it are moved into the elements afterwards | `email.values_of` |
| `edition.txt.j2` | its plain text; without it we write our own | the same |

Other files may be there to be included. They run in Jinja2's sandbox with nothing in reach but the words of the
edition; in the HTML everything printed is escaped. One that cannot be used is named with its file and line: it is never
passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from traceback import extract_tb

from jinja2 import (
    ChoiceLoader,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.domain.errors import InvalidInput

NAMES = ("edition.html.j2", "edition.txt.j2")
"""What can be replaced."""
MAX_OUTPUT = 2_000_000
"""Characters; a template that prints more has run away."""


class BrokenTemplate(InvalidInput):
    """A template of the operator's own that cannot be used; the message names its file, line and reason."""


class Templates:
    """Ours, and before them those of a folder."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        theirs = [FileSystemLoader(folder)] if folder else []
        self._environment = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader([*theirs, PackageLoader("services.digests")]),
            autoescape=lambda name: name is None or not name.endswith(".txt.j2"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=folder is not None,
        )

    @property
    def replaced(self) -> tuple[str, ...]:
        """Which of `NAMES` the folder has."""
        return tuple(name for name in NAMES if self.folder and (self.folder / name).is_file())

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """The template of that name. Raises `BrokenTemplate` when one of the folder's own cannot be used."""
        try:
            text = self._environment.get_template(name).render(values)
        except Exception as error:
            if self.folder is None:
                raise  # ours: a mistake of this program, not of the operator
            raise BrokenTemplate(f"template {self._place(error, name)}: {_reason(error)}") from error
        if len(text) > MAX_OUTPUT:
            raise BrokenTemplate(f"template {self._file(name)}: it prints {len(text):,} characters")
        return text

    def _file(self, name: str) -> str:
        own = self.folder / name if self.folder else None
        return str(own) if own and own.is_file() else name

    def _place(self, error: Exception, name: str) -> str:
        """`file:line`: where the template is wrong, or where in it rendering stopped."""
        if isinstance(error, TemplateSyntaxError):
            return f"{error.filename or self._file(error.name or name)}:{error.lineno}"
        frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename.endswith(".j2")]
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else self._file(name)


def _reason(error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return f"there is no template {error.name!r} to be included"
    if isinstance(error, TemplateError):
        return error.message or type(error).__name__
    return f"{type(error).__name__}: {error}"[:300]


@lru_cache(maxsize=8)
def templates_of(folder: Path | None) -> Templates:
    """The templates in use with a folder; ours alone where it is not there or replaces nothing."""
    return Templates(folder)
