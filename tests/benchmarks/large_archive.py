"""A large archive, made by bulk inserts: years of papers with their sightings, links, repositories, runs and readers.

Words are as frequent as in real texts (the n-th most frequent stands in a share of about 1/n), days have as many papers
as arXiv announces, one paper in five has code. The rows are what the stages write; the search index is filled in the
form `storage.search_index` gives it. The same number of papers gives the same archive.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, count
from pathlib import Path

from sqlmodel import SQLModel

from services.domain.jobs import STAGES
from services.domain.words import fold, in_order
from services.storage import schema, search_index
from services.storage import tables as rows_of
from services.storage.engine import make_engine
from tests.benchmarks.pages import _FAMILY, _GIVEN, _WORDS

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PER_DAY = 800
SIGHTINGS = 5
"""Of each paper: several categories and catalogues list it."""
FEEDS = ("daily-papers", "cs-cl", "cs-lg", "cs-cv", "cs-ai", "stat-ml", "math-oc", "quant-ph", "cs-ro", "eess-as")
CATEGORIES = ("cs.CL", "cs.LG", "cs.CV", "cs.AI", "stat.ML", "math.OC", "quant-ph", "hep-th", "cs.RO", "eess.AS")
SUBSCRIBERS = 2_000
Rows = Iterator[Sequence[object]]


def build(path: Path, papers: int) -> None:
    """Write the archive to a new SQLite file."""
    path.unlink(missing_ok=True)
    engine = make_engine(f"sqlite:///{path}")
    schema.migrate(engine)
    engine.dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"')  # filled at the end in one go
        for table, columns, rows in tables(papers):
            usual = defaults(table, columns.split())
            names = ", ".join([*columns.split(), *usual])
            marks = ", ".join(["?"] * len(columns.split()) + list(map(repr, usual.values())))
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            connection.execute("COMMIT")
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("PRAGMA journal_mode=WAL")


def defaults(table: str, given: Sequence[str]) -> dict[str, int | str]:
    """What a new row has in the columns that are not given and may not be empty."""
    model = next((m for m in vars(rows_of).values() if getattr(m, "__tablename__", "") == table), None)
    if model is None:
        return {}
    fields = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    held = SQLModel.metadata.tables[table].columns
    return {
        name: int(value) if isinstance(value, int) else value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if name not in given and not held[name].nullable and isinstance(value, (list, dict, int, str))
    }


def tables(papers: int) -> Iterator[tuple[str, str, Rows]]:
    """Every table that is filled: its name, its columns, its rows."""
    texts = Texts(papers)
    days = max(1, papers // PER_DAY)
    yield (
        "feeds",
        (
            "id name kind title url params interval_minutes interval_fixed history_days origin paused retired "
            "next_check_at failures mute_alerts last_success_at last_fetched_at created_at"
        ),
        _feeds(),
    )
    yield (
        "papers",
        (
            "id key title title_key abstract authors published_at updated_at announced_on version categories upvotes "
            "comments_count ai_keywords withdrawn content_hash past_hashes first_seen_at changed_at"
        ),
        _papers(papers, days, texts),
    )
    yield search_index.TABLE, "rowid title abstract author category joined digest", _words(papers, texts)
    yield "identifiers", "id scheme value paper_id", ((n, "arxiv", name(n), n) for n in _ids(papers))
    yield "sightings", "id paper_id feed_id day rank seen_at", _sightings(papers, days)
    yield (
        "statements",
        "id paper_id source as_of content_hash data first_on said_at",
        ((n, n, "arxiv_rss", "1", "", "{}", str(_day(n, papers, days)), _moment(NOW)) for n in _ids(papers)),
    )
    yield "links", "id paper_id url url_key kind slug evidence repo_id found_at", _links(papers)
    yield (
        "repos",
        (
            "id host kind host_id slug state stars forks gated language license topics archived fork pushed_at "
            "checked_at next_check_at misses"
        ),
        _repos(papers),
    )
    yield "readings", "id repo_id read_at stars forks", _readings(papers)
    yield (
        "events",
        "id paper_id kind key at detail",
        ((n, n * 4, "new_version", "v2", _moment(NOW - timedelta(minutes=n)), "{}") for n in range(1, papers // 4)),
    )
    yield from _work(papers, days)
    yield from _readers(papers)


def name(number: int) -> str:
    """The arXiv id of a paper."""
    return f"{15 + number // 1_080_000:02d}{1 + number // 90_000 % 12:02d}.{number % 90_000 + 10_000:05d}"


class Texts:
    """Sentences and names to draw from, with their words cut once."""

    def __init__(self, papers: int) -> None:
        draw = random.Random(f"archive {papers}")
        self.words = [*_WORDS, *(f"{a}{b}" for a in _WORDS for b in _WORDS)]
        self._weights = list(accumulate(1 / (n + 3) for n in range(len(self.words))))
        self.sentences = [" ".join(self.draw(draw, 18)).capitalize() + "." for _ in range(20_000)]
        self.cut = [in_order(sentence)[0] for sentence in self.sentences]
        people = [f"{given} {family}" for given in _GIVEN.split() for family in _FAMILY.split()]
        self.people = [(person, in_order(person)[0]) for person in people]

    def draw(self, draw: random.Random, number: int) -> list[str]:
        """Words, each as often as it stands in a language."""
        return draw.choices(self.words, cum_weights=self._weights, k=number)

    def paper(self, number: int) -> tuple[str, list[int], list[int], list[int]]:
        """A paper's title, and which sentences, authors and categories it has."""
        draw = random.Random(number)
        title = f"{' '.join(self.draw(draw, 7)).capitalize()} no{number}"
        authors = [draw.randrange(len(self.people)) for _ in range(1 + draw.randrange(6))]
        categories = sorted({number % len(CATEGORIES), draw.randrange(len(CATEGORIES))})
        return title, [draw.randrange(len(self.sentences)) for _ in range(7)], authors, categories


