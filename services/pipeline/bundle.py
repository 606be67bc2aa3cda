"""Bundle: all that is known of one run in a ZIP file that may be shown to others. Rows, chain, document, settings.

Secrets and readers' addresses are blotted out. The bytes of the document are named by their hash; an excerpt is in the
bundle, and `broadsheet replay FEED` parses the whole of it again.
"""

from __future__ import annotations

import io
import json
import platform
import re
import zipfile
from collections.abc import Iterable
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import SecretStr
from sqlmodel import Session, SQLModel, select

from services.domain.errors import NotFound
from services.domain.redaction import redact
from services.domain.text import clean
from services.runtime import Runtime
from services.storage import documents, feeds, jobs, reports
from services.storage.tables import Document, Feed, Fetch, Job, Validator

EXCERPT = 16 * 1024
"""Bytes of a document that are in the bundle."""

PACKAGES = ("broadsheet", "celery", "redis", "httpx", "feedparser", "sqlmodel", "sqlalchemy", "psycopg", "fastapi")

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


def bundle_name(run_id: int) -> str:
    """What the file is called: from the number alone, so that no name can lead elsewhere."""
    return f"broadsheet-run-{int(run_id)}.zip"


def make_bundle(rt: Runtime, run_id: int) -> bytes:
    """The bundle of one run, as bytes of a ZIP file; `NotFound` for a run that is not there."""
    hidden = rt.settings.secret_values()
    with rt.reading() as session:
        job = jobs.get(session, run_id)
        parts: dict[str, Any] = {
            "run.json": _row(job),
            "tries.json": [_row(one) for one in jobs.attempts(session, run_id)],
            "chain.json": {
                "causes": [_row(one) for one in reports.causes(session, job)],
                "effects": [{"depth": depth, **_row(one)} for depth, one in reports.effects(session, run_id)],
            },
        }
        fetch = reports.fetch_of(session, job)
        excerpt: bytes = b""
        if fetch is not None:
            feed = session.get(Feed, fetch.feed_id)
            parts["fetch.json"] = {
                **_row(fetch),
                "feed": feed.name if feed else None,
                "kind": feed.kind if feed else None,
                "validators": _validators(session, fetch.url),
                "rejected": [_row(one) for one in feeds.rejections(session, [fetch.id or 0])[:200]],
            }
            parts["document.json"], excerpt = _document(session, fetch)
            if feed is not None:
                parts["document.json"]["replay"] = f"broadsheet replay {feed.name} --since {fetch.fetched_at:%Y-%m-%d}"
    parts["settings.json"] = _settings(rt)
    parts["versions.json"] = {
        "python": platform.python_version(), "system": platform.platform(), "database": rt.engine.dialect.name,
        **{name: _version(name) for name in PACKAGES}, "made_at": rt.now(),
    }  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("README.txt", _readme(job, list(parts), bool(excerpt)))
        for name, value in parts.items():
            file.writestr(name, json.dumps(_blotted(value, hidden), indent=2, ensure_ascii=False))
        if excerpt:
            file.writestr("document.txt", _blot(clean(excerpt.decode("utf-8", "replace"), limit=EXCERPT), hidden))
    return packed.getvalue()


def _validators(session: Session, url: str) -> dict[str, Any] | None:
    row = session.get(Validator, url)
    return _row(row) if row is not None else None


def _document(session: Session, fetch: Fetch) -> tuple[dict[str, Any], bytes]:
    """What document a fetch brought, and how it begins."""
    if fetch.document_id is None:
        return {"document": None, "why": "the fetch brought none"}, b""
    row = session.exec(
        select(Document.sha256, Document.size, Document.content_type, Document.created_at).where(
            Document.id == fetch.document_id
        )
    ).first()
    try:
        body, _ = documents.read(session, fetch.document_id)
    except NotFound as error:
        return {"document": fetch.document_id, "why": str(error)}, b""
    assert row is not None
    about = {
        "document": fetch.document_id, "sha256": row[0], "bytes": row[1], "content_type": row[2], "kept_since": row[3],
        "excerpt_bytes": min(len(body), EXCERPT),
    }  # fmt: skip
    return about, body[:EXCERPT]


def _settings(rt: Runtime) -> dict[str, Any]:
    """Every setting that was changed or matters, secrets as set or not."""
    found: dict[str, Any] = {}
    for name in type(rt.settings).model_fields:
        value = getattr(rt.settings, name)
        found[name] = ("set" if value.get_secret_value() else "not set") if isinstance(value, SecretStr) else value
    return found


def _row(row: SQLModel) -> dict[str, Any]:
    kept = row.model_dump()
    kept.pop("body", None)
    kept.pop("token", None)
    return kept


def _blotted(value: Any, hidden: list[str]) -> Any:
    """A value as JSON knows it, its texts cleared of secrets and addresses."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict):
        return {_blot(str(name), hidden): _blotted(one, hidden) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_blotted(one, hidden) for one in value]
    return _blot(value.isoformat() if isinstance(value, date) else str(value), hidden)


def _blot(text: str, hidden: Iterable[str]) -> str:
    """`text` without secrets and without readers' addresses."""
    text = redact(text, hidden)
    return _ADDRESS.sub("***@***", text)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _readme(job: Job, names: list[str], has_excerpt: bool) -> str:
    files = [*names, *(["document.txt"] if has_excerpt else [])]
    return (
        f"Run {job.id}: {job.kind}, {job.state}.\n\n"
        "Made by Broadsheet to be shown to whoever looks into it. Passwords, tokens and mail addresses are blotted\n"
        "out; look through it before you pass it on all the same: errors may quote what others sent.\n\n"
        + "\n".join(files)
        + "\n\ndocument.json says how the document is parsed again from the archive it was fetched into.\n"
    )
