"""Recorded answers through the real way: a server on loopback, the client with all its limits, detection, parsing.

Run in a process of its own, with a cap on memory and on processor time, so that a file that would take all of either
ends
that process and nothing else.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from services.domain.errors import BroadsheetError
from services.domain.feeds import DocumentInfo
from services.upstreams.http import Fetched, HttpClient
from services.upstreams.kinds import detect_kind, for_kind

ROOT = Path(os.environ.get("BROADSHEET_CORPORA") or Path(__file__).parents[2].parent / "shared" / "corpora")
MEMORY = 3 * 1024**3
"""Bytes of address space: libraries that are only mapped count too."""
SLOWEST_S = 20.0
NOW = datetime(2026, 11, 24, tzinfo=UTC)
LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one file came to: `read`, `refused` with our reason, `crashed` with what broke, `slow`."""

    path: str
    state: str
    kind: str
    papers: int = 0
    rejected: int = 0
    detail: str = ""


def recorded() -> list[Path]:
    """Every file there is, but those larger than an answer may be."""
    return sorted(p for p in ROOT.rglob("*") if p.is_file() and p.stat().st_size <= LARGEST) if ROOT.is_dir() else []


@contextmanager
def server() -> Iterator[tuple[str, list[bytes]]]:
    """A server on loopback that answers everything with the last of the bodies."""
    bodies: list[bytes] = [b""]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(bodies[-1])))
            self.end_headers()
            self.wfile.write(bodies[-1])

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}", bodies
    finally:
        running.shutdown()
        running.server_close()


def go_through(paths: Sequence[Path]) -> Iterator[Outcome]:
    """Each file, fetched and parsed."""
    with server() as (url, bodies), HttpClient(user_agent="attacks", allowed_private_hosts={"127.0.0.1"}) as http:
        for path in paths:
            bodies[:] = [path.read_bytes()]
            started = time.process_time()
            outcome = _one(http, f"{url}/{path.name.encode().hex()}", str(path.relative_to(ROOT)))
            spent = time.process_time() - started
            yield outcome if spent < SLOWEST_S else Outcome(outcome.path, "slow", outcome.kind, detail=f"{spent:.1f} s")


def _one(http: HttpClient, url: str, name: str) -> Outcome:
    kind = "?"
    try:
        fetched = http.get(url)
        assert isinstance(fetched, Fetched)
        try:
            kind = detect_kind(fetched.body, name)
        except BroadsheetError:
            kind = "rss"  # as a feed that somebody added by its address is read, whatever it turns out to be
        about = DocumentInfo(feed="corpus", kind=kind, url=url, fetched_at=NOW)
        parsed = for_kind(kind).parse(fetched.body, about)
    except BroadsheetError as error:
        return Outcome(name, "refused", kind, detail=str(error)[:150])
    except Exception as error:
        return Outcome(name, "crashed", kind, detail=repr(error)[:300])
    if len(parsed.papers) + len(parsed.rejected) != parsed.seen or any(not r.reason for r in parsed.rejected):
        return Outcome(name, "crashed", kind, detail="the account does not add up")
    return Outcome(name, "read", kind, len(parsed.papers), len(parsed.rejected))


def confine(seconds: int) -> None:
    """This process gets so much memory and processor time, and no more."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
