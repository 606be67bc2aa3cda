"""A loopback replay of the services Broadsheet reads, for the demonstration and for tests from end to end.

    with Replay(today=date(2026, 11, 25)) as replay:
        settings = replay.urls()
        ...
        assert archived == replay.announced()["daily-papers"]

Or as a process of its own: `python -m workers.demo.replay --port 8099`.

| below | stands for |
|---|---|
| `/hf` | huggingface.co: Daily Papers, paper details, models, data sets, spaces |
| `/arxiv/api`, `/arxiv/rss`, `/arxiv/atom`, `/arxiv/oai` | arXiv's Atom API, announcement feeds and OAI-PMH |
| `/blog` | a blog's RSS and JSON Feed |
| `/github` | api.github.com, REST and GraphQL |
| `/pages-of-github` | github.com: feeds of releases |
| `/gitlab`, `/codeberg` | gitlab.com and codeberg.org: repositories |
| `/catalogues` | Semantic Scholar, OpenAlex, Crossref, DataCite, OpenReview, below `s2`, `openalex`, … |
| `/slack/services/T000/B000/xyz`, `/slack/api`, `/webhook` | receivers of digests |

Unless `first_call_faults` is off, each replay starts with two faults that heal by themselves: the first call
of the arXiv API is answered 429 with `Retry-After: 1`, the first call of the blog's RSS 503.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Self

from workers.demo import arxiv_api, arxiv_oai, arxiv_rss, blog, catalogues, hosted, hugging_face
from workers.demo.content import Content, load_content
from workers.demo.exchange import Answer, Ask, conditional, text_answer
from workers.demo.faults import Faults
from workers.demo.github import GitHub
from workers.demo.server import LoopbackServer
from workers.demo.sinks import SLACK_PATH, Posted, Sinks
from workers.demo.slack_api import SlackApi

_RECORDED_HEADERS = (
    "user-agent",
    "accept",
    "accept-encoding",
    "content-type",
    "if-none-match",
    "if-modified-since",
    "x-github-api-version",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that came in. `status` 0: the connection was dropped. Of a token only the scheme is kept."""

    at: datetime
    method: str
    path: str
    """With its query string."""
    status: int
    headers: Mapping[str, str]


