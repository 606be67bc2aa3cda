"""An edition as HTML mail, never so long that a mail service cuts off its end.

Gmail hides what comes after about 102 kB, the unsubscribe link first. So the finished page is measured, and
above the limit papers at the end become one line each, then a number on the web; the footer always stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from services.digests import words
from services.digests.entries import Page
from services.digests.overrides import Templates, templates_of
from services.domain.text import excerpt

if TYPE_CHECKING:
    import css_inline

MAX_HTML_BYTES = 95_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of each paper is printed: the first `full` whole, then one-liners up to `shown`."""

    full: int
    shown: int


def render_html(
    page: Page, subject: str, *, limit: int = MAX_HTML_BYTES, folder: Path | None = None
) -> tuple[str, Plan]:
    """The page as HTML of at most `limit` bytes (UTF-8, styles inlined), and what of it was printed.

    `folder` may hold templates that stand in for ours. Should the frame alone pass the limit, the frame is what comes
    back. Raises `BrokenTemplate` for a template of theirs that cannot be used.
    """
    templates = templates_of(folder)
    plans = _plans(len(page.entries))
    low, high = 0, len(plans) - 1
    html = _render(templates, page, subject, plans[0])
    if _fits(html, limit):
        return html, plans[0]
    best = _render(templates, page, subject, plans[-1])
    while low + 1 < high:
        middle = (low + high) // 2
        html = _render(templates, page, subject, plans[middle])
        if _fits(html, limit):
            high, best = middle, html
        else:
            low = middle
    return best, plans[high]


def _plans(n: int) -> tuple[Plan, ...]:
    """From everything to nothing, one paper at a time, from the end; each plan is smaller than the last."""
    shorter = tuple(Plan(full, n) for full in range(n, -1, -1))
    return shorter + tuple(Plan(0, shown) for shown in range(n - 1, -1, -1))


def _fits(html: str, limit: int) -> bool:
    return len(html.encode()) <= limit


def values_of(page: Page, subject: str, plan: Plan) -> dict[str, object]:
    """What a template is given."""
    return {
        "page": page, "subject": subject, "preheader": _preheader(page, plan.shown),
        "tally": "" if page.quiet else words.plural(plan.shown, "paper"), "summary": page.summary_of(plan.shown),
        "full_entries": page.entries[: plan.full], "brief_entries": page.entries[plan.full : plan.shown],
        "more": page.more(plan.shown),
    }  # fmt: skip


def _render(templates: Templates, page: Page, subject: str, plan: Plan) -> str:
    return _inliner().inline(templates.render("edition.html.j2", values_of(page, subject, plan)))


def _preheader(page: Page, shown: int) -> str:
    """What an inbox shows after the subject, which already names the first paper."""
    following = " · ".join(entry.title for entry in page.entries[1:4])
    return excerpt(following or page.summary_of(shown), 150)


@cache
def _inliner() -> css_inline.CSSInliner:
    import css_inline  # here: nobody needs it before the first mail

    # `keep_at_rules` leaves dark mode and the phone layout in the head; nothing is ever loaded from outside.
    return css_inline.CSSInliner(keep_at_rules=True, minify_css=True, load_remote_stylesheets=False)
