"""Documents: bytes as received, compressed, kept once per content."""

from __future__ import annotations

import hashlib
from datetime import datetime

import zstandard
from sqlalchemy import delete
from sqlmodel import Session, col, select

from services.domain.errors import NotFound
from services.storage import seals
from services.storage.sql import insert_ignore
from services.storage.tables import Document, Fetch, Validator

LEVEL = 4
"""Of compression: a page of 2,000 papers takes 17 ms for a quarter of its size; two levels more save a twelfth of that
in 41."""
MAX_SIZE = 256 * 1024 * 1024
"""Largest document that will be inflated again, in bytes; the fetch caps far below."""


def add(session: Session, body: bytes, *, content_type: str, now: datetime) -> int:
    """Keep `body`; returns the document's id, the same one for the same bytes."""
    digest = hashlib.sha256(body).hexdigest()
    row = {
        "sha256": digest,
        "body": zstandard.ZstdCompressor(level=LEVEL).compress(body),
        "size": len(body),
        "content_type": content_type[:200],
        "created_at": now,
    }
    insert_ignore(session, Document, [row], ["sha256"])
    found = session.exec(select(Document.id).where(Document.sha256 == digest)).one()
    assert found is not None
    return found


def read(session: Session, document_id: int) -> tuple[bytes, str]:
    """The bytes and their content type; `NotFound` when retention has removed them."""
    row = session.exec(
        select(Document.body, Document.size, Document.content_type).where(Document.id == document_id)
    ).first()
    if row is None:
        raise NotFound(f"document {document_id} is no longer kept; raise BROADSHEET_DOCUMENTS_KEEP_DAYS to keep more")
    body, size, content_type = row
    return zstandard.ZstdDecompressor().decompress(body, max_output_size=min(size or 1, MAX_SIZE)), content_type


def validators(session: Session, url: str) -> Validator | None:
    """What makes the next GET of `url` conditional; only while the document it stands for is kept and parsed."""
    return session.exec(
        select(Validator)
        .join(Document, col(Document.id) == col(Validator.document_id))
        .where(
            Validator.url == seals.shown_url(session, url),
            select(Fetch.id).where(Fetch.document_id == Validator.document_id, Fetch.state == "parsed").exists(),
        )
    ).first()


def prune(session: Session, *, before: datetime, limit: int = 500) -> int:
    """Delete documents older than `before` that no unparsed fetch needs; returns how many."""
    old = [
        i
        for i in session.exec(
            select(Document.id)
            .where(
                col(Document.created_at) < before,
                ~select(Fetch.id).where(Fetch.document_id == Document.id, Fetch.state == "fetched").exists(),
            )
            .limit(limit)
        )
        if i is not None
    ]
    if old:
        session.execute(delete(Validator).where(col(Validator.document_id).in_(old)))
        session.execute(delete(Document).where(col(Document.id).in_(old)))
    return len(old)
