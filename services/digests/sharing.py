"""Sharing: what an edition tells all its readers is rendered once, and the links of each are put in.

Editions of one query at one hour differ in signed links alone. So the end of each such link gives way to a stand-in of
the same length, what comes out is kept, and for every reader the stand-ins are filled. Since no length changes, what
fits a limit is the same, and so is every byte: as if it had been rendered for this reader alone.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from services.domain.digests import EditionView

Render = Callable[[EditionView], tuple[str, ...]]

_KEPT, _KEPT_FOR_S = 64, 60.0
"""Editions kept in a process, of some 100 kB each, and for how long at most: they are sent within minutes, and never
again."""
_MARK = secrets.token_hex(8)
"""Nobody who writes a title or an abstract knows it."""
_STAND_IN = re.compile(rf"{_MARK}(\d{{4}})x*z")
_LEAST = len(_MARK) + len("0000z")
_MOST = 10_000
_END = re.compile(r"[A-Za-z0-9_.-]+")
"""Ends of links that look the same in every form: nothing in them is escaped."""


def shared(view: EditionView, render: Render) -> tuple[str, ...]:
    """`render(view)`, which must be a function of the view alone and print links as they are (HTML, plain text).

    Ages in it are those of the full minute before `composed_at`, so that editions of the same minute are the same.
    """
    links = _Links()
    common = replace(
        view,
        composed_at=view.composed_at.replace(second=0, microsecond=0),
        feedback=tuple(tuple((act, links.stand_in(url)) for act, url in of_item) for of_item in view.feedback),
        web_url=links.stand_in(view.web_url),
        preferences_url=links.of(view.preferences_url),
        pause_url=links.of(view.pause_url),
        saved_url=links.of(view.saved_url),
        unsubscribe_url=links.of(view.unsubscribe_url),
        one_click_url=links.of(view.one_click_url),
    )
    _let_go()
    return tuple(links.fill(text, gaps) for text, gaps in _rendered(common, render))


_let_go_at = 0.0


def _let_go() -> None:
    """Forget what is kept, once a minute."""
    global _let_go_at
    if not 0 <= time.monotonic() - _let_go_at < _KEPT_FOR_S:
        _rendered.cache_clear()
        _let_go_at = time.monotonic()


@lru_cache(maxsize=_KEPT)
def _rendered(common: EditionView, render: Render) -> tuple[tuple[Sequence[str], Sequence[int]], ...]:
    """Each form in pieces, and which link belongs into every second of them."""
    forms = [_STAND_IN.split(text) for text in render(common)]
    return tuple((form, [int(number) for number in form[1::2]]) for form in forms)


class _Links:
    """The links of one reader, and what stands for them."""

    def __init__(self) -> None:
        self._ends: list[str] = []

    def of(self, url: str | None) -> str | None:
        """What stands for a link, where there is one."""
        return self.stand_in(url) if url else url

    def stand_in(self, url: str) -> str:
        """A link of the same length whose end is nobody's; the link itself where its end is no token, or could be
        escaped."""
        head, slash, end = url.rpartition("/")
        if not slash or len(end) < _LEAST or not _END.fullmatch(end) or len(self._ends) >= _MOST:
            return url
        self._ends.append(end)
        number = f"{_MARK}{len(self._ends) - 1:04}"
        return f"{head}/{number}{'x' * (len(end) - len(number) - 1)}z"

    def fill(self, pieces: Sequence[str], gaps: Sequence[int]) -> str:
        """The text of these pieces, with every stand-in as the link it stands for."""
        filled = list(pieces)
        filled[1::2] = [self._ends[gap] for gap in gaps]
        return "".join(filled)
