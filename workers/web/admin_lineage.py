"""Admin, lineage: one box that finds a paper, a run or a mail by any of its names, and tells its whole history."""

from __future__ import annotations

import re

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from services.domain.errors import NotFound
from services.domain.text import clean
from services.pipeline import lineage
from services.storage import archive, histories, jobs
from workers.web.admin import desk
from workers.web.auth import Known, guarded
from workers.web.kit import WebKit

router = guarded(include_in_schema=False)

_RUN = re.compile(r"(?:run|job)?\s*#?\s*([1-9][0-9]{0,14})", re.IGNORECASE)
_SLUG = re.compile(r"(?:https?://[^/]+/)?([\w.-]+/[\w.-]+)/?", re.IGNORECASE)


@router.get("/admin/lineage")
def lineage_page(request: Request, web: WebKit, who: Known, of: str = "", to: str = "") -> Response:
    """What became of a paper, and with `to` why that reader did, or did not, get it."""
    of, to = clean(of, limit=2000), clean(to, limit=300)
    paper, delivery, error = None, None, ""
    lines: list[histories.Line] = []
    others: list[tuple[str, str]] = []
    verdicts: list[lineage.Verdict] = []
    run = _RUN.fullmatch(of)
    with web.rt.reading() as session:
        paper_id = archive.find_id(session, of) or histories.paper_of_merged(session, of) if of else None
        if paper_id is not None:
            paper = archive.load(session, [paper_id], now=web.rt.now())[0]
            lines = histories.of_paper(session, paper_id)
        elif run and jobs.find(session, int(run[1])) is not None:
            return RedirectResponse(f"/admin/runs/{run[1]}", 303)
        elif of:
            mail = histories.papers_of_message(session, of) or histories.papers_of_message(session, f"<{of}>")
            slug = _SLUG.fullmatch(of)
            if mail is not None:
                delivery, others = mail
            elif slug:
                others = histories.papers_with_repo(session, slug[1])
        if paper is not None and to:
            try:
                verdicts = list(lineage.explain(session, paper.key, now=web.rt.now(), to=to).verdicts)
            except NotFound as unknown:
                error = str(unknown)
        return desk(
            request, web, "lineage.html", who, of=of, to=to, paper=paper, delivery=delivery, lines=lines,
            others=others, verdicts=verdicts, error=error,
        )  # fmt: skip