def _ids(papers: int) -> range:
    return range(1, papers + 1)


def _day(number: int, papers: int, days: int) -> date:
    """The day a paper was announced on: evenly over the days there are, the newest last."""
    return TODAY - timedelta(days=days - 1 - (number - 1) * days // papers)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.000000"


def _at(day: date, hour: int = 6) -> str:
    return f"{day} {hour:02d}:00:00.000000"


def _feeds() -> Rows:
    for number, feed in enumerate(FEEDS, 1):
        kind = "hf_papers" if number == 1 else "arxiv_rss"
        yield (
            number, feed, kind, feed.title(), "", "{}", 60, 0, 3, "catalogue", 0, 0,
            _moment(NOW + timedelta(minutes=number)), 0, 0, _moment(NOW), _moment(NOW), _at(date(2020, 1, 1)),
        )  # fmt: skip


def _papers(papers: int, days: int, texts: Texts) -> Rows:
    for number in _ids(papers):
        title, sentences, authors, categories = texts.paper(number)
        day = _day(number, papers, days)
        noticed = number % 20 == 0
        yield (
            number, f"arxiv:{name(number)}", title, f"no{number}", " ".join(texts.sentences[s] for s in sentences),
            json.dumps([{"name": texts.people[a][0]} for a in authors]), _at(day - timedelta(days=1), 17),
            _at(day - timedelta(days=1), 17), str(day), 1, json.dumps([CATEGORIES[c] for c in categories]),
            number * 7919 % 190 if noticed else None, number * 31 % 9 if noticed else None, "[]", 0, "", "[]", _at(day),
            _at(day),
        )  # fmt: skip


def _words(papers: int, texts: Texts) -> Rows:
    cut = [search_index.value_word(fold(category)) for category in CATEGORIES]
    for number in _ids(papers):
        title, sentences, authors, categories = texts.paper(number)
        yield (
            number, title.lower() + " # ", " ".join(texts.cut[s] for s in sentences) + " # ",
            " # ".join(texts.people[a][1] for a in authors) + " # ", " ".join(cut[c] for c in categories) + " # ",
            " # ", "",
        )  # fmt: skip


def _sightings(papers: int, days: int) -> Rows:
    ids = count(1)
    for number in _ids(papers):
        day = _day(number, papers, days)
        for step in range(SIGHTINGS):
            on = day + timedelta(days=step // 4)
            if on <= TODAY:
                yield next(ids), number, 1 + (number + step) % len(FEEDS), str(on), number % PER_DAY, _at(on)


def _links(papers: int) -> Rows:
    for number in range(5, papers + 1, 5):
        url = f"https://github.com/lab{number % 997}/paper-{number}"
        slug = url.removeprefix("https://github.com/")
        yield number, number, url, url, "code", slug, "abstract", number // 5, _moment(NOW)


def _repos(papers: int) -> Rows:
    for number in range(1, papers // 5 + 1):
        paper = number * 5
        yield (
            number, "github.com", "code", str(number), f"lab{paper % 997}/paper-{paper}", "found",
            number * 7919 % 5000 if number % 3 else number % 40, 3, 0, ("Python", "C++", "Rust", None)[number % 4],
            "mit", "[]", 0, 0, _moment(NOW), _moment(NOW), _moment(NOW + timedelta(days=1)), 0,
        )  # fmt: skip


def _readings(papers: int) -> Rows:
    ids = count(1)
    newest = papers // 5
    for number in range(1, newest + 1):
        for days in range(10 if number > newest - 20_000 else 1, -1, -1):
            yield next(ids), number, _moment(NOW - timedelta(days=days)), 400 - days * (number % 9), 3


def _work(papers: int, days: int) -> Iterator[tuple[str, str, Rows]]:
    kinds = ("fetch_feed", "parse_document", "enrich_repos", "send_deliveries")

    def jobs() -> Rows:
        for number in _ids(papers):
            kind, stage = kinds[number % 4], STAGES[number % 4]
            at = NOW - timedelta(seconds=20 * (papers - number))
            state = "dead" if number % 500 == 0 else "ready" if number > papers - 200 else "done"
            failed = state == "dead" or number % 50 == 0
            yield (
                number, kind, f"{FEEDS[number % len(FEEDS)]} {number}", stage, "{}", state, 0, _moment(at), 1, 0,
                f"UpstreamRejected: {number % 7}" if failed else None, f"Rejected {number % 7}" if failed else None,
                number - 1 if number % 4 else None, _moment(at), _moment(at), None if state == "ready" else _moment(at),
            )  # fmt: skip

    yield (
        "jobs",
        (
            "id kind key stage payload state priority due_at attempts spared last_error signature cause_id created_at "
            "started_at finished_at"
        ),
        jobs(),
    )
    yield (
        "attempts",
        "id job_id number worker started_at finished_at outcome error",
        (
            (n, n, 1, "lab:7", at, at, "dead" if n % 500 == 0 else "retry" if n % 50 == 0 else "done", None)
            for n in _ids(papers)
            for at in (_moment(NOW - timedelta(seconds=20 * (papers - n))),)
        ),
    )
    yield "fetches", (
        "id feed_id slot batch cursor via url state status document_id fetched_at parsed_at announced seen new changed "
        "known rejected notes"
    ), (
        (n, 1 + n % len(FEEDS), str(n), str(on), "", "", "https://feeds.example/", "parsed", 200, n, at, at, 80, 80,
         70, 1, 9, 0, "[]")
        for n in range(1, days * len(FEEDS) + 1)
        for on in (TODAY - timedelta(days=days - (n - 1) // len(FEEDS) - 1),)
        for at in (_at(on),)
    )  # fmt: skip
    yield (
        "batches",
        "id feed_id batch state announced seen new rejected tries first_complete_at checked_at",
        (
            (n, 1 + n % len(FEEDS), str(on), "complete", 80, 80, 70, 0, 0, _at(on), _at(on))
            for n in range(1, days * len(FEEDS) + 1)
            for on in (TODAY - timedelta(days=days - (n - 1) // len(FEEDS) - 1),)
        ),
    )
    yield (
        "documents",
        "id sha256 body size content_type created_at",
        ((n, f"{n:064x}", b"bytes", 5_000, "application/xml", _moment(NOW)) for n in range(1, days * len(FEEDS) + 1)),
    )
    yield "audit", "id at who role origin address act subject before after outcome detail", (
        (n, _moment(NOW - timedelta(minutes=papers // 20 - n)), "admin", "admin", "web", "", "feed.pause",
         FEEDS[n % 10], "{}", "{}", "done", "")
        for n in range(1, papers // 20)
    )  # fmt: skip


def _readers(papers: int) -> Iterator[tuple[str, str, Rows]]:
    editions = max(10, papers // 5)
    people = range(1, SUBSCRIBERS + 1)
    yield (
        "subscribers",
        "id channel address address_key state token_version created_at confirmed_at",
        (
            (n, "email", f"reader{n}@example.org", f"email:reader{n}@example.org", "active", 1, _at(TODAY), _at(TODAY))
            for n in people
        ),
    )
    yield "subscriptions", (
        "id subscriber_id name query feeds cadence at timezone budget ranking news_alone state origin created_at "
        "since_at next_edition_at"
    ), (
        (n, n, f"reader {n}", _WORDS[n % len(_WORDS)], "[]", "daily", "08:00", "UTC", 12, "personal", 0, "active",
         "added", _at(TODAY), _at(TODAY), _moment(NOW + timedelta(minutes=n)))
        for n in people
    )  # fmt: skip
    yield (
        "editions",
        "id subscription_id period composed_at due_at matched considered sources",
        (
            (n, 1 + n % SUBSCRIBERS, f"{n // SUBSCRIBERS}", at, at, 9, 800, "[]")
            for n in range(1, editions + 1)
            for at in (_moment(NOW - timedelta(seconds=40 * (editions - n))),)
        ),
    )
    yield (
        "edition_items",
        "id edition_id subscription_id paper_id rank why late again",
        (
            (5 * n + r, n, 1 + n % SUBSCRIBERS, papers - (5 * (n // SUBSCRIBERS) + r) % papers, r, "[]", 0, 0)
            for n in range(1, editions + 1)
            for r in range(5)
        ),
    )
    yield "deliveries", (
        "id edition_id subscriber_id channel state message_id parts attempts planned_at sent_at expires_at updated_at"
    ), (
        (n, n, 1 + n % SUBSCRIBERS, "email", "failed" if n % 997 == 0 else "accepted", f"<{n}@papers.example>", "{}", 1,
         at, at, at, at)
        for n in range(1, editions + 1)
        for at in (_moment(NOW - timedelta(seconds=40 * (editions - n))),)
    )  # fmt: skip
    yield (
        "suppressions",
        "address_key reason detail at",
        ((f"email:gone{n}@example.org", "hard", "", _moment(NOW)) for n in range(1, 1_001)),
    )
