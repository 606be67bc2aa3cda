"""Sentences: one by a language model for each paper of an edition, where the operator has set one up.

Papers whose source brings a machine's summary of its own are not asked about. An edition never waits long for it, and
goes out without when the model is down, slow, talks nonsense, or the day's budget is used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlmodel import Session

from services.domain.errors import BroadsheetError, InvalidInput, RateLimited, UpstreamError
from services.domain.papers import PaperFacts
from services.domain.sentences import ANSWER_TOKENS, cost_of, fingerprint, question, read_answer
from services.runtime import Runtime
from services.storage import sentences as rows
from services.upstreams.llm import chat_body, chat_url, parse_answer

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=45)
"""No further question is asked for one edition after that long."""


def sentences_for(rt: Runtime, session: Session, papers: Sequence[PaperFacts]) -> dict[int, str]:
    """The sentences there are for these papers, by id; none while no model is set up."""
    if not rt.settings.llm_url:
        return {}
    return rows.find(session, {p.id: fingerprint(p.title, p.abstract) for p in papers}, rt.settings.llm_model)


def ask_for(rt: Runtime, papers: Sequence[PaperFacts]) -> int:
    """Ask for the sentences that are missing; returns how many came. Raises nothing: an edition goes without."""
    if not rt.settings.llm_url:
        return 0
    until = rt.now() + PATIENCE
    with rt.reading() as session:
        known = sentences_for(rt, session, papers)
    came = 0
    for paper in papers:
        if rt.now() >= until:
            log.info("sentences.late", came=came)
            break
        if paper.id in known or paper.ai_summary or not paper.abstract:
            continue
        try:
            came += _ask(rt, paper, paper.abstract)
        except UpstreamError as error:
            log.warning("sentences.down", error=str(error)[:300], came=came)
            break
    return came


def _ask(rt: Runtime, paper: PaperFacts, abstract: str) -> bool:
    """Ask about one paper, unless it was asked before or there is no budget left."""
    s = rt.settings
    messages, version = question(paper.title, abstract), fingerprint(paper.title, paper.abstract)
    with rt.writing() as session:
        if not rows.begin(
            session, paper.id, version, s.llm_model, cost=cost_of(messages), budget=s.llm_tokens_per_day, now=rt.now()
        ):
            return False
    key = s.llm_key.get_secret_value()
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with rt.gate("llm"):
            reply = rt.http.post(
                chat_url(s.llm_url), json=chat_body(s.llm_model, messages, ANSWER_TOKENS), headers=headers
            )
        answer = parse_answer(reply.body)
    except BroadsheetError as error:
        with rt.writing() as session:
            rows.forget(session, paper.id, version, s.llm_model)
        if isinstance(error, UpstreamError):
            raise
        raise RateLimited(str(error)) from error
    text, refused = None, ""
    try:
        text = read_answer(answer.content, paper.title, abstract)
    except InvalidInput as error:
        refused = str(error)
        log.info("sentences.refused", paper=paper.key, why=refused)
    with rt.writing() as session:
        rows.record(session, paper.id, version, s.llm_model, text=text, refused=refused, tokens=answer.tokens)
    return text is not None
