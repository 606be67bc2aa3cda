"""Feedback: what a reader says of one paper by a link of their digest, and the page of what they have said.

A GET shows what would be done and a button; the POST of the button does it, and can be taken back at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any

import structlog
from fastapi import Form, Request
from starlette.responses import Response

from services.digests.export import format_named
from services.domain.errors import InvalidInput
from services.domain.feedback import mute_target
from services.domain.papers import PaperFacts
from services.domain.tokens import PAPER_PURPOSES, make_token
from services.pipeline import feedback
from services.storage import archive
from services.storage import feedback as rows
from workers.web.auth import guarded
from workers.web.exports import as_file
from workers.web.kit import Web, WebKit
from workers.web.links import BadLink, Bearer, bearer, own_form, reader_page

log = structlog.get_logger(__name__)

router = guarded(include_in_schema=False)

WORDS = {
    "save": ("Save this paper", "It is kept on your list, and more like it will come first.", "Saved"),
    "more": ("More like this?", "Papers like it will come first.", "More like this will come first"),
    "less": ("Less like this?", "Papers like it will come last.", "Less like this will come"),
    "mute": ("What do you not want to see?", "Nothing of it will come from the next edition on.", "Muted"),
    "snooze": ("Not now?", "It will be in your first edition from that day on.", "Put off"),
}
"""For each act the question, what follows from it, and what is said when it is done."""
SNOOZES = (("tomorrow", 1), ("in a week", 7), ("in a month", 30))
MOST_AUTHORS = 6
FILES = (("bibtex", "BibTeX"), ("ris", "RIS (Zotero, EndNote)"), ("csl", "CSL-JSON"), ("csv", "CSV"))


def _paper(web: Web, act: str, token: str) -> tuple[Bearer, PaperFacts]:
    """Who says it, and of which paper."""
    with web.rt.reading() as session:
        who = bearer(web.rt, session, act, token, running=True)
        found = archive.load(session, [who.paper_id], now=web.rt.now())
    if not found:
        raise BadLink("this paper is not in the archive any more")
    return who, found[0]


def _page(
    web: Web, request: Request, act: str, token: str, who: Bearer, paper: PaperFacts, *, status: int = 200,
    **values: Any,
) -> Response:  # fmt: skip
    today = who.today(web.rt.now())
    ask, follows, done = WORDS[act]
    mutable = [
        *(("author", author.name) for author in paper.authors[:MOST_AUTHORS]),
        *(("feed", name) for name in paper.feeds[:MOST_AUTHORS]),
        *(("category", name) for name in paper.categories[:3]),
    ]
    saved = make_token(web.rt.secret, "saved", who.subscription.id or 0, who.subscriber.token_version)
    return reader_page(
        web, request, "feedback.html", who, token, act, status=status, act=act, paper=paper, ask=ask, follows=follows,
        done_words=done, mutable=mutable, choices=[(said, today + timedelta(days=n)) for said, n in SNOOZES],
        saved_token=saved, **{"done": False, "undone": False, "target": "", "error": "", **values},
    )  # fmt: skip


def _look(act: str) -> Callable[..., Response]:
    def look(request: Request, web: WebKit, token: str) -> Response:
        who, paper = _paper(web, act, token)
        return _page(web, request, act, token, who, paper)

    return look


def _do(act: str) -> Callable[..., Response]:
    def do(
        request: Request, web: WebKit, token: str, what: Annotated[str, Form()] = "",
        topic: Annotated[str, Form()] = "", until: Annotated[str, Form()] = "", undo: Annotated[str, Form()] = "",
        target: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        own_form(request, web, csrf, act, token)
        who, paper = _paper(web, act, token)
        own = who.subscription.id or 0
        if undo:
            feedback.take_back(web.rt, own, paper.key, act, target=target[:2_000])
            return _page(web, request, act, token, who, paper, undone=True)
        try:
            said = feedback.give(web.rt, own, paper.key, act, target=_target(act, what, topic, until))
        except InvalidInput as error:
            return _page(web, request, act, token, who, paper, status=400, error=str(error))
        log.info("feedback.given", subscription=own, act=act, paper=paper.key)
        until_day = date.fromisoformat(said.target) if act == "snooze" else None
        return _page(web, request, act, token, who, paper, done=True, target=said.target, until_day=until_day)

    return do


def _target(act: str, what: str, topic: str, until: str) -> str:
    """What the form says is muted, or until when it is put off."""
    if act == "mute":
        kind, _, value = what.partition("|")
        return mute_target(kind, value) if what else mute_target("topic", topic)
    return until if act == "snooze" else ""


for _act in PAPER_PURPOSES:
    router.add_api_route(f"/{_act}/{{token}}", _look(_act), methods=["GET"], name=f"{_act}_form")
    router.add_api_route(f"/{_act}/{{token}}", _do(_act), methods=["POST"], name=_act)


@router.get("/saved/{token}")
def saved_form(request: Request, web: WebKit, token: str, file: str = "") -> Response:
    """What the reader has saved, put off and muted; with `file` the saved papers as a file of that format."""
    if not file:
        return _saved_page(web, request, token)
    with web.rt.reading() as session:
        who = bearer(web.rt, session, "saved", token, running=True)
        papers = feedback.saved(session, who.subscription.id or 0, now=web.rt.now())
    return as_file(papers, format_named(file), "saved")


@router.post("/saved/{token}")
def saved(
    request: Request, web: WebKit, token: str, act: Annotated[str, Form()] = "", key: Annotated[str, Form()] = "",
    target: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Take one thing back."""
    own_form(request, web, csrf, "saved", token)
    with web.rt.writing() as session:
        who = bearer(web.rt, session, "saved", token, running=True)
        if act == "mute":
            rows.forget_target(session, who.subscription.id or 0, "mute", target[:2_000])
        elif act in {"save", "snooze"}:
            paper_id = archive.find_id(session, key[:500])
            if paper_id is not None:
                rows.forget(session, who.subscription.id or 0, paper_id, act, target=target[:50])
    return _saved_page(web, request, token)


def _saved_page(web: Web, request: Request, token: str) -> Response:
    with web.rt.reading() as session:
        who = bearer(web.rt, session, "saved", token, running=True)
        own, now = who.subscription.id or 0, web.rt.now()
        papers = feedback.saved(session, own, now=now)
        said = rows.list_all(session, own, acts=["mute", "snooze"])
        today = who.today(now)
        put_off = {row.paper_id: row.target for row in said if row.act == "snooze" and row.target > today.isoformat()}
        held = archive.load(session, sorted(put_off), now=now)
    return reader_page(
        web, request, "saved.html", who, token, "saved", papers=papers,
        mutes=list(dict.fromkeys(row.target for row in said if row.act == "mute")),
        files=FILES, held=[(paper, put_off[paper.id], date.fromisoformat(put_off[paper.id])) for paper in held],
    )  # fmt: skip
