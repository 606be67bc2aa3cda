"""Imports: saved listings and recorded answers become papers, by the same parser and the same store as a fetch.

A file is refused whole when it is not what it claims to be; an entry is rejected with its reason; neither
stops what comes after. Importing a file again changes nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from services.domain.errors import BroadsheetError, InvalidInput
from services.domain.feeds import DocumentInfo
from services.domain.papers import ParsedFeed, Rejected
from services.pipeline.parse import day_of, record, store
from services.runtime import Runtime
from services.storage import documents, feeds
from services.storage.papers import Stored
from services.upstreams import kinds
from services.upstreams.detect import detect_kind

PAGE = 2000
"""Papers stored in one transaction."""

MAX_BYTES = 1024 * 1024 * 1024
"""Largest file read, after decompression."""

KEEP_BYTES = 32 * 1024 * 1024
"""Files up to this size are kept as documents, so that they can be parsed again."""

DEFAULT_FEED = {"hf_papers": "daily-papers", "listing": "daily-papers"}
"""Recordings of the Daily Papers belong to the feed that polls them; others are filed as `import-KIND`."""


@dataclass(slots=True)
class ImportReport:
    """What one file brought. `entries` = new + changed + known + rejected."""

    file: str
    kind: str | None = None
    entries: int = 0
    new: int = 0
    changed: int = 0
    known: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    links: int = 0
    error: str | None = None


def import_file(
    rt: Runtime,
    path: Path,
    *,
    kind: str | None = None,
    as_of: date | None = None,
    feed_name: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import one file (plain, .gz or .xz). `progress(done, total)` is called after each page."""
    report = ImportReport(file=str(path))
    try:
        _import(rt, path, report, kind, as_of, feed_name, progress)
    except BroadsheetError as error:
        report.error = str(error)
    return report


def _import(
    rt: Runtime, path: Path, report: ImportReport, kind: str | None, as_of: date | None, feed_name: str | None,
    progress: Callable[[int, int], None] | None,
) -> None:  # fmt: skip
    body = read_file(path)
    report.kind = kind = kind or detect_kind(body, path.name)
    upstream = kinds.for_kind(kind)
    now = rt.now()
    name = feed_name or DEFAULT_FEED.get(kind) or f"import-{kind.replace('_', '-')}"
    about = DocumentInfo(feed=name, kind=kind, url=path.name, fetched_at=now, as_of=as_of)
    parsed = upstream.parse(body, about)
    report.rejected = list(parsed.rejected)
    with rt.writing() as session:
        feed = feeds.ensure_import_feed(session, name=name, kind=kind, now=now)
        assert feed.id is not None
        document_id = documents.add(session, body, content_type="", now=now) if len(body) <= KEEP_BYTES else None
        fetch_id = feeds.record_fetch(
            session,
            {
                "feed_id": feed.id,
                "slot": "import",
                "batch": as_of.isoformat() if as_of else "",
                "cursor": hashlib.sha256(body).hexdigest()[:32],
                "url": path.name,
                "state": "fetched",
                "document_id": document_id,
                "fetched_at": now,
            },
        )
    total = Stored()
    source = f"rss:{name}" if kind == "rss" else kind
    for page in _pages(parsed):
        with rt.writing() as session:
            stored, rejected = store(session, page, feed=feed, day=day_of(about), now=now, source=source)
        total.new += stored.new
        total.changed += stored.changed
        report.rejected += rejected
        report.entries += page.seen
        if progress is not None:
            progress(report.entries, len(parsed.papers))
    report.entries = parsed.seen
    report.new, report.changed = total.new, total.changed
    report.known = report.entries - total.new - total.changed - len(report.rejected)
    with rt.writing() as session:
        record(session, fetch_id, parsed, total, report.rejected, now=rt.now())


def _pages(parsed: ParsedFeed) -> Iterator[ParsedFeed]:
    for start in range(0, len(parsed.papers), PAGE):
        yield replace(parsed, papers=parsed.papers[start : start + PAGE], rejected=())


def read_file(path: Path) -> bytes:
    """The bytes of a file, decompressed by what it is and not by its name, up to `MAX_BYTES`."""
    try:
        if path.is_dir():
            raise InvalidInput(f"{path} is a folder; name the files in it")
        with path.open("rb") as raw:
            head = raw.read(6)
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(path, "rb") as stream:
                body = stream.read(MAX_BYTES + 1)
        elif head == b"\xfd7zXZ\x00":
            with lzma.open(path, "rb") as stream:
                body = stream.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as stream:
                body = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: there is no such file") from error
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise InvalidInput(f"{path}: the compressed file is damaged or cut short ({error})") from error
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(body) > MAX_BYTES:
        raise InvalidInput(f"{path}: larger than {MAX_BYTES // 2**20} MiB when unpacked; split it")
    if not body.strip():
        raise InvalidInput(f"{path}: the file is empty")
    return body