class Replay:
    """The replayed services on 127.0.0.1. `port` 0 takes a free one, which is kept over `stop` and `start`.

    `today` decides which days carry papers (default: the present day in UTC); `anonymous_limit` is GitHub's
    hourly quota without a token. All methods may be called from any thread.
    """

    def __init__(
        self,
        *,
        today: date | None = None,
        port: int = 0,
        first_call_faults: bool = True,
        anonymous_limit: int = 60,
    ) -> None:
        self.content: Content = load_content(today or datetime.now(UTC).date())
        self.port = port
        self._faults = Faults()
        self._github = GitHub(anonymous_limit)
        self._sinks = Sinks()
        self.slack = SlackApi()
        """The workspace behind `/slack/api`."""
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._server: LoopbackServer | None = None
        if first_call_faults:
            busy = {"Retry-After": "1", "Content-Type": "text/plain"}
            self._faults.fail_next("/arxiv/api/query", 429, 1, busy, b"Rate exceeded.")
            broken = {"Content-Type": "text/html"}
            self._faults.fail_next("/blog/feed.xml", 503, 1, broken, b"<h1>503 Backend fetch failed</h1>")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, and answer in the background."""
        if self._server is None:
            self._server = LoopbackServer(self.port, self._handle, self._faults.meet, self._record)
            self.port = self._server.port
            self._server.start()

    def stop(self) -> None:
        """Stop listening and cut every open connection. What was recorded stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    # -- where things are, and what is in them ---------------------------------------------------

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def urls(self) -> dict[str, str]:
        """Settings (without their `BROADSHEET_`) that point at this replay, and `BLOG_FEED_URL`."""
        base = self.base_url
        return {
            "HF_URL": f"{base}/hf",
            "ARXIV_API_URL": f"{base}/arxiv/api",
            "ARXIV_RSS_URL": f"{base}/arxiv",
            "ARXIV_OAI_URL": f"{base}/arxiv/oai",
            "GITHUB_API_URL": f"{base}/github",
            "GITHUB_URL": f"{base}/pages-of-github",
            "GITLAB_URL": f"{base}/gitlab",
            "CODEBERG_URL": f"{base}/codeberg",
            "SLACK_API_URL": f"{base}/slack/api",
            "SEMANTIC_SCHOLAR_URL": f"{base}/catalogues/s2",
            "OPENALEX_URL": f"{base}/catalogues/openalex",
            "CROSSREF_URL": f"{base}/catalogues/crossref",
            "DATACITE_URL": f"{base}/catalogues/datacite",
            "OPENREVIEW_URL": f"{base}/catalogues/openreview",
            "BLOG_FEED_URL": f"{base}/blog/feed.xml",
        }

    @property
    def slack_url(self) -> str:
        """The address of the Slack webhook."""
        return f"{self.base_url}{SLACK_PATH}"

    @property
    def webhook_url(self) -> str:
        """The address of the plain webhook."""
        return f"{self.base_url}/webhook"

    def announced(self) -> dict[str, set[str]]:
        """What each feed announces, from the content itself: see `Content.announced`."""
        return self.content.announced()

    def update_paper(self, arxiv_id: str, **changes: Any) -> None:
        """From now on a paper has these values (fields of `DemoPaper`)."""
        papers = tuple(
            dataclasses.replace(paper, **changes) if paper.arxiv_id == arxiv_id else paper
            for paper in self.content.papers
        )
        self.content = dataclasses.replace(self.content, papers=papers)

    def update_hosted(self, slug: str, **changes: Any) -> None:
        """From now on a repository elsewhere, model, data set or space has these values (fields of `DemoHosted`)."""
        there = tuple(dataclasses.replace(one, **changes) if one.slug == slug else one for one in self.content.hosted)
        self.content = dataclasses.replace(self.content, hosted=there)

    def update_repo(self, slug: str, **changes: Any) -> None:
        """From now on a repository has these values (fields of `DemoRepo`)."""
        repos = tuple(
            dataclasses.replace(repo, **changes) if repo.slug == slug else repo for repo in self.content.repos
        )
        self.content = dataclasses.replace(self.content, repos=repos)

    # -- what was asked and received -------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order of their answers."""
        with self._lock:
            return list(self._requests)

    def count(self, prefix: str = "", *, status: int | None = None) -> int:
        """How many requests under a prefix got an answer (of that status)."""
        return sum(request.path.startswith(prefix) and status in (None, request.status) for request in self.requests)

    def conditional_hits(self, prefix: str = "") -> int:
        """How many requests under a prefix were answered 304."""
        return self.count(prefix, status=304)

    @property
    def slack_payloads(self) -> list[dict[str, Any]]:
        """What the Slack webhook accepted."""
        return list(self._sinks.slack)

    @property
    def webhook_bodies(self) -> list[Posted]:
        """What the plain webhook took."""
        return list(self._sinks.webhook)

    # -- faults: a prefix is the beginning of a path with its query, such as `/github/repos` -----------

    def fail_next(
        self,
        prefix: str,
        status: int = 503,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """The next `times` requests are answered with this status instead."""
        self._faults.fail_next(prefix, status, times, headers or {}, body)

    def drop_next(self, prefix: str, times: int = 1) -> None:
        """The next `times` requests lose their connection without an answer."""
        self._faults.drop_next(prefix, times)

    def truncate_next(self, prefix: str, times: int = 1) -> None:
        """The next `times` answers end half-way, short of their Content-Length."""
        self._faults.truncate_next(prefix, times)

    def hang(self, prefix: str, seconds: float) -> None:
        """Every answer waits this long, until `is_up`."""
        self._faults.hang(prefix, seconds)

    def is_down(self, prefix: str, status: int = 503) -> None:
        """Every request is answered with this status, until `is_up`."""
        self._faults.down(prefix, status)

    def is_up(self, prefix: str = "") -> None:
        """Every fault under this prefix ends, counted ones too."""
        self._faults.heal(prefix)

    # -- the server's side -----------------------------------------------------------------------

    def _handle(self, ask: Ask) -> Answer:
        content = self.content
        for prefix, handler in (
            ("/hf", hugging_face.answer),
            ("/arxiv/api", arxiv_api.answer),
            ("/arxiv/oai", arxiv_oai.answer),
            ("/blog", blog.answer),
            ("/github", self._github.answer),
            ("/pages-of-github", hosted.answer_releases),
            ("/gitlab", hosted.answer_gitlab),
            ("/codeberg", hosted.answer_codeberg),
            ("/catalogues", catalogues.answer),
        ):
            if _under(ask.path, prefix):
                return conditional(ask, handler(_below(ask, prefix), content))
        if _under(ask.path, "/arxiv/rss") or _under(ask.path, "/arxiv/atom"):
            return conditional(ask, arxiv_rss.answer(_below(ask, "/arxiv"), content))
        if _under(ask.path, "/slack/api"):
            return self.slack.answer(_below(ask, "/slack/api"))
        if ask.method == "POST" and _under(ask.path, "/slack"):
            return self._sinks.answer_slack(_below(ask, "/slack"))
        if ask.method == "POST" and _under(ask.path, "/webhook"):
            return self._sinks.answer_webhook(ask)
        return text_answer("The replay has nothing here.", 404)

    def _record(self, at: datetime, method: str, target: str, headers: Mapping[str, str], status: int) -> None:
        kept = {name: headers[name] for name in _RECORDED_HEADERS if name in headers}
        if "authorization" in headers:
            kept["authorization"] = headers["authorization"].partition(" ")[0]
        request = Request(at=at, method=method, path=target, status=status, headers=kept)
        with self._lock:
            self._requests.append(request)


def _under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")


def _below(ask: Ask, prefix: str) -> Ask:
    return dataclasses.replace(ask, path=ask.path.removeprefix(prefix))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a replay until interrupted; print the settings that point at it."""
    parser = argparse.ArgumentParser(
        prog="python -m workers.demo.replay",
        description="A loopback replay of Hugging Face Daily Papers, arXiv, a blog, GitHub and Slack.",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--today",
        type=date.fromisoformat,
        help="YYYY-MM-DD: the newest papers are of the latest weekday until then (default: today in UTC)",
    )
    parser.add_argument("--no-faults", action="store_true", help="start without the two faults that heal by themselves")
    options = parser.parse_args(arguments)
    replay = Replay(today=options.today, port=options.port, first_call_faults=not options.no_faults)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        replay.start()
    except OSError as error:
        sys.stderr.write(f"cannot listen on 127.0.0.1:{options.port}: {error}\n")
        return 1
    with replay:
        lines = [f"export BROADSHEET_{name}={url}" for name, url in replay.urls().items()]
        sys.stdout.write("\n".join([*lines, f"# Slack webhook: {replay.slack_url}", ""]))
        sys.stdout.flush()
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
