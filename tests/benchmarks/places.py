"""Places to work in: fresh databases on SQLite and PostgreSQL, runtimes on them, a server of pages."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import _pytest.outcomes
from sqlalchemy import Engine

from config.settings import Settings
from services.runtime import Runtime
from services.storage import schema
from services.storage.engine import make_engine
from tests import servers

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

NewEngine = Callable[[], Engine]


@contextmanager
def sqlite() -> Iterator[NewEngine]:
    """Makes engines on fresh SQLite files of the newest schema."""
    with tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as folder:
        template = Path(folder) / "template.db"
        engine = make_engine(f"sqlite:///{template}")
        schema.migrate(engine)
        engine.dispose()
        numbers = count(1)
        engines: list[Engine] = []

        def make() -> Engine:
            while engines:
                engines.pop().dispose()
            path = Path(folder) / f"{next(numbers)}.db"
            shutil.copy(template, path)
            engines.append(make_engine(f"sqlite:///{path}"))
            return engines[-1]

        yield make
        for one in engines:
            one.dispose()


@contextmanager
def postgresql() -> Iterator[NewEngine | None]:
    """Makes engines on fresh PostgreSQL databases; `None` where there is no PostgreSQL."""
    context = servers.postgres_server()
    try:
        server = context.__enter__()
    except _pytest.outcomes.OutcomeException:
        yield None
        return
    engines: list[Any] = []

    def drop() -> None:
        while engines:
            engine, database = engines.pop()
            engine.dispose()
            database.__exit__(None, None, None)

    def make() -> Engine:
        drop()
        database = server.database()
        url = database.__enter__()
        engine = make_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        engines.append((engine, database))
        return engine

    try:
        yield make
        drop()
    finally:
        context.__exit__(None, None, None)


@contextmanager
def runtime(**changes: Any) -> Iterator[Runtime]:
    """A runtime on a fresh SQLite file, with open gates and leave to call the loopback."""
    with tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as folder:
        values: dict[str, Any] = {
            "home": folder, "gate_scale": 0, "allowed_private_hosts": "127.0.0.1", "secret_key": "for measuring only",
            "fetch_max_mb": 64,
        }  # fmt: skip
        rt = Runtime.from_settings(Settings(_env_file=None, **(values | changes)))
        try:
            schema.migrate(rt.engine)
            rt.worker = "bench"
            yield rt
        finally:
            rt.close()


class Pages:
    """A loopback server: `answer(path with query)` gives the body; every answer has an ETag and is not sent twice."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self.calls = 0
        self.not_modified = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.calls += 1
                body = answer(self.path)
                tag = f'"{len(body):x}-{hash(body) & 0xFFFFFFFF:x}"'
                if self.headers.get("If-None-Match") == tag:
                    outer.not_modified += 1
                    self.send_response(304)
                    self.send_header("ETag", tag)
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("ETag", tag)
                self.send_header("Content-Type", "application/atom+xml; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody listens."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Pages:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
