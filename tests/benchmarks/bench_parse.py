"""Parse: bytes of a page to `PaperData`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from services.domain.feeds import DocumentInfo
from services.upstreams import kinds
from tests.benchmarks import pages, reference_parse
from tests.benchmarks.harness import Options, Result, compare, cpu
from tests.benchmarks.pages import Record

ABOUT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

Page = Callable[[Sequence[Record]], bytes]
Reference = Callable[[bytes], list[reference_parse.Row]]

KINDS: tuple[tuple[str, Page, Reference, int], ...] = (
    ("arxiv_api", pages.atom_page, reference_parse.atom, 2_000),
    ("arxiv_rss", pages.rss_page, reference_parse.rss, 500),
    ("arxiv_oai", pages.oai_page, reference_parse.oai, 1_000),
    ("hf_papers", pages.hf_page, reference_parse.hugging_face, 100),
)


def bare(options: Options) -> Iterator[Result]:
    """Each kind beside the loop that checks nothing."""
    for source, drawn in _inputs():
        for kind, make, reference, size in KINDS:
            body = make(drawn[:size])
            times = max(1, options.some(5_000, 500) // size)
            yield compare(
                f"parse {kind}{source}", cpu(_ours(kind, body, size), times=times),
                cpu(partial(reference, body), times=times), target=0.6,
                reference="bare lxml loop" if kind != "hf_papers" else "bare json loop",
                items=size, unit="papers", count=options.some(9, 3),
            )  # fmt: skip


def beside_feedparser(options: Options) -> Iterator[Result]:
    """Atom and RSS beside feedparser."""
    for kind, make, _, size in KINDS[:2]:
        body = make(pages.records(size))
        yield compare(
            f"parse {kind} beside feedparser", cpu(_ours(kind, body, size), times=options.some(12, 1)),
            cpu(partial(reference_parse.by_feedparser, body)), target=12.0, reference="feedparser", items=size,
            unit="papers", count=options.some(5, 1), warm=not options.quick,
        )  # fmt: skip


def _inputs() -> Iterator[tuple[str, Sequence[Record]]]:
    yield "", pages.records(2_000)
    if saved := pages.saved_records():
        yield ", saved records", saved[:2_000]


def _ours(kind: str, body: bytes, size: int) -> Callable[[], object]:
    parse = kinds.for_kind(kind).parse
    about = DocumentInfo(feed="bench", kind=kind, fetched_at=ABOUT)

    def run() -> None:
        parsed = parse(body, about)
        assert len(parsed.papers) == size, parsed.rejected[:2]

    return run
