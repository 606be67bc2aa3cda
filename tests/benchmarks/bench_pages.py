"""Pages: every page, search and answer of the API on a large archive, asked as a browser asks."""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import delete
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlmodel import SQLModel

from config.settings import Settings
from services.runtime import Runtime
from services.storage.tables import Allowance
from tests import servers
from tests.benchmarks import large_archive, postgres_archive
from tests.benchmarks.harness import Options, Result
from tests.integration.web_site import PASSWORD, Site, routes
from workers.web.security import Limiter

ALLOWED_MS = 200.0
PAPERS = 1_000_000

SEARCHES = (
    "lantern", "tide harbour", '"lantern tide"', 'author:"Ada Quill"', "cat:cs.CL", "title:qubit*", "has:code",
    "has:code stars:>=1000", "upvotes:>100", "lantern -tide has:code", "no777", "nowhere", "feed:cs-cl",
    "published:[2025-01-01 TO 2025-12-31]",
)  # fmt: skip
"""What people look for: a frequent word, several, words side by side, people, facts, a rare word, nothing."""

SEEN = (
    "/?page=3", "/?day=2026-11-10", "/?day=2026-11-10&q=cat:cs.LG", "/?span=week", "/?span=month", "/?span=trending",
    "/?span=month&sort=stars", "/?span=month&sort=newest&q=lantern", "/?q=lantern&sort=relevance",
    "/?q=lantern&sort=trending", "/feeds/cs-cl.atom", "/feeds/all.atom?q=lantern", "/subscribe/preview?query=lantern",
    "/api/v1/days?limit=60", "/api/v1/papers?since=2026-11-18&q=lantern", "/admin/runs?state=dead",
    "/admin/runs?kind=send_deliveries", "/admin/runs?stage=notify", "/admin/runs?text=Rejected",
    "/admin/runs?text=nowhere", "/admin/deliveries?state=failed", "/admin/deliveries?channel=email",
)  # fmt: skip
"""Pages as links on them narrow and turn them."""

NO_PAGE = (
    "/static",
    "/openapi.json",
    "/favicon.ico",
    "/robots.txt",
    "/unapi",
    "/export",
    "/admin/oidc",
    "/admin/login",
)


def addresses(site: Site, papers: int) -> list[str]:
    """Every page there is, parameters filled with what the archive holds; and the searches."""
    key = f"arxiv:{large_archive.name(papers - papers // 50)}"
    named = {
        "/papers/1": f"/papers/{key}", "/api/v1/papers/1": f"/api/v1/papers/{key}", "/feeds/1.1": "/feeds/all.atom",
        "/admin/feeds/1": "/admin/feeds/cs-cl", "/api/v1/feeds/1": "/api/v1/feeds/cs-cl",
        "/admin/lineage": f"/admin/lineage?of={key}", "/api/v1/search": "/api/v1/search?q=tide",
    }  # fmt: skip
    signed = {f"/{path.split('/')[1]}/1" for method, path in routes(site.app) if path.count("/") == 2}
    signed -= {"/papers/1", "/editions/1", "/feeds/1.1"}
    found = [
        named.get(path, path)
        for method, path in routes(site.app)
        if method == "GET" and not path.startswith(NO_PAGE) and not path.endswith("/bundle") and path not in signed
    ]
    return list(dict.fromkeys([*found, *SEEN, *(f"/?q={quote(text)}" for text in SEARCHES)]))


def open_site(url: str, home: Path) -> Site:
    """The pages on a database, an administrator logged in, with no limit to how often one may search."""
    settings = Settings(
        _env_file=None, home=home, database_url=url, admin_password=PASSWORD,
        secret_key="for measuring only", public_url="https://papers.example",
    )  # fmt: skip
    rt = Runtime.from_settings(settings)
    rt.clock = lambda: large_archive.NOW
    with rt.writing() as session:  # the clock stands still: what earlier runs have used would never come back
        session.execute(delete(Allowance))
    site = Site(rt)
    site.app.state.web.searches = Limiter(1_000_000, 60)
    assert site.login().status_code == 303
    return site


def schema_hash() -> str:
    """What the tables and their indexes are: an archive of another schema is of no use."""
    tables = SQLModel.metadata.sorted_tables
    made = [str(CreateTable(table)) for table in tables] + [
        str(CreateIndex(index)) for table in tables for index in sorted(table.indexes, key=lambda one: one.name or "")
    ]
    return hashlib.sha256("".join(made).encode()).hexdigest()[:10]


@contextmanager
def kept_on_sqlite(papers: int) -> Iterator[str]:
    """The archive of so many papers and this schema: made once, and kept in the folder of temporary files."""
    path = Path(tempfile.gettempdir()) / f"broadsheet-pages-{papers}-{schema_hash()}.db"
    if not path.exists():
        making = path.with_suffix(f".{os.getpid()}")
        large_archive.build(making, papers)
        making.rename(path)
    yield f"sqlite:///{path}"


@contextmanager
def kept_on_postgresql(papers: int) -> Iterator[str]:
    """The same in a database of a server with its usual settings; texts are compared as in a container."""
    folder = Path(tempfile.gettempdir()) / "broadsheet-pages-postgresql"
    with servers.postgres_server(kept=folder, locale="C.UTF-8") as server:
        yield server.kept(f"pages_{papers}_{schema_hash()}", lambda url: postgres_archive.build(url, papers))


def on_sqlite(options: Options) -> Iterator[Result]:
    """The median and the 95th percentile of each page beside what is allowed."""
    return _every_page(options, kept_on_sqlite)


def on_postgresql(options: Options) -> Iterator[Result]:
    """The same on PostgreSQL."""
    return _every_page(options, kept_on_postgresql)


def _every_page(options: Options, kept: Callable[[int], AbstractContextManager[str]]) -> Iterator[Result]:
    papers = options.papers or options.some(PAPERS, 5_000)
    with tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as home, kept(papers) as url:
        site = open_site(url, Path(home))
        for path in addresses(site, papers):
            yield _asked(site, path, papers, options.some(9, 3))
        site.rt.close()


def _asked(site: Site, path: str, papers: int, rounds: int) -> Result:
    wall: list[float] = []
    processor: list[float] = []
    status, size = 0, 0
    for number in range(rounds + 1):
        begun, worked = time.perf_counter(), time.process_time()
        answer = site.get(path)
        if number:  # the first fills what every process fills once
            wall.append((time.perf_counter() - begun) * 1000)
            processor.append((time.process_time() - worked) * 1000)
        status, size = answer.status_code, len(answer.content)
    middle = statistics.median(wall)
    late = statistics.quantiles(wall, n=20, method="inclusive")[-1]
    return Result(
        name=f"{path} ({papers:,} papers)", ratio=ALLOWED_MS / middle if status < 500 else 0.0, target=1.0,
        reference=f"{ALLOWED_MS:.0f} ms", spread=0.0,
        note=f"median {middle:.0f} ms, p95 {late:.0f}; {statistics.median(processor):.0f} of processor; "
        f"{status}, {size / 1000:.0f} kB",
    )  # fmt: skip
