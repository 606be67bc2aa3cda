"""Messages: an edition's rows rendered, and the bytes kept so that every try sends the same ones."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import parseaddr
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import structlog
import zstandard
from sqlalchemy import Engine
from sqlmodel import Session

from services.digests import render
from services.digests.overrides import BrokenTemplate
from services.domain.deliveries import message_id as keyed_id
from services.domain.digests import EditionItem, SourceStatus
from services.domain.messages import Message
from services.domain.papers import PaperFacts
from services.pipeline.sentences import sentences_for
from services.pipeline.views import Pick, edition_item, edition_view, since_you_read
from services.runtime import Runtime
from services.storage import archive, editions, notices, subscribers
from services.storage.tables import Delivery, Edition, Subscriber, Subscription

log = structlog.get_logger(__name__)

LEVEL = 3
"""Of compression: the next ones take three times as long, and save a twentieth."""
MAX_KEPT = 64 * 1024 * 1024
KEPT_FOR, MOST_KEPT, MOST_ITEMS = timedelta(seconds=30), 64, 500
"""How long the facts of an edition's papers are good for other readers' editions, of how many editions, and how many
ways there are at most to tell of them."""


@dataclass(frozen=True, slots=True)
class _Papers:
    """The papers of an edition as of the minute it was composed in: the same for all who get them."""

    read_at: datetime
    facts: Mapping[int, PaperFacts]
    items: dict[tuple[Any, ...], EditionItem] = field(default_factory=dict)

    def item(self, rt: Runtime, pick: Pick, composed_at: datetime) -> EditionItem:
        """As `edition_item`; made once for all who get the paper for the same reasons."""
        key = (rt.settings.public_url, pick.paper.id, pick.why, pick.late, pick.sentence)
        found = self.items.get(key)
        if found is None:
            if len(self.items) >= MOST_ITEMS:
                self.items.clear()
            found = self.items[key] = edition_item(rt, pick, composed_at.replace(second=0, microsecond=0))
        return found


_kept: WeakKeyDictionary[Engine, dict[tuple[tuple[int, ...], datetime], _Papers]] = WeakKeyDictionary()
_keeping = threading.Lock()
PREVIEW_ID = "<preview@localhost>"


def render_edition(rt: Runtime, session: Session, edition: Edition, delivery: Delivery | None) -> Message:
    """The message of an edition, from its rows; without a delivery, as a preview."""
    subscription, subscriber = subscribers.get_subscription(session, edition.subscription_id)
    message = _rendered(rt, session, edition, delivery, subscription, subscriber)
    return replace(message, headers={**message.headers, "References": thread_root(rt, subscription)})


def thread_root(rt: Runtime, subscription: Subscription) -> str:
    """What all editions of a subscription refer to, so that mail programs keep them together: no mail has this id."""
    return keyed_id(f"thread of subscription {subscription.id}", rt.secret, mail_domain(rt))


def _rendered(
    rt: Runtime, session: Session, edition: Edition, delivery: Delivery | None, subscription: Subscription,
    subscriber: Subscriber,
) -> Message:  # fmt: skip
    items = editions.items(session, edition.id or 0)
    papers = _papers(rt, session, tuple(i.paper_id for i in items), edition.composed_at)
    facts = papers.facts
    said = sentences_for(rt, session, list(facts.values()))
    picks = [
        Pick(paper=facts[i.paper_id], why=i.why, late=i.late, sentence=said.get(i.paper_id))
        for i in items
        if i.paper_id in facts
    ]
    view = edition_view(
        rt,
        subscription,
        subscriber,
        picks=picks,
        matched=edition.matched,
        considered=edition.considered,
        since_at=edition.since_at,
        sources=[status_from_json(status) for status in edition.sources],
        composed_at=edition.composed_at,
        edition_id=edition.id,
        since_you_read=since_you_read(session, edition.subscription_id, edition.composed_at),
        item_of=papers.item,
    )
    message_id = delivery.message_id if delivery else PREVIEW_ID
    mail_only = delivery is not None and delivery.channel == "email"
    try:
        return render(
            view, message_id=message_id, list_id=list_id(rt, subscription), folder=rt.settings.template_folder,
            mail_only=mail_only,
        )  # fmt: skip
    except BrokenTemplate as error:
        if delivery is None:
            raise
        # Nobody goes without an edition for it; but it is said, once a day, to those who can mend it.
        log.error("template.broken", error=str(error), edition=edition.id)
        day = rt.now().replace(hour=0, minute=0, second=0, microsecond=0)
        with rt.writing() as told:
            notices.tell(
                told, kind="template", subject="templates", now=day, send=bool(rt.settings.alert_to),
                text=f"{error}. Editions go out by the built-in template until it is mended; "
                "`broadsheet editions preview` shows what it does.",
            )  # fmt: skip
        return render(view, message_id=message_id, list_id=list_id(rt, subscription), mail_only=mail_only)


def _papers(rt: Runtime, session: Session, ids: tuple[int, ...], at: datetime) -> _Papers:
    """The papers of an edition as of the minute it was composed in: read once for all who get the same."""
    minute = at.replace(second=0, microsecond=0)
    now = rt.now()
    with _keeping:
        kept = _kept.setdefault(rt.engine, {})
        found = kept.get((ids, minute))
    if found is None or not timedelta(0) <= now - found.read_at < KEPT_FOR:
        found = _Papers(now, {paper.id: paper for paper in archive.load(session, ids, now=minute)})
        with _keeping:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            kept[(ids, minute)] = found
    return found


def list_id(rt: Runtime, subscription: Subscription) -> str:
    """RFC 2919: a name, and an id below our own domain."""
    slug = re.sub(r"[^a-z0-9]+", "-", subscription.name.lower()).strip("-") or "digest"
    return f"{subscription.name} <{slug}.{mail_domain(rt)}>"


def mail_domain(rt: Runtime) -> str:
    """Our own domain in Message-ID and List-Id: the sender's."""
    return _domain_of(rt.settings.mail_from)


@lru_cache(maxsize=8)
def _domain_of(mail_from: str) -> str:
    return parseaddr(mail_from)[1].partition("@")[2] or "localhost"


def pack(message: Message) -> bytes:
    """A message as kept on its delivery."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.json.encode(message))


def unpack(kept: bytes) -> Message:
    """A kept message, the same as was packed."""
    data = msgspec.json.decode(zstandard.ZstdDecompressor().decompress(kept, max_output_size=MAX_KEPT))
    return Message(**{**data, "date": datetime.fromisoformat(data["date"]), "thread": tuple(data["thread"]),
                      "short": tuple(data["short"])})  # fmt: skip


def status_to_json(status: SourceStatus) -> dict[str, Any]:
    """A source's status as kept on its edition."""
    return {**asdict(status), "as_of": status.as_of.isoformat() if status.as_of else None}


def status_from_json(data: dict[str, Any]) -> SourceStatus:
    """A kept status."""
    return SourceStatus(**{**data, "as_of": datetime.fromisoformat(data["as_of"]) if data["as_of"] else None})
