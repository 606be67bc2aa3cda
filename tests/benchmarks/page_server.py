"""`python -m tests.benchmarks.page_server TOTAL SIZE`: drawn pages of the arXiv API from a process of its own.

The page after the one that was asked for is drawn while the asker works. Whatever ends in `.xml` is a feed with the
same 50 papers in it. It prints its address, then serves until its stdin ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from urllib.parse import parse_qs, urlsplit

from tests.benchmarks import pages, places


def answers(total: int, size: int) -> places.Pages:
    """A server of `total` papers in pages of `size`, `start` in the query saying where a page begins."""
    pool = ThreadPoolExecutor(1)
    ahead: dict[int, Future[bytes]] = {}

    def draw(start: int) -> bytes:
        held = pages.records(max(min(size, total - start), 0), start=start)
        return pages.atom_page(held, start=start, total=total)

    @cache
    def feed() -> bytes:
        return pages.rss_page(pages.records(50, start=9_000_000))

    def answer(path: str) -> bytes:
        asked = urlsplit(path)
        if asked.path.endswith(".xml"):
            return feed()
        start = int(parse_qs(asked.query).get("start", ["0"])[0])
        body = ahead.pop(start).result() if start in ahead else draw(start)
        if start + size < total:
            ahead[start + size] = pool.submit(draw, start + size)
        return body

    return places.Pages(answer)


@contextmanager
def serving(total: int, size: int) -> Iterator[str]:
    """The address of such a server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.page_server", str(total), str(size)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


if __name__ == "__main__":
    with answers(int(sys.argv[1]), int(sys.argv[2])) as server:
        print(server.url, flush=True)
        sys.stdin.read()
